//! What an MP4's index says of its video track, and how long the samples of a fragment last. Reads slices, and believes no
//! claim that the slice does not bear out.

use std::time::Duration;

use super::boxes::{FieldReader, Mp4Box, Mp4Boxes, child, children};

/// A length of time in units of `1/scale` seconds.
pub(super) struct MediaTime {
    pub(super) units: u64,
    pub(super) scale: u32,
}

impl MediaTime {
    pub(super) fn duration(&self) -> Option<Duration> {
        let millis = u128::from(self.units)
            .checked_mul(1000)?
            .checked_div(u128::from(self.scale))?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

pub(super) struct VideoTrack {
    pub(super) id: u32,
    pub(super) scale: u32,
    /// What the samples listed in `moov` last; 0 where they all stand in fragments.
    pub(super) units: u64,
    pub(super) is_h264: bool,
    pub(super) width: u16,
    pub(super) height: u16,
}

/// The track, if it is one of video and whole.
pub(super) fn video_track(trak: &[u8]) -> Option<VideoTrack> {
    let mdia = child(trak, b"mdia")?;
    if child(mdia, b"hdlr")?.get(8..12)? != b"vide" {
        return None;
    }
    let mut tkhd = FieldReader(child(trak, b"tkhd")?);
    let (version, _) = tkhd.version_and_flags()?;
    tkhd.take(if version == 1 { 16 } else { 8 })?;
    let id = tkhd.u32()?;
    let header = time_header(child(mdia, b"mdhd")?)?;

    let stbl = child(child(mdia, b"minf")?, b"stbl")?;
    let mut stts = FieldReader(child(stbl, b"stts")?);
    stts.version_and_flags()?;
    let listed = summed_pairs(&mut stts)?;

    let mut stsd = FieldReader(child(stbl, b"stsd")?);
    stsd.version_and_flags()?;
    stsd.u32()?;
    let (_, entry) = Mp4Boxes(stsd.0).next()?.ok()?;
    let mut fields = FieldReader(entry);
    fields.take(24)?;
    let is_h264 = Mp4Boxes(stsd.0).all(|entry| entry.is_ok_and(is_h264_entry));
    Some(VideoTrack {
        id,
        scale: header.scale,
        // A header may claim less than the samples last, or the reverse; believe the longer.
        units: listed.max(header.units),
        is_h264,
        width: fields.u16()?,
        height: fields.u16()?,
    })
}

fn is_h264_entry((kind, body): Mp4Box<'_>) -> bool {
    /// Of a visual sample entry, before the boxes in it.
    const FIXED_PART: usize = 78;
    let configured = body
        .get(FIXED_PART..)
        .and_then(|boxes| child(boxes, b"avcC"))
        .is_some();
    matches!(&kind, b"avc1" | b"avc3") && configured
}

/// Scale and duration of an `mdhd` or `mvhd`. All ones means "unknown".
fn time_header(body: &[u8]) -> Option<MediaTime> {
    let mut cursor = FieldReader(body);
    let (version, _) = cursor.version_and_flags()?;
    cursor.take(if version == 1 { 16 } else { 8 })?;
    let scale = cursor.u32()?;
    let units = cursor.wide(version)?;
    let unknown = if version == 1 {
        u64::MAX
    } else {
        u64::from(u32::MAX)
    };
    Some(MediaTime {
        units: if units == unknown { 0 } else { units },
        scale,
    })
}

/// Sum of count times delta over a list of pairs, as in `stts`.
fn summed_pairs(cursor: &mut FieldReader<'_>) -> Option<u64> {
    let entries = cursor.u32()?;
    let mut sum = 0_u64;
    for _ in 0..entries {
        let (count, delta) = (cursor.u32()?, cursor.u32()?);
        sum = sum.checked_add(u64::from(count).checked_mul(u64::from(delta))?)?;
    }
    Some(sum)
}

/// The duration of the whole presentation as a fragmented file declares it (`mehd`), if it does.
pub(super) fn declared_duration(moov: &[u8]) -> Option<Duration> {
    let mut mehd = FieldReader(child(child(moov, b"mvex")?, b"mehd")?);
    let (version, _) = mehd.version_and_flags()?;
    let units = mehd.wide(version)?;
    let scale = time_header(child(moov, b"mvhd")?)?.scale;
    MediaTime { units, scale }.duration()
}

/// The sample duration that `trex` sets for a track; 0 where it sets none.
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

/// What the samples of one `traf` last: 0 for another track, `None` if the box is broken.
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
