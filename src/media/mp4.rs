//! The few facts about an MP4 file that decide whether Qiniu would take it.
//!
//! ISO/IEC 14496-12 boxes: `ftyp`, then `moov/trak` of the first video track, then the fragments (`moof/traf`) that belong to
//! it. The file is read where its boxes begin, from front to back and never all of it, so it may be anywhere, in pieces, and
//! as large as it likes. What is held of it has a limit, whatever it claims.

use std::time::Duration;

use super::boxes::{Boxes, Cursor, TypedBox, child, children};

/// Boxes at the top of a file at the most: ten seconds with a fragment for each picture have some 1,200.
const MOST_BOXES: usize = 8192;
/// Bytes of an index at the most, and of one fragment's: ten seconds have a few thousand.
const MOST_INDEX: u64 = 1024 * 1024;
const MOST_FRAGMENT: u64 = 64 * 1024;
/// Bytes of all of them together: a file that is nothing but indexes would be decoded whole.
const MOST_INDEXES: u64 = 2 * MOST_INDEX;

/// What is known of the first video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
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
pub enum Unreadable {
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
) -> Result<Facts, Unreadable> {
    let mut file = File::default();
    let mut at = 0_u64;
    let mut left = MOST_INDEXES;
    for number in 0..MOST_BOXES {
        if at >= length {
            return file.facts();
        }
        let found = header(at, length, &mut source).ok_or(Unreadable::NotMp4)?;
        if number == 0 && &found.kind != b"ftyp" {
            return Err(Unreadable::NotMp4);
        }
        let most = match &found.kind {
            b"moov" => MOST_INDEX,
            b"moof" => MOST_FRAGMENT,
            _ => 0,
        };
        if most > 0 {
            let body = body(at, &found, most.min(left), &mut source).ok_or(Unreadable::NotMp4)?;
            left = left.saturating_sub(body.len() as u64);
            file.index(&found.kind, &body)?;
        }
        file.has_media |= &found.kind == b"mdat" && found.size > found.header;
        at = at.saturating_add(found.size);
    }
    Err(Unreadable::NotMp4)
}

/// [`read`] for a file that is held in one piece.
///
/// # Errors
/// Why there are no facts.
pub fn read_slice(file: &[u8]) -> Result<Facts, Unreadable> {
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
struct Header {
    kind: [u8; 4],
    /// Bytes of the header.
    header: u64,
    /// Bytes of the whole box.
    size: u64,
}

/// The header at `at`; `None` where the file is cut or the size makes no sense.
fn header(at: u64, length: u64, source: &mut impl FnMut(u64, &mut [u8]) -> bool) -> Option<Header> {
    let left = length.checked_sub(at)?;
    let mut bytes = [0; 16];
    let known = usize::try_from(left.min(16)).ok()?;
    if !source(at, bytes.get_mut(..known)?) {
        return None;
    }
    let mut cursor = Cursor(bytes.get(..known)?);
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
        .then_some(Header { kind, header, size })
}

/// What is in the box at `at`; `None` for one of more than `most` bytes.
fn body(
    at: u64,
    found: &Header,
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
struct File {
    has_media: bool,
    indexed: bool,
    track: Option<Track>,
    /// As a fragmented file declares it.
    declared: Duration,
    /// What a sample lasts where its fragment does not say.
    default: u32,
}

impl File {
    fn index(&mut self, kind: &[u8; 4], body: &[u8]) -> Result<(), Unreadable> {
        if kind == b"moof" {
            return self.fragment(body).ok_or(Unreadable::NotMp4);
        }
        if std::mem::replace(&mut self.indexed, true) {
            return Err(Unreadable::NotMp4);
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

    fn facts(self) -> Result<Facts, Unreadable> {
        if !self.indexed || !self.has_media {
            return Err(Unreadable::NotMp4);
        }
        let track = self.track.ok_or(Unreadable::NoVideoTrack)?;
        let in_samples = Scaled {
            units: track.units,
            scale: track.scale,
        }
        .duration()
        .ok_or(Unreadable::NotMp4)?;
        Ok(Facts {
            is_h264: track.is_h264,
            width: track.width,
            height: track.height,
            duration: in_samples.max(self.declared),
        })
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

fn is_h264_entry((kind, body): TypedBox<'_>) -> bool {
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
fn summed_pairs(cursor: &mut Cursor<'_>) -> Option<u64> {
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
