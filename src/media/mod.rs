//! Checks of a video that need no decoding of its pictures.
//!
//! [`base64`] checks its text while it arrives, [`mp4`] reads its container once it is complete,
//! through [`held`] where it is inside a body, and [`digest`] hashes it. Never looks at a picture.

pub mod base64;
mod boxes;
pub mod digest;
pub mod held;
pub mod mp4;
mod track;

use crate::closed_set::{ClosedSet, closed_set};

closed_set! {
    /// A reason for which Qiniu rejects a video.
    #[derive(Hash, thiserror::Error)]
    pub enum VideoFinding {
        /// It has no bytes.
        #[error("the video is empty; record it again")]
        Empty = "empty",
        /// Its text starts with `data:`.
        #[error("`video_base64` must be base64 without `data:video/mp4;base64,`")]
        DataUrl = "data_url",
        /// Its text is not standard base64: the alphabet, white space or the padding.
        #[error("`video_base64` must be standard base64, with padding and without white space")]
        NotBase64 = "not_base64",
        /// It has more than [`base64::MAX_VIDEO`] bytes.
        #[error("the video is larger than 20 MiB; record it at about 1 Mbit/s")]
        TooLarge = "too_large",
        /// It is not a complete MP4 file.
        #[error("the video is not a complete MP4 file; record or convert it to H.264 in MP4")]
        NotMp4 = "not_mp4",
        /// The file has no video track.
        #[error("the file has no video track; record with the camera")]
        NoVideoTrack = "no_video_track",
        /// The codec is not H.264.
        #[error(
            "the video must be encoded as H.264; phones and browsers record it if they are asked to"
        )]
        NotH264 = "not_h264",
        /// It is surely shorter than one second or longer than ten.
        #[error("the video must last 1 to 10 seconds")]
        Duration = "duration",
        /// Its width or height is below 16 pixels or above 2032.
        #[error("the video's width and height must be 16 to 2032 pixels")]
        Dimensions = "dimensions",
    }
}

impl VideoFinding {
    /// The name of the finding, as in problem documents and metrics.
    pub fn name(self) -> &'static str {
        self.as_str()
    }
}

#[cfg(test)]
mod duration_tests;
#[cfg(test)]
mod recorder_tests;
#[cfg(test)]
mod test_file;
#[cfg(test)]
mod tests;
