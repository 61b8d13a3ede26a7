//! What real recorders and muxers leave in a file is no reason to reject it: files with one oddity
//! each in the order of its boxes or in its tracks, and the limits beside them.

use super::{
    VideoFinding::{Dimensions, NoVideoTrack, NotH264, NotMp4},
    test_file::{H264, TestFile, TestTrack, check, file, fragment, large, mvhd, track},
    tests::boxed,
};

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row for each file")]
fn any_order_of_boxes_and_any_box_beside_them_is_accepted() {
    let before = |before: Vec<u8>| TestFile { before, ..file() };
    let trailer = |trailer: &[u8]| TestFile {
        trailer: trailer.to_vec(),
        moov_last: true,
        ..file()
    };
    let brand = |brand: &[u8]| before(boxed(b"ftyp", brand));
    let user_type = |content: &[u8]| boxed(b"uuid", &[&[7; 16], content].concat());
    let between = [
        boxed(b"free", &[0; 9]),
        boxed(b"wide", b""),
        user_type(b"x"),
    ]
    .concat();
    let nothing = TestFile {
        media: vec![],
        ..file()
    };
    let unindexed = |end: Vec<u8>| TestFile {
        tracks: vec![],
        in_moov: vec![],
        before: [boxed(b"ftyp", b"isom"), boxed(b"free", b""), end].concat(),
        ..file()
    };
    check(vec![
        ("plain", file(), None),
        ("QuickTime's brand", brand(b"qt  \0\0\0\0qt  "), None),
        ("an unknown brand", brand(b"zzzz\0\0\0\0"), None),
        ("an empty brand", brand(b""), None),
        ("no brand", before(vec![]), None),
        ("`wide` first", before(boxed(b"wide", b"")), None),
        (
            "the media first",
            TestFile {
                before: vec![],
                moov_last: true,
                ..file()
            },
            None,
        ),
        (
            "boxes between",
            TestFile {
                after: between,
                ..file()
            },
            None,
        ),
        (
            "boxes in the index",
            TestFile {
                in_moov: [boxed(b"udta", b"\0\0\0\0"), mvhd(90_000, 0), user_type(b"")].concat(),
                ..file()
            },
            None,
        ),
        (
            "no movie header",
            TestFile {
                in_moov: vec![],
                ..file()
            },
            None,
        ),
        (
            "64-bit sizes",
            TestFile {
                media: large(b"mdat", b"samples"),
                after: large(b"uuid", &[0; 40]),
                ..file()
            },
            None,
        ),
        (
            "a second index",
            TestFile {
                after: boxed(b"moov", b""),
                ..file()
            },
            None,
        ),
        (
            "a fragment before the index",
            TestFile {
                before: fragment(1, 1),
                ..file()
            },
            None,
        ),
        (
            "an index too large to be read",
            TestFile {
                in_moov: boxed(b"free", &[0; 1 << 20]),
                ..file()
            },
            None,
        ),
        ("four zeros at the end", trailer(&[0; 4]), None),
        ("many zeros at the end", trailer(&[0; 40]), None),
        (
            "bytes at the end that are no box",
            trailer(b"\xff\xff\xff\xffSEFTtrailer"),
            None,
        ),
        (
            "a box at the end that is cut off",
            trailer(b"\0\0\0\x40uuid"),
            None,
        ),
        (
            "media that are cut off",
            trailer(b"\0\0\0\x40mdat"),
            Some(NotMp4),
        ),
        ("no media", nothing, Some(NotMp4)),
        (
            "empty media",
            TestFile {
                media: boxed(b"mdat", b""),
                ..file()
            },
            Some(NotMp4),
        ),
        (
            "no index yet",
            unindexed(b"\0\0\0\0mdat samples".to_vec()),
            Some(NotMp4),
        ),
        (
            "no tracks",
            TestFile {
                tracks: vec![],
                ..file()
            },
            Some(NoVideoTrack),
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row for each file")]
fn one_track_that_qiniu_accepts_is_enough() {
    let entry =
        |kind, config, width, height| TestFile::of(TestTrack::entry(kind, config, width, height));
    let entries = |entries: Vec<_>| TestFile::of(TestTrack { entries, ..track() });
    let tracks = |tracks: Vec<_>| TestFile { tracks, ..file() };
    let picture = TestTrack::entry(b"jpeg", b"colr", 160, 120);
    let sound = TestTrack {
        handler: b"soun",
        ..track()
    };
    let hevc: (&[u8; 4], &[u8; 4], u16, u16) = (b"hvc1", b"hvcC", 640, 480);
    let unsized_entry = |sides| {
        TestFile::of(TestTrack {
            sides,
            ..TestTrack::entry(b"avc3", b"avcC", 0, 0)
        })
    };
    check(vec![
        (
            "parameters in the samples",
            entry(b"avc3", b"avcC", 640, 480),
            None,
        ),
        ("two sample entries", entries(vec![H264, H264]), None),
        (
            "another codec's entry first",
            entries(vec![hevc, H264]),
            None,
        ),
        ("HEVC", entries(vec![hevc]), Some(NotH264)),
        (
            "encrypted",
            entry(b"encv", b"avcC", 640, 480),
            Some(NotH264),
        ),
        (
            "not configured",
            entry(b"avc1", b"free", 640, 480),
            Some(NotH264),
        ),
        (
            "MPEG-4 part 2",
            entry(b"mp4v", b"esds", 640, 480),
            Some(NotH264),
        ),
        ("sound first", tracks(vec![sound.clone(), track()]), None),
        (
            "a picture first",
            tracks(vec![picture.clone(), sound.clone(), track()]),
            None,
        ),
        (
            "a picture alone",
            tracks(vec![picture, sound.clone()]),
            Some(NotH264),
        ),
        ("sound alone", tracks(vec![sound]), Some(NoVideoTrack)),
        (
            "a short one first",
            tracks(vec![TestTrack::lasting(600, 1, 20), track()]),
            None,
        ),
        ("upright", entry(b"avc1", b"avcC", 480, 640), None),
        (
            "turned by its header",
            TestFile::of(TestTrack {
                sides: (480, 640),
                ..track()
            }),
            None,
        ),
        (
            "as wide as allowed",
            entry(b"avc1", b"avcC", 2032, 16),
            None,
        ),
        (
            "too wide",
            entry(b"avc1", b"avcC", 2033, 16),
            Some(Dimensions),
        ),
        (
            "too low",
            entry(b"avc1", b"avcC", 640, 15),
            Some(Dimensions),
        ),
        (
            "size in the track's header",
            unsized_entry((640, 480)),
            None,
        ),
        (
            "too small in the track's header",
            unsized_entry((8, 8)),
            Some(Dimensions),
        ),
        ("no size anywhere", unsized_entry((0, 0)), None),
    ]);
}
