//! Checks whether Qiniu would accept a `video_base64`.
//!
//! It decodes strict base64, reads the container with [`crate::media::mp4`], and compares the
//! result with the documented limits. It decodes no picture, and never panics, whatever the bytes.

use std::time::Duration;

use data_encoding::BASE64;

use super::error_code::ErrorCode;
use crate::media::{
    VideoFinding,
    mp4::{self, PlayingTime, judge},
};

/// Maximum decoded size, in bytes.
pub(super) const MAX_BYTES: usize = 20 * 1024 * 1024;
/// Maximum duration; Qiniu has an error code of its own for a longer video.
const MAX_DURATION: Duration = Duration::from_secs(10);
/// The first bytes of a WebM file (RFC 8794).
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// What Qiniu advises, for those who record.
const ADVICE: &str =
    "record 1 to 10 s of H.264 in MP4, 640x480 to 1280x720 pixels, at about 1 Mbit/s";

/// Why a video is refused, and what a person can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VideoError {
    #[error("video_base64 is empty; send the base64 of the recorded file")]
    Empty,
    #[error("video_base64 begins with `data:`; send only what follows the comma")]
    DataUrl,
    #[error("video_base64 is a URL; send the video itself in base64")]
    Url,
    #[error(
        "video_base64 is not standard base64; use the alphabet with + and /, padding with =, and \
         no blanks or line breaks"
    )]
    NotBase64,
    #[error("the video is larger than 20 MiB; {advice}", advice = ADVICE)]
    TooLarge,
    #[error(
        "the file is WebM; browsers record MP4 if asked for `video/mp4;codecs=\"avc1.42E01F\"`"
    )]
    WebM,
    #[error("the file is not a complete MP4 file; {advice}", advice = ADVICE)]
    NotMp4,
    #[error("the file has no video track; {advice}", advice = ADVICE)]
    NoVideoTrack,
    #[error(
        "the video is not encoded as H.264; ask the recorder for it (`video/mp4` alone may be VP9, \
         phones may record HEVC)"
    )]
    NotH264,
    #[error("the picture has {0}x{1} pixels; each side must have 16 to 2032; {advice}", advice = ADVICE)]
    Dimensions(u16, u16),
    #[error("the video lasts {0:.1?}, which is shorter than 1 s; {advice}", advice = ADVICE)]
    TooShort(Duration),
    #[error("the video lasts {0:.1?}, which is longer than 10 s; {advice}", advice = ADVICE)]
    TooLong(Duration),
}

impl VideoError {
    /// Qiniu's code.
    pub(super) fn code(self) -> ErrorCode {
        match self {
            Self::TooLong(_) => ErrorCode::VIDEO_TOO_LONG,
            _ => ErrorCode::NO_VIDEO,
        }
    }
}

/// Checks the text of a `video_base64`: standard alphabet and padding, no blanks, no prefix.
///
/// # Errors
/// See [`VideoError`].
pub(super) fn check(base64: &str) -> Result<(), VideoError> {
    if base64.is_empty() {
        return Err(VideoError::Empty);
    }
    if base64.starts_with("data:") {
        return Err(VideoError::DataUrl);
    }
    if base64.starts_with("http://") || base64.starts_with("https://") {
        return Err(VideoError::Url);
    }
    if base64.len() > MAX_BYTES.div_ceil(3) * 4 {
        return Err(VideoError::TooLarge);
    }
    let video = BASE64
        .decode(base64.as_bytes())
        .map_err(|_| VideoError::NotBase64)?;
    check_bytes(&video)
}

fn check_bytes(video: &[u8]) -> Result<(), VideoError> {
    if video.len() > MAX_BYTES {
        return Err(VideoError::TooLarge);
    }
    let read = mp4::read_slice(video);
    judge(read).map_err(|finding| match finding {
        VideoFinding::Empty => VideoError::Empty,
        VideoFinding::DataUrl => VideoError::DataUrl,
        VideoFinding::NotBase64 => VideoError::NotBase64,
        VideoFinding::TooLarge => VideoError::TooLarge,
        VideoFinding::NotMp4 if video.starts_with(&EBML) => VideoError::WebM,
        VideoFinding::NotMp4 => VideoError::NotMp4,
        VideoFinding::NoVideoTrack => VideoError::NoVideoTrack,
        VideoFinding::NotH264 => VideoError::NotH264,
        VideoFinding::Dimensions => {
            let facts = read.ok();
            let (width, height) = facts.map_or((0, 0), |facts| (facts.width, facts.height));
            VideoError::Dimensions(width, height)
        }
        VideoFinding::Duration => duration(read.ok().and_then(|facts| facts.time)),
    })
}

fn duration(time: Option<PlayingTime>) -> VideoError {
    let (shortest, longest) =
        time.map_or_else(Default::default, |time| (time.shortest, time.longest));
    match shortest > MAX_DURATION {
        true => VideoError::TooLong(shortest),
        false => VideoError::TooShort(longest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const MOOV_FIRST: &[u8] = include_bytes!("../../tests/data/h264-moov-first.mp4");
    const MOOV_LAST: &[u8] = include_bytes!("../../tests/data/h264-moov-last.mp4");
    const FRAGMENTED: &[u8] = include_bytes!("../../tests/data/h264-fragmented.mp4");
    const WITH_AUDIO: &[u8] = include_bytes!("../../tests/data/h264-with-audio.mp4");
    const HEVC: &[u8] = include_bytes!("../../tests/data/hevc.mp4");
    const AUDIO_ONLY: &[u8] = include_bytes!("../../tests/data/audio-only.mp4");
    const TOO_SHORT: &[u8] = include_bytes!("../../tests/data/too-short.mp4");
    const TOO_LONG: &[u8] = include_bytes!("../../tests/data/too-long.mp4");
    const TOO_SMALL: &[u8] = include_bytes!("../../tests/data/too-small.mp4");
    const TOO_WIDE: &[u8] = include_bytes!("../../tests/data/too-wide.mp4");

    /// Appends a `free` box, which every reader skips, so that the file has `size` bytes.
    fn padded(video: &[u8], size: usize) -> Vec<u8> {
        let mut video = video.to_vec();
        let free = u32::try_from(size - video.len()).unwrap();
        video.extend_from_slice(&free.to_be_bytes());
        video.extend_from_slice(b"free");
        video.resize(size, 0);
        video
    }

    #[test]
    fn good_and_unusable_real_videos_are_distinguished() {
        for good in [MOOV_FIRST, MOOV_LAST, FRAGMENTED, WITH_AUDIO] {
            assert_eq!(check_bytes(good), Ok(()));
            let facts = mp4::read_slice(good).unwrap();
            assert_eq!((facts.width, facts.height), (640, 480));
            assert_eq!(facts.time.unwrap().longest, Duration::from_secs(3));
        }
        for bad in [
            HEVC, AUDIO_ONLY, TOO_SHORT, TOO_SMALL, TOO_WIDE, TOO_LONG, b"", b"GIF89a",
        ] {
            assert!(check_bytes(bad).is_err());
        }
    }

    #[test]
    fn videos_up_to_20_mebibytes_are_accepted() {
        assert_eq!(
            check(&BASE64.encode(&padded(MOOV_FIRST, MAX_BYTES))),
            Ok(())
        );
        let over = BASE64.encode(&padded(MOOV_FIRST, MAX_BYTES + 1));
        assert_eq!(check(&over), Err(VideoError::TooLarge));
    }

    #[test]
    fn only_strict_base64_is_accepted() {
        let good = BASE64.encode(MOOV_FIRST);
        assert_eq!(check(&good), Ok(()));
        let padded = BASE64.encode(&padded(MOOV_FIRST, MOOV_FIRST.len() / 3 * 3 + 301));
        assert!(padded.ends_with("=="));
        assert_eq!(check(&padded), Ok(()));
        for bad in [
            padded.trim_end_matches('=').to_owned(),
            format!("{good}\n"),
            good.replacen('A', " A", 1),
            data_encoding::BASE64URL.encode(MOOV_FIRST),
        ] {
            assert_eq!(check(&bad), Err(VideoError::NotBase64));
        }
        assert_eq!(check(""), Err(VideoError::Empty));
        let prefixed = format!("data:video/mp4;base64,{good}");
        assert_eq!(check(&prefixed), Err(VideoError::DataUrl));
        let url = "https://example.test/video.mp4";
        assert_eq!(check(url), Err(VideoError::Url));
    }

    #[test]
    fn a_truncated_file_is_refused() {
        for whole in [MOOV_FIRST, MOOV_LAST, WITH_AUDIO] {
            for length in (0..whole.len()).step_by(7) {
                assert!(check_bytes(&whole[..length]).is_err(), "{length}");
            }
        }
        for length in 0..FRAGMENTED.len() {
            let _ = check_bytes(&FRAGMENTED[..length]);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..4096)) {
            let _ = check_bytes(&bytes);
            let _ = mp4::read_slice(&[b"\0\0\0\x10ftypisom\0\0\0\0".as_slice(), &bytes].concat());
        }

        #[test]
        fn damaged_files_do_not_panic(
            which in 0..4_usize,
            damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..64),
        ) {
            let mut video = [MOOV_FIRST, FRAGMENTED, WITH_AUDIO, TOO_SMALL][which].to_vec();
            // Readers look at the boxes at the front, so the damage goes there.
            let front = video.len().min(2_000);
            for (place, byte) in damage {
                video[place.index(front)] = byte;
            }
            let _ = check_bytes(&video);
        }
    }
}
