//! A small baseline JPEG encoder, for pictures nobody has to consent to.
//!
//! Draws a grey, face-like oval under deterministic noise, whose strength steers the size, and
//! encodes it with one component and the standard luminance Huffman tables (ITU-T T.81, annex K).
//! Used once at start, so it is plain rather than fast. Takes no input from outside.

use std::f32::consts::PI;

/// Width in pixels, a multiple of 8.
pub(super) const WIDTH: u16 = 360;
/// Height in pixels, a multiple of 8.
pub(super) const HEIGHT: u16 = 480;

/// How many codes there are of each length from 1 to 16 bits, then the symbols in code order.
struct HuffmanTable {
    counts: [u8; 16],
    symbols: &'static [u8],
}

const DC: HuffmanTable = HuffmanTable {
    counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};

const AC: HuffmanTable = HuffmanTable {
    counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
    symbols: b"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\
        \x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0\x24\x33\x62\x72\x82\x09\x0a\x16\
        \x17\x18\x19\x1a\x25\x26\x27\x28\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\
        \x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\
        \x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\
        \x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\
        \xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\
        \xd9\xda\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\
        \xf9\xfa",
};

/// Where each coefficient of a block stands, in the order in which they are written.
#[rustfmt::skip]
const ZIGZAG: [usize; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

type Block = [f32; 64];

/// A picture of [`WIDTH`] by [`HEIGHT`]: `seed` picks the noise, `strength` (grey levels, up to
/// about 60) its height and with it the size.
pub(super) fn picture(seed: u32, strength: f32) -> Vec<u8> {
    let basis = cosines();
    let quantum = quantization();
    let (dc_codes, ac_codes) = (codes(&DC), codes(&AC));
    let mut noise = Noise(seed | 1);
    let mut bits = BitWriter {
        out: head(&quantum),
        pending: 0,
        held: 0,
    };
    let mut previous_dc = 0;
    for top in (0..HEIGHT).step_by(8) {
        for left in (0..WIDTH).step_by(8) {
            let block = draw(left, top, strength, &mut noise);
            let frequencies = transform(&transform(&block, &basis), &basis);
            let levels = ZIGZAG.iter().zip(&quantum).map(|(at, quantum)| {
                let value = frequencies.get(*at).copied().unwrap_or_default();
                // Fits: |value| is at most 1024, and the narrowest symbol table stops at 1023.
                ((value / f32::from(*quantum)).round() as i32).clamp(-1023, 1023)
            });
            previous_dc = write_block(&mut bits, levels, previous_dc, &dc_codes, &ac_codes);
        }
    }
    bits.finish()
}

/// Pixels of the block whose corner is given, around 0: a lit oval, softly shaded, under noise.
fn draw(left: u16, top: u16, strength: f32, noise: &mut Noise) -> Block {
    let mut block = [0.0; 64];
    let places = (0..8u16).flat_map(|y| (0..8u16).map(move |x| (x, y)));
    for (pixel, (x, y)) in block.iter_mut().zip(places) {
        let across = f32::from(left + x) / f32::from(WIDTH) - 0.5;
        let down = f32::from(top + y) / f32::from(HEIGHT) - 0.5;
        let from_centre = (across * across / 0.09 + down * down / 0.14).sqrt();
        let shade = if from_centre < 1.0 {
            60.0 - 50.0 * from_centre
        } else {
            -40.0
        };
        *pixel = (shade + strength * noise.next()).clamp(-128.0, 127.0);
    }
    block
}

/// Row `k` holds the values of the `k`-th basis function of an 8-point DCT.
fn cosines() -> [[f32; 8]; 8] {
    std::array::from_fn(|k| {
        let scale = if k == 0 { (0.125_f32).sqrt() } else { 0.5 };
        std::array::from_fn(|n| scale * (((2 * n + 1) * k) as f32 * PI / 16.0).cos())
    })
}

/// Transforms each row and turns the block over, so that doing it twice transforms both ways.
fn transform(block: &Block, basis: &[[f32; 8]; 8]) -> Block {
    let mut turned = [0.0; 64];
    let sums = basis.iter().flat_map(|wave| {
        block
            .chunks_exact(8)
            .map(move |row| row.iter().zip(wave).map(|(a, b)| a * b).sum())
    });
    for (slot, sum) in turned.iter_mut().zip(sums) {
        *slot = sum;
    }
    turned
}

/// Coarser for higher frequencies; in zigzag order.
fn quantization() -> [u8; 64] {
    std::array::from_fn(|k| 8 + (k / 3) as u8)
}

/// Code and length of each symbol.
fn codes(table: &HuffmanTable) -> [(u32, u32); 256] {
    let mut codes = [(0, 0); 256];
    let mut symbols = table.symbols.iter();
    let mut code = 0;
    for (length, count) in (1..).zip(table.counts) {
        for symbol in symbols.by_ref().take(usize::from(count)) {
            if let Some(slot) = codes.get_mut(usize::from(*symbol)) {
                *slot = (code, length);
            }
            code += 1;
        }
        code <<= 1;
    }
    codes
}

/// Writes one block and returns its DC level, from which the next one counts.
fn write_block(
    bits: &mut BitWriter,
    mut levels: impl Iterator<Item = i32>,
    previous_dc: i32,
    dc_codes: &[(u32, u32); 256],
    ac_codes: &[(u32, u32); 256],
) -> i32 {
    let dc = levels.next().unwrap_or_default();
    bits.symbol(dc_codes, 0, dc - previous_dc);
    let mut zeros = 0;
    for level in levels {
        if level == 0 {
            zeros += 1;
            continue;
        }
        while zeros > 15 {
            bits.symbol(ac_codes, 15, 0);
            zeros -= 16;
        }
        bits.symbol(ac_codes, zeros, level);
        zeros = 0;
    }
    if zeros > 0 {
        bits.symbol(ac_codes, 0, 0);
    }
    dc
}

struct BitWriter {
    out: Vec<u8>,
    /// Bits not yet written, at the low end.
    pending: u32,
    held: u32,
}

impl BitWriter {
    /// Writes the symbol for `run` zeros and a level, then the level's own bits.
    fn symbol(&mut self, codes: &[(u32, u32); 256], run: u32, level: i32) {
        let size = u32::BITS - level.unsigned_abs().leading_zeros();
        let (code, length) = codes
            .get((run * 16 + size) as usize)
            .copied()
            .unwrap_or_default();
        self.push(code, length);
        let own = if level < 0 { level - 1 } else { level };
        self.push(own as u32 & ((1 << size) - 1), size);
    }

    /// Appends the low `length` (at most 16) bits; a byte of ones is followed by a zero byte.
    fn push(&mut self, value: u32, length: u32) {
        self.pending = (self.pending << length) | value;
        self.held += length;
        while self.held >= 8 {
            self.held -= 8;
            let byte = (self.pending >> self.held) as u8;
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
        self.pending &= (1 << self.held) - 1;
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0x7f, 7);
        self.out.extend_from_slice(&[0xff, 0xd9]);
        self.out
    }
}

/// Everything before the picture's own bits.
fn head(quantum: &[u8; 64]) -> Vec<u8> {
    let mut out = b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\x01\x00\x48\x00\x48\x00\x00".to_vec();
    out.extend_from_slice(b"\xff\xdb\x00\x43\x00");
    out.extend_from_slice(quantum);
    out.extend_from_slice(b"\xff\xc0\x00\x0b\x08");
    out.extend_from_slice(&HEIGHT.to_be_bytes());
    out.extend_from_slice(&WIDTH.to_be_bytes());
    out.extend_from_slice(b"\x01\x01\x11\x00");
    for (class, table) in [(0x00, &DC), (0x10, &AC)] {
        let length = 19 + table.symbols.len() as u16;
        out.extend_from_slice(b"\xff\xc4");
        out.extend_from_slice(&length.to_be_bytes());
        out.push(class);
        out.extend_from_slice(&table.counts);
        out.extend_from_slice(table.symbols);
    }
    out.extend_from_slice(b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00");
    out
}

/// Xorshift, between -1 and 1: the same picture each time.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 16) as f32 / 32_768.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_marks_of_a_jpeg() {
        let picture = picture(7, 40.0);
        assert!(picture.starts_with(&[0xff, 0xd8, 0xff, 0xe0]));
        assert!(picture.ends_with(&[0xff, 0xd9]));
        let frame = picture
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        assert_eq!(picture[frame + 5..frame + 7], HEIGHT.to_be_bytes());
        assert_eq!(picture[frame + 7..frame + 9], WIDTH.to_be_bytes());
    }

    #[test]
    fn seeds_differ_and_repeat_and_strength_steers_the_size() {
        assert_eq!(picture(7, 40.0), picture(7, 40.0));
        assert_ne!(picture(7, 40.0), picture(9, 40.0));
        assert!(picture(7, 10.0).len() < picture(7, 40.0).len());
    }

    #[test]
    fn every_symbol_has_a_code() {
        for table in [DC, AC] {
            let counted: usize = table.counts.iter().map(|count| usize::from(*count)).sum();
            assert_eq!(counted, table.symbols.len());
            let codes = codes(&table);
            assert!(
                table
                    .symbols
                    .iter()
                    .all(|symbol| codes[usize::from(*symbol)].1 > 0)
            );
        }
    }
}
