//! ISO/IEC 14496-12 boxes, read from a slice: their big-endian fields, and the durations of samples
//! in a fragment.
//!
//! Every read is checked: nothing that the bytes claim makes it panic, allocate, or read a byte
//! twice.

use std::time::Duration;

/// The type of a box, and its content.
pub(super) type Mp4Box<'a> = ([u8; 4], &'a [u8]);

/// A box is truncated, or its size is impossible.
#[derive(Debug, thiserror::Error)]
#[error("a box is truncated, or its size is impossible")]
pub(super) struct BrokenBox;

/// Iterates over the consecutive boxes in a slice.
pub(super) struct Mp4Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Mp4Boxes<'a> {
    fn take_one(&mut self) -> Option<Mp4Box<'a>> {
        let mut cursor = FieldReader(self.0);
        let size = cursor.u32()?;
        let kind = *cursor.take(4)?.first_chunk()?;
        let (header, size) = match size {
            0 => (8, self.0.len()),
            1 => (16, usize::try_from(cursor.u64()?).ok()?),
            _ => (8, usize::try_from(size).ok()?),
        };
        let (whole, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some((kind, whole.get(header..)?))
    }
}

impl<'a> Iterator for Mp4Boxes<'a> {
    type Item = Result<Mp4Box<'a>, BrokenBox>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.take_one().ok_or(BrokenBox);
        if next.is_err() {
            self.0 = &[];
        }
        Some(next)
    }
}

/// The contents of all boxes of a type.
pub(super) fn children<'a>(
    parent: &'a [u8],
    kind: &'static [u8; 4],
) -> impl Iterator<Item = &'a [u8]> {
    Mp4Boxes(parent)
        .map_while(Result::ok)
        .filter(move |(found, _)| found == kind)
        .map(|(_, body)| body)
}

/// The content of the first box of a type.
pub(super) fn child<'a>(parent: &'a [u8], kind: &'static [u8; 4]) -> Option<&'a [u8]> {
    children(parent, kind).next()
}

/// Reads big-endian numbers from the front of a slice.
pub(super) struct FieldReader<'a>(pub(super) &'a [u8]);

impl<'a> FieldReader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?
            .first_chunk()
            .map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A field that is 64 bits wide in version 1 of its box and 32 in version 0.
    pub(super) fn wide(&mut self, version: u8) -> Option<u64> {
        if version == 1 {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    /// A duration of that width. All ones mean "unknown", and are read as 0.
    pub(super) fn known(&mut self, version: u8) -> Option<u64> {
        let units = self.wide(version)?;
        let unknown = if version == 1 {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        Some(if units == unknown { 0 } else { units })
    }

    /// Version and flags, which every "full" box begins with.
    pub(super) fn version_and_flags(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        let [version, ..] = word.to_be_bytes();
        Some((version, word & 0x00ff_ffff))
    }
}

/// A duration in units of `1/scale` seconds.
pub(super) struct MediaTime {
    pub(super) units: u64,
    pub(super) scale: u32,
}

impl MediaTime {
    /// `None` if the scale is 0, or the units are: both mean that nobody knew.
    pub(super) fn duration(&self) -> Option<Duration> {
        if self.units == 0 {
            return None;
        }
        let millis = u128::from(self.units)
            .checked_mul(1000)?
            .checked_div(u128::from(self.scale))?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

/// Scale and duration of an `mdhd` or `mvhd`.
pub(super) fn time_header(body: &[u8]) -> Option<MediaTime> {
    let mut cursor = FieldReader(body);
    let (version, _) = cursor.version_and_flags()?;
    cursor.take(if version == 1 { 16 } else { 8 })?;
    let scale = cursor.u32()?;
    let units = cursor.known(version)?;
    Some(MediaTime { units, scale })
}

/// The sum of count times delta over a list of pairs, as in `stts`.
pub(super) fn summed_pairs(cursor: &mut FieldReader<'_>) -> Option<u64> {
    let entries = cursor.u32()?;
    let mut sum = 0_u64;
    for _ in 0..entries {
        let (count, delta) = (cursor.u32()?, cursor.u32()?);
        sum = sum.checked_add(u64::from(count).checked_mul(u64::from(delta))?)?;
    }
    Some(sum)
}

/// The duration of the whole presentation, if a fragmented file declares it (`mehd`).
pub(super) fn declared_duration(moov: &[u8]) -> Option<Duration> {
    let mut mehd = FieldReader(child(child(moov, b"mvex")?, b"mehd")?);
    let (version, _) = mehd.version_and_flags()?;
    let units = mehd.known(version)?;
    let scale = time_header(child(moov, b"mvhd")?)?.scale;
    MediaTime { units, scale }.duration()
}

/// The default sample duration of a track (`trex`); 0 if there is none.
pub(super) fn default_duration(mvex: &[u8], track: u32) -> u32 {
    let of_track = |trex: &[u8]| {
        let mut cursor = FieldReader(trex);
        cursor.version_and_flags()?;
        let id = cursor.u32()?;
        cursor.u32()?;
        let duration = cursor.u32()?;
        (id == track).then_some(duration)
    };
    children(mvex, b"trex")
        .find_map(of_track)
        .unwrap_or_default()
}

/// The duration of the samples in one `traf`: 0 for another track, `None` if the box is malformed.
pub(super) fn fragment_units(traf: &[u8], track: u32, default: u32) -> Option<u64> {
    let mut tfhd = FieldReader(child(traf, b"tfhd")?);
    let (_, flags) = tfhd.version_and_flags()?;
    if tfhd.u32()? != track {
        return Some(0);
    }
    let mut default = default;
    if flags & 0x1 != 0 {
        tfhd.u64()?; // base data offset
    }
    if flags & 0x2 != 0 {
        tfhd.u32()?; // sample description
    }
    if flags & 0x8 != 0 {
        default = tfhd.u32()?;
    }
    let mut sum = 0_u64;
    for trun in children(traf, b"trun") {
        sum = sum.checked_add(run_units(trun, default)?)?;
    }
    Some(sum)
}

fn run_units(trun: &[u8], default: u32) -> Option<u64> {
    let mut cursor = FieldReader(trun);
    let (_, flags) = cursor.version_and_flags()?;
    let count = cursor.u32()?;
    for present in [0x1, 0x4] {
        if flags & present != 0 {
            cursor.u32()?; // data offset, first sample's flags
        }
    }
    if flags & 0x100 == 0 {
        return u64::from(count).checked_mul(u64::from(default));
    }
    // A sample's duration may be followed by its size, flags and composition offset.
    let others = [0x200, 0x400, 0x800]
        .iter()
        .filter(|present| flags & **present != 0)
        .count();
    let mut sum = 0_u64;
    for _ in 0..count {
        sum = sum.checked_add(u64::from(cursor.u32()?))?;
        cursor.take(others.checked_mul(4)?)?;
    }
    Some(sum)
}
