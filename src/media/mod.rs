//! What can be said about a video without decoding it: [`base64`] while it arrives, [`mp4`] of its container once it is there,
//! read through [`held`] where it lies in a body; [`digest`] hashes it. Looks at no picture.

pub mod base64;
mod boxes;
pub mod digest;
pub mod encode;
pub mod held;
pub mod mp4;
mod track;

use std::{ops::RangeInclusive, time::Duration};

use mp4::{Mp4Error, Mp4Facts};

/// How long Qiniu wants a video to be.
const DURATIONS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// Its width and height, in pixels.
const SIDES: RangeInclusive<u16> = 16..=2032;

/// What is wrong with a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoFinding {
    /// No bytes at all.
    Empty,
    /// Starts like a `data:` URL.
    DataUrl,
    /// Not standard base64: alphabet, white space or padding.
    NotBase64,
    /// More than [`base64::MAX_VIDEO`] bytes when decoded.
    TooLarge,
    /// Not a whole MP4 file.
    NotMp4,
    /// No video in it.
    NoVideoTrack,
    /// Another codec than H.264.
    NotH264,
    /// Shorter than a second or longer than ten.
    Duration,
    /// Narrower than 16 pixels or wider than 2032, or so in height.
    Dimensions,
}

impl VideoFinding {
    /// Its name for callers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::DataUrl => "data_url",
            Self::NotBase64 => "not_base64",
            Self::TooLarge => "too_large",
            Self::NotMp4 => "not_mp4",
            Self::NoVideoTrack => "no_video_track",
            Self::NotH264 => "not_h264",
            Self::Duration => "duration",
            Self::Dimensions => "dimensions",
        }
    }
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

#[cfg(test)]
mod tests;
