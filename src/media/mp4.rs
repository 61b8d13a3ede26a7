//! The few facts about an MP4 file that decide whether Qiniu accepts it.
//!
//! Reads ISO/IEC 14496-12 boxes: `moov/trak` of the video tracks, then the fragments (`moof/traf`)
//! of these. Reads only the headers of all other boxes, from front to back, so the file may be of
//! any size and in any place. The bytes held of it are limited, whatever it claims. Whatever real
//! recorders leave in a file is no fault: [`judge`] finds only what Qiniu surely rejects.

use std::{ops::RangeInclusive, time::Duration};

pub use super::track::PlayingTime;
use super::{
    VideoFinding,
    boxes::{
        FieldReader, child, children, declared_duration, default_duration, fragment_units,
        time_header,
    },
    track::VideoTrack,
};

/// Qiniu documents 1 to 10 seconds, but not how it counts them: a recording of "10 seconds" lasts a
/// little longer. What is shorter than this would not even be rounded to 1.
const TOO_SHORT: Duration = Duration::from_millis(500);
/// What lasts so long is over 10 seconds however it is rounded.
const TOO_LONG: Duration = Duration::from_secs(11);
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

/// Maximum number of video tracks that are looked at. Phones add one for a picture or two.
const MAX_TRACKS: usize = 8;

/// The facts about a video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp4Facts {
    /// Whether a sample entry is that of H.264 with its configuration; an encrypted one (`encv`) is
    /// not.
    pub is_h264: bool,
    /// Width, in pixels; 0 if the file does not say.
    pub width: u16,
    /// Height, in pixels; 0 if the file does not say.
    pub height: u16,
    /// How long it may last; `None` if the file does not say.
    pub time: Option<PlayingTime>,
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
    /// Its index exceeds the bytes that are held of it.
    #[error("the index is too large to be read")]
    Unread,
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
    for _ in 0..MAX_BOXES {
        if at >= length {
            return file.facts();
        }
        let found = match header(at, length, &mut source) {
            Ok(found) => found,
            // Recorders append what is no box. If more is missing, there was no index before.
            Err(BrokenHeader::Unneeded) => return file.facts(),
            Err(BrokenHeader::Needed) => return Err(Mp4Error::NotMp4),
        };
        let most = match &found.kind {
            b"moov" if !file.indexed => MAX_INDEX,
            b"moof" => MAX_FRAGMENT,
            _ => 0,
        };
        if most > 0 {
            let content = found.size.saturating_sub(found.header);
            if content > most.min(left) {
                file.pass_over(&found.kind)?;
            } else {
                let body = body(at, &found, content, &mut source).ok_or(Mp4Error::NotMp4)?;
                left = left.saturating_sub(content);
                file.index(&found.kind, &body);
            }
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
    let facts = match read {
        Ok(facts) => facts,
        Err(Mp4Error::NotMp4) => return Err(VideoFinding::NotMp4),
        Err(Mp4Error::NoVideoTrack) => return Err(VideoFinding::NoVideoTrack),
        // Nobody knows.
        Err(Mp4Error::Unread) => return Ok(()),
    };
    let fits = |side| side == 0 || SIDES.contains(&side);
    if !facts.is_h264 {
        Err(VideoFinding::NotH264)
    } else if !fits(facts.width) || !fits(facts.height) {
        Err(VideoFinding::Dimensions)
    } else if facts
        .time
        .is_some_and(|time| time.longest < TOO_SHORT || time.shortest >= TOO_LONG)
    {
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

/// A box that is truncated, or whose size is impossible.
enum BrokenHeader {
    /// It would be an index or the media.
    Needed,
    /// It is anything else.
    Unneeded,
}

/// The header at `at`.
fn header(
    at: u64,
    length: u64,
    source: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<BoxHeader, BrokenHeader> {
    let (kind, found) = any_header(at, length, source).ok_or(BrokenHeader::Unneeded)?;
    found.ok_or(match &kind {
        b"moov" | b"moof" | b"mdat" => BrokenHeader::Needed,
        _ => BrokenHeader::Unneeded,
    })
}

/// The type of the box at `at`, and its header unless its size is impossible.
fn any_header(
    at: u64,
    length: u64,
    source: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<([u8; 4], Option<BoxHeader>)> {
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
        1 => (16, cursor.u64().unwrap_or(0)),
        _ => (8, u64::from(size)),
    };
    let fits = (header..=left).contains(&size);
    Some((kind, fits.then_some(BoxHeader { kind, header, size })))
}

/// The content of the box at `at`, which has `length` bytes.
fn body(
    at: u64,
    found: &BoxHeader,
    length: u64,
    source: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Option<Vec<u8>> {
    let mut body = vec![0; usize::try_from(length).ok()?];
    source(at.checked_add(found.header)?, &mut body).then_some(body)
}

/// What has been read of a file so far.
#[derive(Default)]
struct Mp4Index {
    /// Whether there is an `mdat` with content.
    has_media: bool,
    /// Whether there was a `moov`. Any further one is ignored.
    indexed: bool,
    tracks: Vec<VideoTrack>,
    /// Whether there was a `moof`.
    fragmented: bool,
    /// Duration that a fragmented file declares.
    declared: Option<Duration>,
    /// Whether samples are missing from the sums, so that nothing follows from these.
    incomplete: bool,
}

impl Mp4Index {
    fn index(&mut self, kind: &[u8; 4], body: &[u8]) {
        if kind == b"moof" {
            self.fragmented = true;
            self.incomplete |= self.fragment(body).is_none();
            return;
        }
        self.indexed = true;
        let scale = child(body, b"mvhd").and_then(time_header);
        let scale = scale.map_or(0, |header| header.scale);
        self.tracks = children(body, b"trak")
            .filter_map(|trak| VideoTrack::read(trak, scale))
            .take(MAX_TRACKS)
            .collect();
        self.declared = declared_duration(body);
        if let Some(mvex) = child(body, b"mvex") {
            for track in &mut self.tracks {
                track.default_units = default_duration(mvex, track.id);
            }
        }
    }

    /// Leaves out an index that is too large.
    fn pass_over(&mut self, kind: &[u8; 4]) -> Result<(), Mp4Error> {
        if kind == b"moov" {
            return Err(Mp4Error::Unread);
        }
        self.incomplete = true;
        Ok(())
    }

    /// Adds the samples of a fragment; `None` if it is malformed.
    fn fragment(&mut self, moof: &[u8]) -> Option<()> {
        for traf in children(moof, b"traf") {
            for track in &mut self.tracks {
                let units = fragment_units(traf, track.id, track.default_units)?;
                track.sample_units = track.sample_units.checked_add(units)?;
            }
        }
        Some(())
    }

    /// The facts about the first track that Qiniu accepts, or else about the first one.
    fn facts(self) -> Result<Mp4Facts, Mp4Error> {
        if !self.indexed || !self.has_media {
            return Err(Mp4Error::NotMp4);
        }
        let facts = |track: &VideoTrack| Mp4Facts {
            is_h264: track.is_h264,
            width: track.width,
            height: track.height,
            time: match self.incomplete {
                true => None,
                false => track.playing_time(self.fragmented, self.declared),
            },
        };
        let all = || self.tracks.iter().map(facts);
        let accepted = all().find(|facts| judge(Ok(*facts)).is_ok());
        accepted
            .or_else(|| all().next())
            .ok_or(Mp4Error::NoVideoTrack)
    }
}
