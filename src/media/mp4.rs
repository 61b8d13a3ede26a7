//! The few facts about an MP4 file that decide whether Qiniu would take it.
//!
//! ISO/IEC 14496-12 boxes: `ftyp`, then `moov/trak` of the first video track, then the fragments (`moof/traf`) that belong to
//! it. The file is read where its boxes begin, from front to back and never all of it, so it may be anywhere, in pieces, and
//! as large as it likes. What is held of it has a limit, whatever it claims.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    VideoFinding,
    boxes::{
        FieldReader, MediaTime, VideoTrack, child, children, declared_duration, default_duration,
        fragment_units, video_track,
    },
};

/// How long Qiniu wants a video to be.
const DURATIONS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// Its width and height, in pixels.
const SIDES: RangeInclusive<u16> = 16..=2032;

/// Mp4Boxes at the top of a file at the most: ten seconds with a fragment for each picture have some 1,200.
const MOST_BOXES: usize = 8192;
/// Bytes of an index at the most, and of one fragment's: ten seconds have a few thousand.
const MOST_INDEX: u64 = 1024 * 1024;
const MOST_FRAGMENT: u64 = 64 * 1024;
/// Bytes of all of them together: a file that is nothing but indexes would be decoded whole.
const MOST_INDEXES: u64 = 2 * MOST_INDEX;

/// What is known of the first video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp4Facts {
    /// Every sample entry is `avc1` or `avc3` with an `avcC`; encrypted ones (`encv`) are not.
    pub is_h264: bool,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Of its samples, or as the file declares it: the longer.
    pub duration: Duration,
}

/// Why there are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mp4Error {
    /// Not a whole MP4 file.
    NotMp4,
    /// One without a video track that can be read.
    NoVideoTrack,
}

/// Reads a file of `length` bytes. `source` fills a buffer with the bytes from an offset on, or says `false`; offsets never
/// go back by more than a box's header.
///
/// # Errors
/// Why there are no facts.
pub fn read(
    length: u64,
    mut source: impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Mp4Facts, Mp4Error> {
    let mut file = Mp4Index::default();
    let mut at = 0_u64;
    let mut left = MOST_INDEXES;
    for number in 0..MOST_BOXES {
        if at >= length {
            return file.facts();
        }
        let found = header(at, length, &mut source).ok_or(Mp4Error::NotMp4)?;
        if number == 0 && &found.kind != b"ftyp" {
            return Err(Mp4Error::NotMp4);
        }
        let most = match &found.kind {
            b"moov" => MOST_INDEX,
            b"moof" => MOST_FRAGMENT,
            _ => 0,
        };
        if most > 0 {
            let body = body(at, &found, most.min(left), &mut source).ok_or(Mp4Error::NotMp4)?;
            left = left.saturating_sub(body.len() as u64);
            file.index(&found.kind, &body)?;
        }
        file.has_media |= &found.kind == b"mdat" && found.size > found.header;
        at = at.saturating_add(found.size);
    }
    Err(Mp4Error::NotMp4)
}

/// Holds what was read of a file against Qiniu's limits.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(read: Result<Mp4Facts, Mp4Error>) -> Result<(), VideoFinding> {
    let facts = read.map_err(|why| match why {
        Mp4Error::NotMp4 => VideoFinding::NotMp4,
        Mp4Error::NoVideoTrack => VideoFinding::NoVideoTrack,
    })?;
    if !facts.is_h264 {
        Err(VideoFinding::NotH264)
    } else if !SIDES.contains(&facts.width) || !SIDES.contains(&facts.height) {
        Err(VideoFinding::Dimensions)
    } else if !DURATIONS.contains(&facts.duration) {
        Err(VideoFinding::Duration)
    } else {
        Ok(())
    }
}

/// [`read`] for a file that is held in one piece.
///
/// # Errors
/// Why there are no facts.
pub fn read_slice(file: &[u8]) -> Result<Mp4Facts, Mp4Error> {
    read(file.len() as u64, |offset, into| {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|from| file.get(from..from.checked_add(into.len())?));
        if let Some(bytes) = bytes {
            into.copy_from_slice(bytes);
        }
        bytes.is_some()
    })
}

/// A box at the top of the file.
struct BoxHeader {
    kind: [u8; 4],
    /// Bytes of the header.
    header: u64,
    /// Bytes of the whole box.
    size: u64,
}

/// The header at `at`; `None` where the file is cut or the size makes no sense.
fn header(
    at: u64,
    length: u64,
    source: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<BoxHeader> {
    let left = length.checked_sub(at)?;
    let mut bytes = [0; 16];
    let known = usize::try_from(left.min(16)).ok()?;
    if !source(at, bytes.get_mut(..known)?) {
        return None;
    }
    let mut cursor = FieldReader(bytes.get(..known)?);
    let size = cursor.u32()?;
    let kind = *cursor.take(4)?.first_chunk()?;
    let (header, size) = match size {
        // To the end of the file.
        0 => (8, left),
        1 => (16, cursor.u64()?),
        _ => (8, u64::from(size)),
    };
    (header..=left)
        .contains(&size)
        .then_some(BoxHeader { kind, header, size })
}

/// What is in the box at `at`; `None` for one of more than `most` bytes.
fn body(
    at: u64,
    found: &BoxHeader,
    most: u64,
    source: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<Vec<u8>> {
    let length = found
        .size
        .checked_sub(found.header)
        .filter(|length| *length <= most)?;
    let mut body = vec![0; usize::try_from(length).ok()?];
    source(at.checked_add(found.header)?, &mut body).then_some(body)
}

/// What was learnt of a file so far.
#[derive(Default)]
struct Mp4Index {
    has_media: bool,
    indexed: bool,
    track: Option<VideoTrack>,
    /// As a fragmented file declares it.
    declared: Duration,
    /// What a sample lasts where its fragment does not say.
    default: u32,
}

impl Mp4Index {
    fn index(&mut self, kind: &[u8; 4], body: &[u8]) -> Result<(), Mp4Error> {
        if kind == b"moof" {
            return self.fragment(body).ok_or(Mp4Error::NotMp4);
        }
        if std::mem::replace(&mut self.indexed, true) {
            return Err(Mp4Error::NotMp4);
        }
        self.track = children(body, b"trak").find_map(video_track);
        self.declared = declared_duration(body).unwrap_or_default();
        if let (Some(mvex), Some(track)) = (child(body, b"mvex"), &self.track) {
            self.default = default_duration(mvex, track.id);
        }
        Ok(())
    }

    /// Adds a fragment's samples; `None` for one that is broken or comes before the index.
    fn fragment(&mut self, moof: &[u8]) -> Option<()> {
        if !self.indexed {
            return None;
        }
        let Some(track) = &mut self.track else {
            return Some(());
        };
        for traf in children(moof, b"traf") {
            let units = fragment_units(traf, track.id, self.default)?;
            track.units = track.units.checked_add(units)?;
        }
        Some(())
    }

    fn facts(self) -> Result<Mp4Facts, Mp4Error> {
        if !self.indexed || !self.has_media {
            return Err(Mp4Error::NotMp4);
        }
        let track = self.track.ok_or(Mp4Error::NoVideoTrack)?;
        let in_samples = MediaTime {
            units: track.units,
            scale: track.scale,
        }
        .duration()
        .ok_or(Mp4Error::NotMp4)?;
        Ok(Mp4Facts {
            is_h264: track.is_h264,
            width: track.width,
            height: track.height,
            duration: in_samples.max(self.declared),
        })
    }
}
