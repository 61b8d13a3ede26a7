//! Headers of real load balancers, and every way to break one.

use proptest::prelude::*;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::*;

const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// A header of version 2.
fn binary(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, kind], &length, rest].concat()
}

/// Addresses and ports of version 2: from `192.0.2.7:4711` to `10.0.0.1:443`.
const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];

fn addresses6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
    [&source.octets()[..], &[0; 16], &ADDRESSES[8..]].concat()
}

fn relayed(address: &str) -> ProxySource {
    ProxySource::Relayed(address.parse().unwrap())
}

/// Headers that are complete, with their source.
fn good() -> Vec<(Vec<u8>, ProxySource)> {
    use ProxySource::{Local, Unknown};
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("TCP6 {full} {full} 65535 65535");
    let worst = format!("UNKNOWN {full} {full} 65535 65535");
    let crc = [&ADDRESSES[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    let mapped: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
    let mapped = [&mapped.octets()[..], &[0; 16], &ADDRESSES[8..]].concat();
    vec![
        (
            line("TCP4 192.0.2.7 10.0.0.1 4711 443"),
            relayed("192.0.2.7:4711"),
        ),
        (
            line("TCP4 255.255.255.255 0.0.0.0 65535 0"),
            relayed("255.255.255.255:65535"),
        ),
        (
            line("TCP6 2001:DB8::1 ::1 4711 443"),
            relayed("[2001:db8::1]:4711"),
        ),
        (
            line("TCP6 ::ffff:192.0.2.7 ::1 1 2"),
            relayed("192.0.2.7:1"),
        ),
        (line(&longest), relayed(&format!("[{full}]:65535"))),
        (line("UNKNOWN"), Unknown),
        (line("UNKNOWN \u{e9} anything"), Unknown),
        (line(&worst), Unknown),
        (binary(0x21, TCP4, &ADDRESSES), relayed("192.0.2.7:4711")),
        (
            binary(0x21, TCP6, &addresses6()),
            relayed("[2001:db8::1]:4711"),
        ),
        (binary(0x21, TCP6, &mapped), relayed("192.0.2.7:4711")),
        (binary(0x21, TCP4, &crc), relayed("192.0.2.7:4711")),
        (
            binary(0x21, TCP4, &[&ADDRESSES[..], &[4; 4068]].concat()),
            relayed("192.0.2.7:4711"),
        ),
        (binary(0x20, 0, &[]), Local),
        (binary(0x20, TCP4, &ADDRESSES), Local),
        (binary(0x20, 0xff, &[1, 2, 3]), Local),
        (binary(0x21, 0, &[]), Unknown),
        (binary(0x21, 0x01, &[9; 5]), Unknown),
        (binary(0x21, 0x10, &ADDRESSES), Unknown),
        (binary(0x21, 0x12, &ADDRESSES), Unknown),
        (binary(0x21, 0x22, &addresses6()), Unknown),
        (binary(0x21, 0x31, &[b'/'; 216]), Unknown),
    ]
}

/// Bytes that no header begins with, and what is wrong with them.
fn bad() -> Vec<(Vec<u8>, ProxyHeaderError)> {
    use ProxyHeaderError::{Kind, Length, Line, Missing};
    let mut bad: Vec<_> = [
        "TCP4 192.0.2.7 10.0.0.1 4711 443\n",
        "TCP4 192.0.2.7 10.0.0.1 4711 443\r\r\n",
        "TCP4 192.0.2.7 10.0.0.1 4711 443 \r\n",
        "TCP4  192.0.2.7 10.0.0.1 4711 443\r\n",
        "TCP4 192.0.2.7 10.0.0.1 4711\r\n",
        "TCP4 192.0.2.7 10.0.0.1 4711 443 1\r\n",
        "TCP4 192.0.2.07 10.0.0.1 4711 443\r\n",
        "TCP4 192.0.2.7 10.0.0.256 4711 443\r\n",
        "TCP4 2001:db8::1 ::1 4711 443\r\n",
        "TCP6 192.0.2.7 10.0.0.1 4711 443\r\n",
        "TCP6 fe80::1%eth0 ::1 4711 443\r\n",
        "TCP4 192.0.2.7 10.0.0.1 04711 443\r\n",
        "TCP4 192.0.2.7 10.0.0.1 +4711 443\r\n",
        "TCP4 192.0.2.7 10.0.0.1 4711 65536\r\n",
        "TCP4 192.0.2.7 10.0.0.1 00 443\r\n",
        "tcp4 192.0.2.7 10.0.0.1 4711 443\r\n",
        "UDP4 192.0.2.7 10.0.0.1 4711 443\r\n",
        "UNKNOWNS\r\n",
        "UNKNOWN\n",
        "\r\n",
    ]
    .iter()
    .map(|line| (format!("PROXY {line}").into_bytes(), Line))
    .collect();
    bad.push((
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).into_bytes(),
        Line,
    ));
    bad.push((vec![b'P', b'R', b'O', b'X', b'Y', b'\t'], Missing));
    bad.extend(
        [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PRI * HTTP/2.0\r\n",
            b"\x16\x03\x01",
        ]
        .map(|other| (other.to_vec(), Missing)),
    );
    bad.extend([
        (binary(0x11, TCP4, &ADDRESSES), Kind),
        (binary(0x22, TCP4, &ADDRESSES), Kind),
        (binary(0x01, TCP4, &ADDRESSES), Kind),
        (binary(0x21, 0x41, &ADDRESSES), Kind),
        (binary(0x21, 0x13, &ADDRESSES), Kind),
        (binary(0x21, TCP4, &ADDRESSES[..11]), Length),
        (binary(0x21, 0x12, &ADDRESSES[..11]), Length),
        (binary(0x21, TCP6, &addresses6()[..35]), Length),
        (binary(0x21, 0x31, &[b'/'; 215]), Length),
        (binary(0x21, TCP4, &[4; 4081]), Length),
        (binary(0x20, 0, &[4; 4081]), Length),
    ]);
    bad
}

#[test]
fn headers_of_both_versions_name_their_source() {
    for (header, source) in good() {
        let wanted = ProxyHeader {
            length: header.len(),
            source,
        };
        let shown = String::from_utf8_lossy(&header).into_owned();
        assert_eq!(parse(&header), Ok(Some(wanted)), "{shown:?}");
        let followed = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(parse(&followed), Ok(Some(wanted)), "{shown:?}");
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(None), "{shown:?} up to {end}");
        }
    }
}

#[test]
fn what_is_not_exactly_a_header_is_an_error() {
    for (bytes, error) in bad() {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(parse(&bytes), Err(error), "{shown:?}");
        let followed = [&bytes[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(parse(&followed), Err(error), "{shown:?}");
    }
}

/// What [`read_header`] makes of these pieces, and what it leaves of them.
async fn read(pieces: Vec<Vec<u8>>) -> (Result<ProxySource, String>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut tcp, _) = listener.accept().await.unwrap();
    sender.set_nodelay(true).unwrap();
    let sending = async move {
        for piece in pieces {
            sender.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let deadline = Instant::now() + std::time::Duration::from_secs(10);
    let (source, ()) = tokio::join!(read_header(&mut tcp, deadline), sending);
    let mut left = Vec::new();
    // An error leaves unread what caused it.
    if source.is_ok() {
        tcp.read_to_end(&mut left).await.unwrap();
    }
    (source.map_err(|error| error.to_string()), left)
}

#[tokio::test]
async fn not_a_byte_behind_the_header_is_read() {
    for (header, source) in good() {
        let all = [&header[..], b"\r\n\r\nbehind"].concat();
        let (read, left) = read(vec![all]).await;
        assert_eq!((read, &left[..]), (Ok(source), &b"\r\n\r\nbehind"[..]));
    }
    let (ended, _) = read(vec![b"PROXY TCP4".to_vec()]).await;
    assert!(ended.unwrap_err().contains("ended before"));
}

#[tokio::test]
async fn a_header_that_does_not_arrive_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut tcp, _) = listener.accept().await.unwrap();
    sender.write_all(b"PROXY TCP4 ").await.unwrap();
    let deadline = Instant::now() + std::time::Duration::from_millis(20);
    let late = read_header(&mut tcp, deadline).await;
    assert!(matches!(late, Err(ProxyReadError::TimedOut)), "{late:?}");
}

/// Good and bad headers, and bytes that are nearly one.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let headers: Vec<_> = good()
        .into_iter()
        .map(|it| it.0)
        .chain(bad().into_iter().map(|it| it.0))
        .collect();
    let changed = (
        prop::sample::select(headers),
        any::<prop::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(mut header, at, byte)| {
            let at = at.index(header.len());
            header[at] = byte;
            header
        });
    prop_oneof![changed, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    /// Bytes that follow never change a decision, so it does not matter how a header arrives.
    #[test]
    fn a_decision_is_the_same_however_the_bytes_are_split(bytes in bytes()) {
        let whole = parse(&bytes);
        for end in 0..=bytes.len() {
            let part = parse(&bytes[..end]);
            prop_assert!(part == Ok(None) || part == whole, "{:?} up to {}", part, end);
            if let Ok(Some(header)) = part {
                prop_assert!(header.length <= end);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_split_leaves_the_same_bytes(which in 0..22_usize, step in 1..40_usize) {
        let (header, source) = good().swap_remove(which);
        let all = [&header[..], b"behind"].concat();
        let pieces = all.chunks(step.max(all.len() / 60)).map(<[u8]>::to_vec).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (read, left) = runtime.block_on(read(pieces));
        prop_assert_eq!((read, &left[..]), (Ok(source), &b"behind"[..]));
    }
}
