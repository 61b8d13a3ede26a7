//! Reads the few facts about an MP4 file that decide whether Qiniu would take it.
//!
//! ISO/IEC 14496-12 boxes: `ftyp`, then `moov/trak` of the first video track, then the fragments
//! (`moof/traf`) that belong to it. Each byte is looked at a bounded number of times, nothing is
//! allocated by what the file claims, and no claim can make it panic: every read is checked.

use std::time::Duration;

/// What is known of the first video track.
pub(super) struct Facts {
    /// Every sample entry is `avc1` or `avc3` with an `avcC`; encrypted ones (`encv`) are not.
    pub(super) is_h264: bool,
    /// Pixels.
    pub(super) width: u16,
    /// Pixels.
    pub(super) height: u16,
    pub(super) duration: Duration,
}

/// Reads the file; `None` if it is not a whole MP4 file with a video track.
pub(super) fn read(file: &[u8]) -> Option<Facts> {
    let (first, _) = Boxes(file).next()?.ok()?;
    if &first != b"ftyp" {
        return None;
    }
    // A box that runs past the end of the file, or no media at all: the file was cut.
    if !Boxes(file).all(|found| found.is_ok()) || child(file, b"mdat")?.is_empty() {
        return None;
    }
    let moov = child(file, b"moov")?;
    let track = children(moov, b"trak").find_map(video_track)?;
    let mut units = track.units;
    let default = child(moov, b"mvex").map_or(0, |mvex| default_duration(mvex, track.id));
    for traf in children(file, b"moof").flat_map(|moof| children(moof, b"traf")) {
        units = units.checked_add(fragment_units(traf, track.id, default)?)?;
    }
    let in_samples = Scaled {
        units,
        scale: track.scale,
    }
    .duration()?;
    let declared = declared_duration(moov).unwrap_or_default();
    Some(Facts {
        is_h264: track.is_h264,
        width: track.width,
        height: track.height,
        duration: in_samples.max(declared),
    })
}

type TypedBox<'a> = ([u8; 4], &'a [u8]);

/// A box is cut short or its size makes no sense.
struct Cut;

/// The boxes that stand one after another in a slice.
struct Boxes<'a>(&'a [u8]);

impl<'a> Boxes<'a> {
    fn take_one(&mut self) -> Option<TypedBox<'a>> {
        let mut cursor = Cursor(self.0);
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

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<TypedBox<'a>, Cut>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.take_one().ok_or(Cut);
        if next.is_err() {
            self.0 = &[];
        }
        Some(next)
    }
}

fn children<'a>(parent: &'a [u8], kind: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    Boxes(parent)
        .map_while(Result::ok)
        .filter(move |(found, _)| found == kind)
        .map(|(_, body)| body)
}

fn child<'a>(parent: &'a [u8], kind: &'static [u8; 4]) -> Option<&'a [u8]> {
    children(parent, kind).next()
}

/// Reads big-endian numbers off the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?
            .first_chunk()
            .map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A field that is 64 bits wide in version 1 of its box and 32 in version 0.
    fn wide(&mut self, version: u8) -> Option<u64> {
        if version == 1 {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    /// Version and flags, which begin every "full" box.
    fn version_and_flags(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        let [version, ..] = word.to_be_bytes();
        Some((version, word & 0x00ff_ffff))
    }
}

/// A length of time in units of `1/scale` seconds.
struct Scaled {
    units: u64,
    scale: u32,
}

impl Scaled {
    fn duration(&self) -> Option<Duration> {
        let millis = u128::from(self.units)
            .checked_mul(1000)?
            .checked_div(u128::from(self.scale))?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

struct Track {
    id: u32,
    scale: u32,
    /// What the samples listed in `moov` last; 0 where they all stand in fragments.
    units: u64,
    is_h264: bool,
    width: u16,
    height: u16,
}

fn video_track(trak: &[u8]) -> Option<Track> {
    let mdia = child(trak, b"mdia")?;
    if child(mdia, b"hdlr")?.get(8..12)? != b"vide" {
        return None;
    }
    let mut tkhd = Cursor(child(trak, b"tkhd")?);
    let (version, _) = tkhd.version_and_flags()?;
    tkhd.take(if version == 1 { 16 } else { 8 })?;
    let id = tkhd.u32()?;
    let header = time_header(child(mdia, b"mdhd")?)?;

    let stbl = child(child(mdia, b"minf")?, b"stbl")?;
    let mut stts = Cursor(child(stbl, b"stts")?);
    stts.version_and_flags()?;
    let listed = summed_pairs(&mut stts)?;

    let mut stsd = Cursor(child(stbl, b"stsd")?);
    stsd.version_and_flags()?;
    stsd.u32()?;
    let (_, entry) = Boxes(stsd.0).next()?.ok()?;
    let mut fields = Cursor(entry);
    fields.take(24)?;
    let is_h264 = Boxes(stsd.0).all(|entry| entry.is_ok_and(is_h264_entry));
    Some(Track {
        id,
        scale: header.scale,
        // A header may claim less than the samples last, or the reverse; believe the longer.
        units: listed.max(header.units),
        is_h264,
        width: fields.u16()?,
        height: fields.u16()?,
    })
}

fn is_h264_entry((kind, body): TypedBox) -> bool {
    /// Of a visual sample entry, before the boxes in it.
    const FIXED_PART: usize = 78;
    let configured = body
        .get(FIXED_PART..)
        .and_then(|boxes| child(boxes, b"avcC"))
        .is_some();
    matches!(&kind, b"avc1" | b"avc3") && configured
}

/// Scale and duration of an `mdhd` or `mvhd`. All ones means "unknown".
fn time_header(body: &[u8]) -> Option<Scaled> {
    let mut cursor = Cursor(body);
    let (version, _) = cursor.version_and_flags()?;
    cursor.take(if version == 1 { 16 } else { 8 })?;
    let scale = cursor.u32()?;
    let units = cursor.wide(version)?;
    let unknown = if version == 1 {
        u64::MAX
    } else {
        u64::from(u32::MAX)
    };
    Some(Scaled {
        units: if units == unknown { 0 } else { units },
        scale,
    })
}

/// Sum of count times delta over a list of pairs, as in `stts`.
fn summed_pairs(cursor: &mut Cursor) -> Option<u64> {
    let entries = cursor.u32()?;
    let mut sum = 0_u64;
    for _ in 0..entries {
        let (count, delta) = (cursor.u32()?, cursor.u32()?);
        sum = sum.checked_add(u64::from(count).checked_mul(u64::from(delta))?)?;
    }
    Some(sum)
}

/// The duration of the whole presentation as a fragmented file declares it (`mehd`), if it does.
fn declared_duration(moov: &[u8]) -> Option<Duration> {
    let mut mehd = Cursor(child(child(moov, b"mvex")?, b"mehd")?);
    let (version, _) = mehd.version_and_flags()?;
    let units = mehd.wide(version)?;
    let scale = time_header(child(moov, b"mvhd")?)?.scale;
    Scaled { units, scale }.duration()
}

/// The sample duration that `trex` sets for a track; 0 where it sets none.
fn default_duration(mvex: &[u8], track: u32) -> u32 {
    let of_track = |trex: &[u8]| {
        let mut cursor = Cursor(trex);
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

/// What the samples of one `traf` last: 0 for another track, `None` if the box is broken.
fn fragment_units(traf: &[u8], track: u32, default: u32) -> Option<u64> {
    let mut tfhd = Cursor(child(traf, b"tfhd")?);
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
    let mut cursor = Cursor(trun);
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
    // After its duration a sample may have a size, flags and a composition offset.
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
