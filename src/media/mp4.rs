//! The few facts about an MP4 file that decide whether Qiniu accepts it.
//!
//! Reads ISO/IEC 14496-12 boxes: `ftyp`, then `moov/trak` of the first video track, then the
//! fragments (`moof/traf`) of that track. Reads only the headers of all other boxes, from front to
//! back, so the file may be of any size and in any place. The bytes held of it are limited,
//! whatever it claims.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    VideoFinding,
    boxes::{
        FieldReader, MediaTime, VideoTrack, child, children, declared_duration, default_duration,
        fragment_units, video_track,
    },
};

/// Durations that Qiniu accepts.
const DURATIONS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// Widths and heights that Qiniu accepts, in pixels.
const SIDES: RangeInclusive<u16> = 16..=2032;

/// Maximum number of top-level boxes: ten seconds with one fragment a picture have some 1,200.
const MAX_BOXES: usize = 8192;
/// Maximum size of an index, in bytes: ten seconds take a few thousand.
const MAX_INDEX: u64 = 1024 * 1024;
/// Maximum size of a fragment's index, in bytes.
const MAX_FRAGMENT: u64 = 64 * 1024;
/// Maximum size of all indexes together, in bytes: otherwise a file of nothing but indexes would be
/// decoded completely.
const MAX_INDEXES: u64 = 2 * MAX_INDEX;

/// The facts about the first video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp4Facts {
    /// Whether every sample entry is `avc1` or `avc3` with an `avcC`; encrypted ones (`encv`) are
    /// not.
    pub is_h264: bool,
    /// Width, in pixels.
    pub width: u16,
    /// Height, in pixels.
    pub height: u16,
    /// Duration of its samples, or the duration that the file declares if that is longer.
    pub duration: Duration,
}

/// Why a file has no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mp4Error {
    /// It is not a complete MP4 file.
    #[error("not a complete MP4 file")]
    NotMp4,
    /// It has no readable video track.
    #[error("no readable video track")]
    NoVideoTrack,
}

/// Reads a file of `length` bytes. `source` fills a buffer with the bytes from an offset on, or
/// returns `false`. Offsets never decrease by more than the header of a box.
///
/// # Errors
/// The file is not MP4, or has no video track.
pub fn read(
    length: u64,
    mut source: impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Mp4Facts, Mp4Error> {
    let mut file = Mp4Index::default();
    let mut at = 0_u64;
    let mut left = MAX_INDEXES;
    for number in 0..MAX_BOXES {
        if at >= length {
            return file.facts();
        }
        let found = header(at, length, &mut source).ok_or(Mp4Error::NotMp4)?;
        if number == 0 && &found.kind != b"ftyp" {
            return Err(Mp4Error::NotMp4);
        }
        let most = match &found.kind {
            b"moov" => MAX_INDEX,
            b"moof" => MAX_FRAGMENT,
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

/// Compares the facts about a file with Qiniu's limits.
///
/// # Errors
/// The first reason for which Qiniu rejects the file.
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

/// [`read`] for a file in one piece.
///
/// # Errors
/// See [`read`].
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

/// The header of a top-level box.
struct BoxHeader {
    kind: [u8; 4],
    /// Size of the header, in bytes.
    header: u64,
    /// Size of the whole box, in bytes.
    size: u64,
}

/// The header at `at`; `None` if the file is truncated or the size is impossible.
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
        // The box extends to the end of the file.
        0 => (8, left),
        1 => (16, cursor.u64()?),
        _ => (8, u64::from(size)),
    };
    (header..=left)
        .contains(&size)
        .then_some(BoxHeader { kind, header, size })
}

/// The content of the box at `at`; `None` if it exceeds `most` bytes.
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

/// What has been read of a file so far.
#[derive(Default)]
struct Mp4Index {
    /// Whether there is an `mdat` with content.
    has_media: bool,
    /// Whether there was a `moov`.
    indexed: bool,
    track: Option<VideoTrack>,
    /// Duration that a fragmented file declares.
    declared: Duration,
    /// Duration of samples for which their fragment gives none.
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

    /// Adds the samples of a fragment; `None` if it is malformed or precedes the index.
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
