//! Findings about real files of several muxers, in one piece and inside a body, and the cost of
//! files that are made to be expensive.

use bytes::Bytes;
use data_encoding::BASE64;

use super::{
    VideoFinding,
    boxes::Mp4Boxes,
    held::HeldVideo,
    mp4::{self, judge},
};

const TWO_SECONDS: &[u8] = include_bytes!("../../tests/data/gstreamer-moov-first.mp4");

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}.mp4", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// The finding, which must not depend on how the file is read.
pub(super) fn finding(file: &[u8]) -> Option<VideoFinding> {
    let found = judge(mp4::read_slice(file)).err();
    for escaped in [false, true] {
        let text = BASE64.encode(file);
        let text = if escaped {
            text.replace('/', "\\/").replace('+', "\\u002b")
        } else {
            text
        };
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(777)
            .map(Bytes::copy_from_slice)
            .collect();
        let mut held = HeldVideo::new(&pieces, 0, file.len() as u64, escaped);
        let read = mp4::read(held.length(), |offset, into| held.read(offset, into));
        assert_eq!(judge(read).err(), found);
    }
    found
}

pub(super) fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&size[..], kind, content].concat()
}

#[test]
fn files_of_several_muxers_are_accepted_and_unfit_ones_have_their_finding() {
    for (name, wanted) in [
        ("h264-moov-first", None),
        ("h264-moov-last", None),
        ("h264-fragmented", None),
        ("h264-with-audio", None),
        ("h264-mdat-64-bit", None),
        ("gstreamer-moov-first", None),
        ("gstreamer-moov-last", None),
        ("gstreamer-fragmented", None),
        ("gstreamer-3gpp", None),
        ("hevc", Some(VideoFinding::NotH264)),
        ("audio-only", Some(VideoFinding::NoVideoTrack)),
        ("too-short", Some(VideoFinding::Duration)),
        ("too-long", Some(VideoFinding::Duration)),
        ("too-small", Some(VideoFinding::Dimensions)),
        ("too-wide", Some(VideoFinding::Dimensions)),
        ("truncated", Some(VideoFinding::NotMp4)),
    ] {
        assert_eq!(finding(&file(name)), wanted, "{name}");
    }
    let facts = mp4::read_slice(&file("h264-mdat-64-bit")).unwrap();
    assert_eq!((facts.width, facts.height), (320, 240));
    assert_eq!(facts.time.unwrap().longest.as_secs(), 2);

    // An index may have a 64-bit size, too.
    let mut file = TWO_SECONDS.to_vec();
    let index = file.windows(4).position(|kind| kind == b"moov").unwrap();
    let size = u64::from(u32::from_be_bytes(
        file[index - 4..index].try_into().unwrap(),
    ));
    file[index - 4..index].copy_from_slice(&1_u32.to_be_bytes());
    file.splice(index + 4..index + 4, (size + 8).to_be_bytes());
    assert_eq!(finding(&file), None);
}

#[test]
fn a_last_box_without_a_size_extends_to_the_end() {
    let mut file = TWO_SECONDS.to_vec();
    let media = file.windows(4).position(|kind| kind == b"mdat").unwrap();
    file[media - 4..media].fill(0);
    assert_eq!(finding(&file), None);
    file.truncate(media + 4);
    assert_eq!(
        finding(&file),
        Some(VideoFinding::NotMp4),
        "it has no media"
    );
}

#[test]
fn a_file_truncated_before_the_end_of_its_index_and_media_is_not_mp4() {
    for whole in [file("h264-mdat-64-bit"), file("gstreamer-moov-last")] {
        let mut needed = 0;
        for (kind, content) in Mp4Boxes(&whole).map_while(Result::ok) {
            if matches!(&kind, b"moov" | b"mdat") {
                needed = content.as_ptr() as usize - whole.as_ptr() as usize + content.len();
            }
        }
        for length in (0..whole.len()).step_by(61) {
            let wanted = match length < needed {
                true => Err(VideoFinding::NotMp4),
                false => Ok(()),
            };
            assert_eq!(judge(mp4::read_slice(&whole[..length])), wanted, "{length}");
        }
    }
}

#[test]
fn a_file_with_an_impossible_64_bit_size_is_not_mp4() {
    let start = file("h264-mdat-64-bit");
    for size in [0, 1, 15, 12_821 + 5000, u64::MAX, u64::MAX - 31] {
        let mut file = start.clone();
        file[40..48].copy_from_slice(&size.to_be_bytes());
        assert_eq!(finding(&file), Some(VideoFinding::NotMp4), "{size}");
    }
}

#[test]
fn a_file_of_indexes_alone_is_rejected_after_a_few_bytes() {
    let begin = [boxed(b"ftyp", b"isom"), boxed(b"moov", b"")].concat();
    let read = |file: &[u8]| {
        let mut bytes = 0;
        let result = mp4::read(file.len() as u64, |offset, into| {
            bytes += into.len();
            let from = usize::try_from(offset).unwrap();
            into.copy_from_slice(&file[from..from + into.len()]);
            true
        });
        (result, bytes)
    };
    // As many fragments as fit into a file, each of the maximum size.
    let fragment = boxed(b"moof", &boxed(b"free", &vec![0; 64 * 1024 - 8]));
    let (result, bytes) = read(&[begin.clone(), fragment.repeat(300)].concat());
    assert!(
        result.is_err() && bytes <= 2 * 1024 * 1024 + 5000,
        "{bytes}"
    );
    let large = boxed(b"moof", &vec![0; 64 * 1024 + 1]);
    let (result, bytes) = read(&[begin, large].concat());
    assert!(result.is_err() && bytes < 100, "{bytes}");
    let large = [
        boxed(b"ftyp", b"isom"),
        boxed(b"moov", &vec![0; 1024 * 1024 + 1]),
    ]
    .concat();
    let (result, bytes) = read(&large);
    assert!(result.is_err() && bytes < 100, "{bytes}");
    // As many boxes as fit into a file.
    let (result, bytes) =
        read(&[boxed(b"ftyp", b"isom"), boxed(b"free", b"").repeat(100_000)].concat());
    assert!(result.is_err() && bytes < 200_000, "{bytes}");
}
