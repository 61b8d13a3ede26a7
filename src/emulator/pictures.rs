//! The pictures of the responses: committed abstract patterns, padded to the size of a photograph.
//!
//! `pictures/README.md` says how they were made. Nothing here depends on a request.

use std::sync::Arc;

use data_encoding::BASE64;

/// The committed pictures, in the order of `pic_list`.
const PICTURES: [&[u8]; 8] = [
    include_bytes!("pictures/1.jpg"),
    include_bytes!("pictures/2.jpg"),
    include_bytes!("pictures/3.jpg"),
    include_bytes!("pictures/4.jpg"),
    include_bytes!("pictures/5.jpg"),
    include_bytes!("pictures/6.jpg"),
    include_bytes!("pictures/7.jpg"),
    include_bytes!("pictures/8.jpg"),
];
/// Padded size of the first picture, in bytes.
const FIRST_SIZE: usize = 73_000;
/// Each further picture is this much larger, in bytes, so that its size identifies it.
const SIZE_STEP: usize = 500;
/// Length of the start marker and the JFIF header of a JPEG file, in bytes.
const JFIF_HEADER: usize = 20;

/// The padded pictures in base64.
pub(super) struct SamplePictures(Arc<[String]>);

impl SamplePictures {
    /// Pads and encodes all pictures.
    pub(super) fn new() -> Self {
        let sizes = (FIRST_SIZE..).step_by(SIZE_STEP);
        let pictures = PICTURES.iter().zip(sizes);
        let encoded = pictures.map(|(jpeg, size)| BASE64.encode(&padded(jpeg, size)));
        Self(encoded.collect())
    }

    /// All pictures, in the order of `pic_list`.
    pub(super) fn all(&self) -> &[String] {
        &self.0
    }
}

/// Inserts two comment segments after the JFIF header, so that the picture has `size` bytes.
/// Decoders skip comments.
fn padded(jpeg: &[u8], size: usize) -> Vec<u8> {
    let Some((header, rest)) = jpeg.split_at_checked(JFIF_HEADER) else {
        return jpeg.to_vec();
    };
    let padding = size.saturating_sub(jpeg.len());
    let mut padded = header.to_vec();
    for segment in [padding / 2, padding - padding / 2] {
        // The declared length includes its own two bytes, but not the marker's.
        let declared = u16::try_from(segment.saturating_sub(2)).unwrap_or(u16::MAX);
        let blanks = usize::from(declared).saturating_sub(2);
        padded.extend_from_slice(&[0xff, 0xfe]);
        padded.extend_from_slice(&declared.to_be_bytes());
        padded.extend(std::iter::repeat_n(b' ', blanks));
    }
    padded.extend_from_slice(rest);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_base64_of_distinct_jpegs() {
        let pictures = SamplePictures::new();
        let decode = |picture: &String| BASE64.decode(picture.as_bytes()).unwrap();
        let decoded: std::collections::HashSet<Vec<u8>> =
            pictures.all().iter().map(decode).collect();
        assert_eq!(decoded.len(), PICTURES.len());
        for jpeg in decoded {
            assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
        }
    }

    #[test]
    fn padding_consists_of_comment_segments_after_the_jfif_header() {
        for (index, jpeg) in PICTURES.iter().enumerate() {
            let (header, scan) = jpeg.split_at(JFIF_HEADER);
            assert!(header.starts_with(b"\xff\xd8\xff\xe0\x00\x10JFIF\0"));
            let padded = padded(jpeg, FIRST_SIZE + index);
            assert_eq!(padded.len(), FIRST_SIZE + index);
            let mut rest = padded.strip_prefix(header).unwrap();
            for _ in 0..2 {
                assert!(rest.starts_with(&[0xff, 0xfe]));
                let declared = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
                rest = &rest[2 + declared..];
            }
            assert_eq!(rest, scan);
        }
    }
}
