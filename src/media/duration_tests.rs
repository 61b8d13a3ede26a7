//! How long a video lasts, by all that recorders write about it.

use super::{
    VideoFinding::Duration,
    test_file::{TestFile, TestTrack, check, fragment, fragmented, mvhd, track, words},
    tests::boxed,
};

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row for each file")]
fn only_what_is_surely_shorter_than_one_second_or_longer_than_ten_is_rejected() {
    let lasting = |scale, count, delta| TestFile::of(TestTrack::lasting(scale, count, delta));
    let with = |change: fn(&mut TestTrack)| {
        let mut track = TestTrack::lasting(600, 360, 20);
        change(&mut track);
        TestFile::of(track)
    };
    let mut declared = fragmented(&[(30, 20)]);
    let mehd = boxed(b"mehd", &words(&[0, 3000]));
    declared.in_moov = [mvhd(1000, 0), boxed(b"mvex", &mehd)].concat();
    check(vec![
        (
            "300 frames at 29.97 a second",
            lasting(30_000, 300, 1001),
            None,
        ),
        ("stopped by a late timer", lasting(90_000, 327, 3000), None),
        ("30 frames at 30.3 a second", lasting(1000, 30, 33), None),
        (
            "over ten however it is rounded",
            lasting(1000, 110, 100),
            Some(Duration),
        ),
        ("half a second", lasting(1000, 10, 50), None),
        (
            "less than half a second",
            lasting(1000, 10, 49),
            Some(Duration),
        ),
        ("twelve seconds", with(|_| {}), Some(Duration)),
        (
            "a media header in the movie's units",
            {
                let mut track = TestTrack::lasting(30_000, 199, 1251);
                track.mdhd = track.tkhd;
                TestFile::of(track)
            },
            None,
        ),
        (
            "twelve seconds of which an edit list shows nine",
            with(|track| {
                track.elst = vec![(9000, 60)];
            }),
            None,
        ),
        (
            "an edit list with a delay",
            with(|track| {
                track.elst = vec![(500, -1), (9000, 0)];
            }),
            None,
        ),
        (
            "an edit list that shows everything",
            with(|track| {
                track.elst = vec![(12_000, 0)];
            }),
            Some(Duration),
        ),
        (
            "an edit list without a duration",
            with(|track| track.elst = vec![(0, 0)]),
            Some(Duration),
        ),
        (
            "a first sample with the clock's offset",
            with(|track| {
                track.stts.insert(0, (1, 88_813_322));
                track.mdhd = 1800;
            }),
            None,
        ),
        (
            "no duration anywhere",
            TestFile::of(TestTrack::empty()),
            None,
        ),
        (
            "no units per second",
            TestFile::of(TestTrack {
                scale: 0,
                ..TestTrack::empty()
            }),
            None,
        ),
        (
            "headers that do not know",
            with(|track| {
                (track.mdhd, track.tkhd, track.stts) = (u32::MAX, u32::MAX, vec![(90, 20)]);
            }),
            None,
        ),
        (
            "headers of zero",
            with(|track| {
                (track.mdhd, track.tkhd) = (0, 0);
            }),
            Some(Duration),
        ),
        (
            "three seconds in fragments",
            fragmented(&[(60, 20), (30, 20)]),
            None,
        ),
        (
            "twelve seconds in fragments",
            fragmented(&[(60, 20); 6]),
            Some(Duration),
        ),
        (
            "too short in fragments",
            fragmented(&[(10, 20)]),
            Some(Duration),
        ),
        (
            "fragments without durations",
            fragmented(&[(60, 0), (30, 0)]),
            None,
        ),
        (
            "headers of the first fragment alone",
            TestFile {
                after: fragment(80, 20),
                ..TestFile::of(TestTrack::lasting(600, 12, 20))
            },
            None,
        ),
        ("a declared duration beside the fragments", declared, None),
        (
            "a fragment of another track",
            TestFile {
                tracks: vec![
                    TestTrack {
                        handler: b"soun",
                        ..track()
                    },
                    TestTrack::empty(),
                ],
                ..fragmented(&[(10, 20)])
            },
            None,
        ),
        (
            "a malformed fragment",
            TestFile {
                after: [fragment(10, 20), boxed(b"moof", &boxed(b"traf", b""))].concat(),
                ..fragmented(&[])
            },
            None,
        ),
        (
            "a fragment too large to be read",
            TestFile {
                after: [fragment(10, 20), boxed(b"moof", &[0; 65_537])].concat(),
                ..fragmented(&[])
            },
            None,
        ),
    ]);
}
