//! Checks whether Qiniu would accept a `video_base64`.
//!
//! It decodes strict base64, reads the container with [`crate::media::mp4`], and compares the
//! result with the documented limits. It decodes no picture, and never panics, whatever the bytes.

use std::time::Duration;

use data_encoding::BASE64;

use crate::media::{
    VideoFinding,
    mp4::{self, Mp4Facts, judge},
};

/// Maximum decoded size, in bytes.
pub(super) const MAX_BYTES: usize = 20 * 1024 * 1024;
/// Maximum duration; Qiniu has an error code of its own for a longer video.
const MAX_DURATION: Duration = Duration::from_secs(10);

/// Why a video is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VideoError {
    /// Wrong encoding, container, codec, size or dimensions, or too short.
    #[error("no usable video")]
    Unusable,
    /// Longer than ten seconds.
    #[error("the video is too long")]
    TooLong,
}

/// Checks the text of a `video_base64`: standard alphabet and padding, no blanks, no prefix.
///
/// # Errors
/// See [`VideoError`].
pub(super) fn check(base64: &str) -> Result<(), VideoError> {
    if base64.is_empty() || base64.len() > MAX_BYTES.div_ceil(3) * 4 {
        return Err(VideoError::Unusable);
    }
    let video = BASE64
        .decode(base64.as_bytes())
        .map_err(|_| VideoError::Unusable)?;
    check_bytes(&video)
}

fn check_bytes(video: &[u8]) -> Result<(), VideoError> {
    if video.len() > MAX_BYTES {
        return Err(VideoError::Unusable);
    }
    let read = mp4::read_slice(video);
    match judge(read) {
        Ok(()) => Ok(()),
        Err(VideoFinding::Duration) if read.is_ok_and(|facts| is_long(&facts)) => {
            Err(VideoError::TooLong)
        }
        Err(_) => Err(VideoError::Unusable),
    }
}

fn is_long(facts: &Mp4Facts) -> bool {
    facts.time.is_some_and(|time| time.shortest > MAX_DURATION)
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
            HEVC, AUDIO_ONLY, TOO_SHORT, TOO_SMALL, TOO_WIDE, b"", b"GIF89a",
        ] {
            assert_eq!(check_bytes(bad), Err(VideoError::Unusable));
        }
        assert_eq!(check_bytes(TOO_LONG), Err(VideoError::TooLong));
    }

    #[test]
    fn videos_up_to_20_mebibytes_are_accepted() {
        assert_eq!(
            check(&BASE64.encode(&padded(MOOV_FIRST, MAX_BYTES))),
            Ok(())
        );
        let over = BASE64.encode(&padded(MOOV_FIRST, MAX_BYTES + 1));
        assert_eq!(check(&over), Err(VideoError::Unusable));
    }

    #[test]
    fn only_strict_base64_is_accepted() {
        let good = BASE64.encode(MOOV_FIRST);
        assert_eq!(check(&good), Ok(()));
        let padded = BASE64.encode(&padded(MOOV_FIRST, MOOV_FIRST.len() / 3 * 3 + 301));
        assert!(padded.ends_with("=="));
        assert_eq!(check(&padded), Ok(()));
        for bad in [
            String::new(),
            padded.trim_end_matches('=').to_owned(),
            format!("data:video/mp4;base64,{good}"),
            format!("{good}\n"),
            good.replacen('A', " A", 1),
            data_encoding::BASE64URL.encode(MOOV_FIRST),
            "https://example.test/video.mp4".to_owned(),
        ] {
            assert_eq!(check(&bad), Err(VideoError::Unusable));
        }
    }

    #[test]
    fn a_truncated_file_is_refused() {
        for whole in [MOOV_FIRST, MOOV_LAST, WITH_AUDIO] {
            for length in (0..whole.len()).step_by(7) {
                assert_eq!(
                    check_bytes(&whole[..length]),
                    Err(VideoError::Unusable),
                    "{length}"
                );
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
