//! What can be said about a video without decoding it: [`base64`] while it arrives, [`mp4`] of its container once it is there,
//! read through [`held`] where it lies in a body; [`digest`] hashes it. Looks at no picture.

pub mod base64;
mod boxes;
pub mod digest;
pub mod held;
pub mod mp4;

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

#[cfg(test)]
mod tests;
