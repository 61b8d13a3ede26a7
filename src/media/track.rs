//! A video track in the index of an MP4 file: its codec, its size, and everything that says how
//! long it lasts.
//!
//! Recorders disagree about durations: headers hold the time of the first fragment, use another
//! clock than they name, or know nothing. So all claims are collected, and none is believed alone.
//! Relies on [`super::boxes`] for bounds.

use std::time::Duration;

use super::boxes::{FieldReader, MediaTime, Mp4Box, Mp4Boxes, child, summed_pairs, time_header};

/// The video track of an index.
pub(super) struct VideoTrack {
    pub(super) id: u32,
    /// Units per second.
    pub(super) scale: u32,
    /// Duration of the samples listed in `moov`; 0 if all of them are in fragments.
    pub(super) sample_units: u64,
    /// Duration of a sample in a fragment that gives none.
    pub(super) default_units: u32,
    /// What headers claim: the media's, the track's, and that of the edit list.
    claimed: [Option<Duration>; 3],
    /// Whether a sample entry is H.264.
    pub(super) is_h264: bool,
    /// In pixels; 0 if the file does not say.
    pub(super) width: u16,
    /// In pixels; 0 if the file does not say.
    pub(super) height: u16,
}

/// The durations that a file may be taken to have, by what it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayingTime {
    /// The shortest claim.
    pub shortest: Duration,
    /// The longest claim.
    pub longest: Duration,
}

impl PlayingTime {
    fn of(claims: impl Iterator<Item = Duration>) -> Option<Self> {
        claims.fold(None, |time, claim| {
            let Self { shortest, longest } = time.unwrap_or(Self {
                shortest: claim,
                longest: claim,
            });
            Some(Self {
                shortest: shortest.min(claim),
                longest: longest.max(claim),
            })
        })
    }
}

impl VideoTrack {
    /// Reads a `trak` box; `None` if it is not a complete video track. `scale` is that of the
    /// movie.
    pub(super) fn read(trak: &[u8], scale: u32) -> Option<Self> {
        let mdia = child(trak, b"mdia")?;
        if child(mdia, b"hdlr")?.get(8..12)? != b"vide" {
            return None;
        }
        let header = TrackHeader::read(child(trak, b"tkhd")?)?;
        let media = time_header(child(mdia, b"mdhd")?)?;
        let stbl = child(child(mdia, b"minf")?, b"stbl")?;
        let entry = SampleEntry::first(child(stbl, b"stsd")?)?;
        let in_movie = |units| MediaTime { units, scale }.duration();
        Some(Self {
            id: header.id,
            scale: media.scale,
            sample_units: child(stbl, b"stts").and_then(listed_units).unwrap_or(0),
            default_units: 0,
            claimed: [
                media.duration(),
                in_movie(header.units),
                child(trak, b"edts")
                    .and_then(edited_units)
                    .and_then(in_movie),
            ],
            is_h264: entry.is_h264,
            width: if entry.width > 0 {
                entry.width
            } else {
                header.width
            },
            height: if entry.height > 0 {
                entry.height
            } else {
                header.height
            },
        })
    }

    /// The durations that it may be taken to have; `None` if it claims none. In a `fragmented`
    /// file, `declared` is that of the whole file.
    pub(super) fn playing_time(
        &self,
        fragmented: bool,
        declared: Option<Duration>,
    ) -> Option<PlayingTime> {
        let in_samples = MediaTime {
            units: self.sample_units,
            scale: self.scale,
        };
        let headers = match fragmented {
            // They may be about the part before the first fragment.
            true => [declared, None, None],
            false => self.claimed,
        };
        let claims = headers.into_iter().chain([in_samples.duration()]);
        PlayingTime::of(claims.flatten())
    }
}

/// What a `tkhd` box says.
struct TrackHeader {
    id: u32,
    /// Duration in units of the movie; 0 if unknown.
    units: u64,
    width: u16,
    height: u16,
}

impl TrackHeader {
    fn read(tkhd: &[u8]) -> Option<Self> {
        /// Size of what is between the duration and the width, in bytes: volume, matrix and more.
        const BETWEEN: usize = 52;
        let mut fields = FieldReader(tkhd);
        let (version, _) = fields.version_and_flags()?;
        fields.take(if version == 1 { 16 } else { 8 })?;
        let id = fields.u32()?;
        fields.u32()?;
        let units = fields.known(version)?;
        // Both have 16 binary places.
        let sides = |fields: &mut FieldReader<'_>| {
            fields.take(BETWEEN)?;
            let (width, _) = (fields.u16()?, fields.u16()?);
            Some((width, fields.u16()?))
        };
        let (width, height) = sides(&mut fields).unwrap_or_default();
        Some(Self {
            id,
            units,
            width,
            height,
        })
    }
}

/// The sample entries of a track: whether one is H.264, and its size, or that of the first.
struct SampleEntry {
    is_h264: bool,
    width: u16,
    height: u16,
}

impl SampleEntry {
    fn first(stsd: &[u8]) -> Option<Self> {
        let mut fields = FieldReader(stsd);
        fields.version_and_flags()?;
        fields.u32()?;
        let entries = || Mp4Boxes(fields.0).map_while(Result::ok);
        let h264 = entries().find(is_h264_entry);
        let is_h264 = h264.is_some();
        let (_, entry) = h264.or_else(|| entries().next())?;
        let mut fields = FieldReader(entry);
        fields.take(24)?;
        Some(Self {
            is_h264,
            width: fields.u16()?,
            height: fields.u16()?,
        })
    }
}

fn is_h264_entry((kind, body): &Mp4Box<'_>) -> bool {
    /// Size of a visual sample entry before the boxes in it, in bytes.
    const FIXED_PART: usize = 78;
    let configured = body
        .get(FIXED_PART..)
        .and_then(|boxes| child(boxes, b"avcC"))
        .is_some();
    matches!(kind, b"avc1" | b"avc2" | b"avc3" | b"avc4") && configured
}

/// The duration of the samples in an `stts` box.
fn listed_units(stts: &[u8]) -> Option<u64> {
    let mut fields = FieldReader(stts);
    fields.version_and_flags()?;
    summed_pairs(&mut fields)
}

/// The duration that the edit list in an `edts` box presents, in units of the movie; 0 if one of
/// its entries leaves that open.
fn edited_units(edts: &[u8]) -> Option<u64> {
    let mut fields = FieldReader(child(edts, b"elst")?);
    let (version, _) = fields.version_and_flags()?;
    let entries = fields.u32()?;
    let mut sum = 0_u64;
    for _ in 0..entries {
        let units = fields.known(version)?;
        // The media time and its rate.
        fields.take(if version == 1 { 12 } else { 8 })?;
        if units == 0 {
            return Some(0);
        }
        sum = sum.checked_add(units)?;
    }
    Some(sum)
}
