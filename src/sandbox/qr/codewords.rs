//! The content of a QR code: a text as data codewords, and the codewords that correct errors.

use std::collections::VecDeque;

/// Codewords of each version at level L: those with data, and those that correct errors.
const SIZES: [(usize, usize, usize); 5] = [
    (1, 19, 7),
    (2, 34, 10),
    (3, 55, 15),
    (4, 80, 20),
    (5, 108, 26),
];
/// The mode of bytes.
const BYTES: u8 = 0b0100;
/// What fills the data codewords, in turns.
const PADDING: [u8; 2] = [0xec, 0x11];
/// The polynomial of the field, without its highest term.
const FIELD: u8 = 0x1d;

/// The smallest version that holds the text, and its codewords; `None` if none does.
pub(super) fn encode(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let data = data(text)?;
    let fits = |size: &&(usize, usize, usize)| data.len() <= size.1;
    let (version, capacity, correction) = *SIZES.iter().find(fits)?;
    let padding = PADDING.iter().copied().cycle();
    let mut codewords: Vec<u8> = data.into_iter().chain(padding).take(capacity).collect();
    codewords.extend(remainder(&codewords, correction));
    Some((version, codewords))
}

/// The mode, the length, the text and an end of four bits. The mode has four bits as well, so all
/// else is half a codeword off.
fn data(text: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(text.len()).ok()?;
    let mut half = BYTES;
    let mut data = Vec::new();
    for byte in [&[length], text].concat() {
        data.push(half << 4 | byte >> 4);
        half = byte & 0xf;
    }
    data.push(half << 4);
    Some(data)
}

/// The remainder of the data, as a polynomial, by the generator of this degree.
fn remainder(data: &[u8], degree: usize) -> VecDeque<u8> {
    let generator = generator(degree);
    let mut rest: VecDeque<u8> = vec![0; degree].into();
    for byte in data {
        let factor = byte ^ rest.pop_front().unwrap_or_default();
        rest.push_back(0);
        for (coefficient, of_generator) in rest.iter_mut().zip(&generator) {
            *coefficient ^= product(*of_generator, factor);
        }
    }
    rest
}

/// The product of (x - 2^i) for i below `degree`: its coefficients, the highest first, without
/// that of the highest power, which is 1.
fn generator(degree: usize) -> Vec<u8> {
    let mut coefficients = vec![0; degree.saturating_sub(1)];
    coefficients.push(1);
    let mut root = 1;
    for _ in 0..degree {
        let lower: Vec<u8> = coefficients.iter().skip(1).copied().chain([0]).collect();
        for (coefficient, lower) in coefficients.iter_mut().zip(lower) {
            *coefficient = product(*coefficient, root) ^ lower;
        }
        root = product(root, 2);
    }
    coefficients
}

/// The product in the field of 256 elements.
fn product(one: u8, other: u8) -> u8 {
    (0..8).rev().fold(0, |sum: u8, bit| {
        let carried = if sum & 0x80 == 0 { 0 } else { FIELD };
        let added = if other >> bit & 1 == 0 { 0 } else { one };
        sum << 1 ^ carried ^ added
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator of degree 7, from table A.1 of the standard: powers of 2 from x^6 on.
    #[test]
    fn the_generator_is_that_of_the_standard() {
        let power = |exponent| (0..exponent).fold(1, |power, _| product(power, 2));
        let expected = [87, 229, 146, 149, 238, 102, 21].map(power);
        assert_eq!(generator(7), expected);
    }

    #[test]
    fn the_smallest_version_is_taken() {
        for (length, version) in [
            (0, 1),
            (17, 1),
            (18, 2),
            (32, 2),
            (53, 3),
            (78, 4),
            (106, 5),
        ] {
            assert_eq!(encode(&vec![b'x'; length]).unwrap().0, version, "{length}");
        }
        for length in [107, 255, 256, 1000] {
            assert!(encode(&vec![b'x'; length]).is_none(), "{length}");
        }
    }
}
