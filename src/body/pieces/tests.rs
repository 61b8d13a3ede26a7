//! Pieces of every size, rolled back or not: what is sent and signed, and the memory it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use proptest::prelude::*;

use super::*;
use crate::{
    outbound::{dial::Dialer, origin::Origin},
    qiniu::{Credentials, UpstreamSettings, request::RequestTemplate},
    secret::Secret,
};

fn draft() -> RequestDraft {
    let settings = UpstreamSettings {
        endpoint: Origin::parse("http://127.0.0.1:1").unwrap(),
        credentials: Credentials {
            access_key: Secret::new("ak"),
            secret_key: Secret::new("sk"),
        },
        sign_date: false,
        dialer: Dialer::default(),
        tls: None,
        connect_timeout: std::time::Duration::from_secs(1),
        max_connections: 1,
        idle_timeout: std::time::Duration::from_secs(1),
    };
    RequestTemplate::new(&settings, "/a").draft(SystemTime::UNIX_EPOCH)
}

/// The body, its signed head, and the number of pieces.
fn finished(pieces: BodyPieces) -> (Vec<u8>, Vec<u8>, usize) {
    let (outgoing, _) = Box::new(pieces).finish();
    let head = outgoing.head();
    let end = memchr::memmem::find(head, b"\r\n\r\n").unwrap() + 4;
    let (head, small) = head.split_at(end);
    let mut body = outgoing.body().to_vec();
    if !small.is_empty() {
        assert!(
            body.is_empty(),
            "a small body is stored behind the head, complete"
        );
        body.push(Bytes::copy_from_slice(small));
    }
    (body.concat(), head.to_vec(), body.len())
}

fn in_one(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut pieces = BodyPieces::new(draft());
    let chunk = Bytes::copy_from_slice(bytes);
    pieces.begin_chunk(chunk.clone());
    pieces.keep(&chunk);
    let (body, head, _) = finished(pieces);
    (body, head)
}

#[test]
fn many_small_pieces_become_few_blocks_of_exact_size() {
    let bytes = vec![b'x'; 1024 * 1024];
    let mut pieces = BodyPieces::new(draft());
    for part in bytes.chunks(7) {
        pieces.keep(part);
    }
    let capacity: usize = pieces.kept.capacity() * 32 + pieces.block.capacity();
    assert!(capacity < 2 * BLOCK, "{capacity}");
    let (body, head, count) = finished(pieces);
    assert!(count <= 17, "{count}");
    assert_eq!((body, head), in_one(&bytes));
}

/// A buffer that is counted while it is alive.
struct CountedBuffer(Arc<AtomicUsize>);

impl AsRef<[u8]> for CountedBuffer {
    fn as_ref(&self) -> &[u8] {
        static BYTES: [u8; BUFFER] = [b'x'; BUFFER];
        &BYTES
    }
}

impl Drop for CountedBuffer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps `bytes` bytes of each of `buffers` full-size buffers. Returns how many buffers are still
/// alive, and the pieces.
fn of_each_buffer(bytes: usize, buffers: usize) -> (usize, BodyPieces) {
    let alive = Arc::new(AtomicUsize::new(0));
    let mut pieces = BodyPieces::new(draft());
    for _ in 0..buffers {
        alive.fetch_add(1, Ordering::Relaxed);
        let buffer = Bytes::from_owner(CountedBuffer(Arc::clone(&alive)));
        pieces.begin_chunk(buffer.slice(..bytes));
        pieces.keep(&buffer[..bytes]);
        pieces.mark();
    }
    pieces.begin_chunk(Bytes::new());
    (alive.load(Ordering::Relaxed), pieces)
}

#[test]
fn buffers_of_which_little_is_kept_are_released() {
    for bytes in [1, 5_000, 16_384, 96 * 1024, 131_072, 200_000, 300_000] {
        let (alive, pieces) = of_each_buffer(bytes, 100);
        let kept: usize = pieces.kept.iter().map(Bytes::len).sum();
        let copied = kept + pieces.block.len() - (alive * bytes).min(kept);
        let taken = alive * BUFFER + copied;
        let most = bytes * 100 / 10 * 11 + BUFFER;
        assert!(taken <= most, "{bytes}: {taken} of {most}");
        assert!(pieces.block.capacity() <= BLOCK);
    }
}

#[test]
fn full_buffers_are_kept_without_a_copy() {
    for bytes in [BUFFER, BUFFER - 300] {
        let (alive, pieces) = of_each_buffer(bytes, 50);
        assert_eq!((alive, pieces.kept.len()), (50, 50));
    }
}

#[test]
fn only_the_small_first_reads_of_a_fast_upload_are_copied() {
    let mut pieces = BodyPieces::new(draft());
    let mut slices = 0;
    for size in [
        8_192, 16_384, 32_768, 65_536, 131_072, 262_144, BUFFER, BUFFER,
    ] {
        let chunk = Bytes::from(vec![b'x'; size]);
        pieces.begin_chunk(chunk.clone());
        pieces.keep(&chunk);
        slices += usize::from(pieces.sliced);
    }
    assert_eq!(slices, 4);
}

proptest! {
    #[test]
    fn rolled_back_bytes_are_neither_sent_nor_signed(
        steps in proptest::collection::vec((0_u8..5, 0_usize..6000), 1..60),
    ) {
        let mut pieces = BodyPieces::new(draft());
        let (mut wanted, mut marked) = (Vec::new(), 0);
        for (number, (what, length)) in steps.into_iter().enumerate() {
            match what {
                0 => {
                    pieces.mark();
                    marked = wanted.len();
                }
                1 => {
                    pieces.rollback();
                    wanted.truncate(marked);
                }
                _ => {
                    let length = match what {
                        2 => length,
                        3 => length * 50,
                        _ => length % 50,
                    };
                    let bytes = vec![b'a' + u8::try_from(number % 26).unwrap(); length];
                    let chunk = Bytes::from(bytes.clone());
                    pieces.begin_chunk(chunk.clone());
                    // In two parts, as if something between them were removed.
                    pieces.keep(&chunk[..length / 2]);
                    pieces.keep(&chunk[length / 2..]);
                    wanted.extend(bytes);
                }
            }
            prop_assert_eq!(pieces.length, wanted.len());
        }
        let (body, head, _) = finished(pieces);
        prop_assert_eq!((body, head), in_one(&wanted));
    }
}
