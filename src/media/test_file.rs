//! MP4 files written box by box, for tests: three seconds of H.264, until a case changes them.

use super::{
    VideoFinding,
    tests::{boxed, finding},
};

/// A track of three seconds of H.264, until a case changes it.
#[derive(Clone)]
pub(super) struct TestTrack {
    pub(super) handler: &'static [u8; 4],
    /// Sample entries: type, configuration box, width and height.
    pub(super) entries: Vec<(&'static [u8; 4], &'static [u8; 4], u16, u16)>,
    pub(super) scale: u32,
    pub(super) mdhd: u32,
    pub(super) tkhd: u32,
    pub(super) sides: (u16, u16),
    pub(super) stts: Vec<(u32, u32)>,
    pub(super) elst: Vec<(u32, i32)>,
}

/// A file with one such track.
#[derive(Clone)]
pub(super) struct TestFile {
    pub(super) before: Vec<u8>,
    /// Boxes of the index, before its tracks.
    pub(super) in_moov: Vec<u8>,
    pub(super) tracks: Vec<TestTrack>,
    /// Boxes after the index, and fragments.
    pub(super) after: Vec<u8>,
    pub(super) media: Vec<u8>,
    /// Whether the index comes after the media.
    pub(super) moov_last: bool,
    pub(super) trailer: Vec<u8>,
}

pub(super) const H264: (&[u8; 4], &[u8; 4], u16, u16) = (b"avc1", b"avcC", 640, 480);

pub(super) fn track() -> TestTrack {
    TestTrack {
        handler: b"vide",
        entries: vec![H264],
        scale: 600,
        mdhd: 1800,
        tkhd: 3000,
        sides: (640, 480),
        stts: vec![(90, 20)],
        elst: vec![],
    }
}

pub(super) fn file() -> TestFile {
    TestFile {
        before: boxed(b"ftyp", b"isom\0\0\0\0isomavc1"),
        in_moov: mvhd(1000, 3000),
        tracks: vec![track()],
        after: vec![],
        media: boxed(b"mdat", b"samples"),
        moov_last: false,
        trailer: vec![],
    }
}

/// Big-endian numbers one after the other.
pub(super) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(super) fn mvhd(scale: u32, duration: u32) -> Vec<u8> {
    let fields = [words(&[0, 0, 0, scale, duration]), vec![0; 80]].concat();
    boxed(b"mvhd", &fields)
}

impl TestTrack {
    pub(super) fn lasting(scale: u32, count: u32, delta: u32) -> Self {
        Self {
            scale,
            mdhd: count * delta,
            tkhd: u32::try_from(u64::from(count * delta) * 1000 / u64::from(scale)).unwrap(),
            stts: vec![(count, delta)],
            ..track()
        }
    }

    /// As in the index of a fragmented file.
    pub(super) fn empty() -> Self {
        Self {
            mdhd: 0,
            tkhd: 0,
            stts: vec![],
            ..track()
        }
    }

    pub(super) fn entry(
        kind: &'static [u8; 4],
        config: &'static [u8; 4],
        width: u16,
        height: u16,
    ) -> Self {
        Self {
            entries: vec![(kind, config, width, height)],
            ..track()
        }
    }

    fn trak(&self, id: u32) -> Vec<u8> {
        let (width, height) = (u32::from(self.sides.0), u32::from(self.sides.1));
        let header = words(&[7, 0, 0, id, 0, self.tkhd]);
        let tkhd = [header, vec![0; 52], words(&[width << 16, height << 16])].concat();
        let entries = self.entries.iter().map(|(kind, config, width, height)| {
            let mut fields = vec![0; 78];
            fields[24..26].copy_from_slice(&width.to_be_bytes());
            fields[26..28].copy_from_slice(&height.to_be_bytes());
            boxed(kind, &[fields, boxed(config, b"x"), vec![0; 4]].concat())
        });
        let count = u32::try_from(self.entries.len()).unwrap();
        let stsd = [vec![words(&[0, count])], entries.collect()]
            .concat()
            .concat();
        let pairs = self.stts.iter().flat_map(|(count, delta)| [*count, *delta]);
        let count = u32::try_from(self.stts.len()).unwrap();
        let stts = [0, count].into_iter().chain(pairs).collect::<Vec<_>>();
        let stbl = [boxed(b"stsd", &stsd), boxed(b"stts", &words(&stts))].concat();
        let hdlr = [&[0; 8][..], self.handler, &[0; 13]].concat();
        let mdia = [
            boxed(b"mdhd", &words(&[0, 0, 0, self.scale, self.mdhd, 0])),
            boxed(b"hdlr", &hdlr),
            boxed(b"minf", &boxed(b"stbl", &stbl)),
        ];
        let edits = self.elst.iter().flat_map(|(duration, start)| {
            [*duration, u32::from_be_bytes(start.to_be_bytes()), 0x1_0000]
        });
        let count = u32::try_from(self.elst.len()).unwrap();
        let elst = [0, count].into_iter().chain(edits).collect::<Vec<_>>();
        let edts = match self.elst.is_empty() {
            true => vec![],
            false => boxed(b"edts", &boxed(b"elst", &words(&elst))),
        };
        let mdia = boxed(b"mdia", &mdia.concat());
        boxed(b"trak", &[boxed(b"tkhd", &tkhd), edts, mdia].concat())
    }
}

impl TestFile {
    pub(super) fn of(track: TestTrack) -> Self {
        Self {
            tracks: vec![track],
            ..file()
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let tracks = self
            .tracks
            .iter()
            .zip(1..)
            .map(|(track, id)| track.trak(id));
        let moov = [self.in_moov.clone(), tracks.collect::<Vec<_>>().concat()].concat();
        let (moov, media) = (boxed(b"moov", &moov), self.media.clone());
        let (one, other) = match self.moov_last {
            true => (media, moov),
            false => (moov, media),
        };
        let parts = [&self.before, &one, &self.after, &other, &self.trailer];
        parts.map(Vec::as_slice).concat()
    }
}

/// A fragment with samples of track 1, each of this duration.
pub(super) fn fragment(count: u32, duration: u32) -> Vec<u8> {
    let tfhd = boxed(b"tfhd", &words(&[0x2_0000, 1]));
    let samples = [vec![0x100, count], vec![duration; count as usize]].concat();
    let traf = [tfhd, boxed(b"trun", &words(&samples))].concat();
    let moof = [boxed(b"mfhd", &words(&[0, 1])), boxed(b"traf", &traf)];
    [boxed(b"moof", &moof.concat()), boxed(b"mdat", b"more")].concat()
}

/// A file in fragments, with an index that knows nothing.
pub(super) fn fragmented(fragments: &[(u32, u32)]) -> TestFile {
    let after = fragments
        .iter()
        .map(|(count, duration)| fragment(*count, *duration));
    TestFile {
        in_moov: [
            mvhd(1000, 0),
            boxed(b"mvex", &boxed(b"trex", &words(&[0, 1, 1, 0, 0, 0]))),
        ]
        .concat(),
        after: after.collect::<Vec<_>>().concat(),
        ..TestFile::of(TestTrack::empty())
    }
}

/// A box with a 64-bit size.
pub(super) fn large(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u64 + 16).to_be_bytes();
    [&[0, 0, 0, 1][..], kind, &size, content].concat()
}

/// Checks the finding of each file.
pub(super) fn check(cases: Vec<(&str, TestFile, Option<VideoFinding>)>) {
    let found = cases.into_iter().map(|(label, file, wanted)| {
        let found = finding(&file.bytes());
        (found != wanted).then(|| format!("{label}: {found:?}, not {wanted:?}"))
    });
    assert_eq!(found.flatten().collect::<Vec<_>>(), Vec::<String>::new());
}
