//! The modules of a QR code: the patterns that a reader looks for, the codewords between them, and
//! the mask that makes them easy to read.

/// The eight masks.
const MASKS: std::ops::Range<u8> = 0..8;
/// Level L and what hides it, in the information about the format.
const LEVEL_L: u16 = 0b01;
const FORMAT_GENERATOR: u16 = 0x537;
const FORMAT_MASK: u16 = 0x5412;

/// Costs of what makes a code hard to read (ISO/IEC 18004 section 7.8.3).
const RUN: usize = 3;
const SQUARE: usize = 3;
const FINDER: usize = 40;
const IMBALANCE: usize = 10;
/// A finder pattern with light modules before or behind it.
const LIKE_A_FINDER: [[bool; 11]; 2] = {
    const D: bool = true;
    const L: bool = false;
    [
        [D, L, D, D, D, L, D, L, L, L, L],
        [L, L, L, L, D, L, D, D, D, L, D],
    ]
};

/// A square of modules.
#[derive(Clone)]
pub(super) struct Symbol {
    size: usize,
    dark: Vec<bool>,
    /// Modules of patterns and of the format, which hold no codewords.
    reserved: Vec<bool>,
}

impl Symbol {
    /// Draws these codewords with the mask that is best to read.
    pub(super) fn draw(version: usize, codewords: &[u8]) -> Self {
        let size = version.saturating_mul(4).saturating_add(17);
        let modules = size.saturating_mul(size);
        let mut plain = Self {
            size,
            dark: vec![false; modules],
            reserved: vec![false; modules],
        };
        plain.draw_patterns(version);
        plain.draw_format(0);
        plain.draw_codewords(codewords);
        let masked = MASKS.map(|mask| plain.masked(mask));
        masked.min_by_key(Self::cost).unwrap_or(plain)
    }

    /// Number of modules of a side.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether a module is dark; one outside is not.
    pub(super) fn is_dark(&self, x: usize, y: usize) -> bool {
        let place = self.place(x, y);
        place.and_then(|place| self.dark.get(place)) == Some(&true)
    }

    fn place(&self, x: usize, y: usize) -> Option<usize> {
        let inside = x < self.size && y < self.size;
        inside.then(|| y.saturating_mul(self.size).saturating_add(x))
    }

    /// Sets a module that holds no codeword.
    fn reserve(&mut self, x: usize, y: usize, dark: bool) {
        let Some(place) = self.place(x, y) else {
            return;
        };
        if let (Some(module), Some(reserved)) =
            (self.dark.get_mut(place), self.reserved.get_mut(place))
        {
            (*module, *reserved) = (dark, true);
        }
    }

    fn is_reserved(&self, x: usize, y: usize) -> bool {
        let place = self.place(x, y);
        place.and_then(|place| self.reserved.get(place)) == Some(&true)
    }

    fn draw_patterns(&mut self, version: usize) {
        for i in 0..self.size {
            self.reserve(i, 6, i.is_multiple_of(2));
            self.reserve(6, i, i.is_multiple_of(2));
        }
        let far = self.size.saturating_sub(4);
        for (x, y) in [(3, 3), (far, 3), (3, far)] {
            self.draw_rings(x, y, 4, &[2, 4]);
        }
        if version > 1 {
            let middle = self.size.saturating_sub(7);
            self.draw_rings(middle, middle, 2, &[1]);
        }
    }

    /// Draws square rings around a module, of which these are light.
    fn draw_rings(&mut self, x: usize, y: usize, most: usize, light: &[usize]) {
        for (column, row) in self.modules() {
            let ring = column.abs_diff(x).max(row.abs_diff(y));
            if ring <= most {
                self.reserve(column, row, !light.contains(&ring));
            }
        }
    }

    /// Draws the level and the mask, twice, and the module that is always dark.
    fn draw_format(&mut self, mask: u8) {
        let bits = format_bits(mask);
        let far = self.size.saturating_sub(1);
        for bit in 0..15_usize {
            let dark = bits >> bit & 1 == 1;
            let (x, y) = match bit {
                0..=5 => (8, bit),
                6 | 7 => (8, bit.saturating_add(1)),
                8 => (7, 8),
                _ => (14_usize.saturating_sub(bit), 8),
            };
            self.reserve(x, y, dark);
            let (x, y) = match bit {
                0..=7 => (far.saturating_sub(bit), 8),
                _ => (8, far.saturating_add(bit).saturating_sub(14)),
            };
            self.reserve(x, y, dark);
        }
        self.reserve(8, self.size.saturating_sub(8), true);
    }

    /// Draws the codewords in pairs of columns from the right, up and down in turns.
    fn draw_codewords(&mut self, codewords: &[u8]) {
        let bits = |byte: &u8| {
            let byte = *byte;
            (0..8).rev().map(move |bit| byte >> bit & 1 == 1)
        };
        let mut bits = codewords.iter().flat_map(bits);
        let left_of = |right: usize| [right, right.saturating_sub(1)];
        // The column of the vertical timing pattern belongs to no pair.
        let pairs = (0..self.size).rev().filter(|column| *column != 6);
        let pairs: Vec<usize> = pairs.step_by(2).collect();
        for (turn, right) in pairs.into_iter().enumerate() {
            for step in 0..self.size {
                let y = match turn % 2 {
                    0 => self.size.saturating_sub(step).saturating_sub(1),
                    _ => step,
                };
                for x in left_of(right) {
                    if !self.is_reserved(x, y)
                        && let Some(place) = self.place(x, y)
                        && let Some(module) = self.dark.get_mut(place)
                    {
                        // Modules behind the last codeword are light.
                        *module = bits.next().unwrap_or(false);
                    }
                }
            }
        }
    }

    /// The same with this mask.
    fn masked(&self, mask: u8) -> Self {
        let mut masked = self.clone();
        masked.draw_format(mask);
        for (x, y) in self.modules() {
            if !self.is_reserved(x, y)
                && is_inverted(mask, x, y)
                && let Some(place) = self.place(x, y)
                && let Some(module) = masked.dark.get_mut(place)
            {
                *module = !*module;
            }
        }
        masked
    }

    /// How hard it is to read.
    fn cost(&self) -> usize {
        let across = (0..self.size).map(|y| self.line(|x| self.is_dark(x, y)));
        let down = (0..self.size).map(|x| self.line(|y| self.is_dark(x, y)));
        let lines: usize = across.chain(down).map(|line| cost_of_line(&line)).sum();
        let squares = self.modules().filter(|(x, y)| self.is_in_square(*x, *y));
        let dark = self.dark.iter().filter(|dark| **dark).count();
        // In steps of a twentieth away from one half.
        let deviation = dark
            .saturating_mul(20)
            .abs_diff(self.dark.len().saturating_mul(10));
        let steps = deviation.checked_div(self.dark.len()).unwrap_or_default();
        lines
            .saturating_add(squares.count().saturating_mul(SQUARE))
            .saturating_add(steps.saturating_mul(IMBALANCE))
    }

    fn line(&self, module: impl Fn(usize) -> bool) -> Vec<bool> {
        (0..self.size).map(module).collect()
    }

    /// Whether four modules of one kind begin here.
    fn is_in_square(&self, x: usize, y: usize) -> bool {
        let (right, below) = (x.saturating_add(1), y.saturating_add(1));
        let dark = self.is_dark(x, y);
        self.place(right, below).is_some()
            && [(right, y), (x, below), (right, below)]
                .iter()
                .all(|(x, y)| self.is_dark(*x, *y) == dark)
    }

    fn modules(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let size = self.size;
        (0..size).flat_map(move |y| (0..size).map(move |x| (x, y)))
    }
}

/// The level and the mask with their error correction, a BCH code.
fn format_bits(mask: u8) -> u16 {
    let data = LEVEL_L << 3 | u16::from(mask);
    let rest = (0..10).fold(data, |rest, _| {
        let carried = if rest >> 9 & 1 == 0 {
            0
        } else {
            FORMAT_GENERATOR
        };
        rest << 1 ^ carried
    });
    (data << 10 | rest & 0x3ff) ^ FORMAT_MASK
}

fn is_inverted(mask: u8, x: usize, y: usize) -> bool {
    let product = x.saturating_mul(y);
    let sum = x.saturating_add(y);
    let remainder = match mask {
        0 => sum % 2,
        1 => y % 2,
        2 => x % 3,
        3 => sum % 3,
        4 => (x / 3).saturating_add(y / 2) % 2,
        5 => (product % 2).saturating_add(product % 3),
        6 => (product % 2).saturating_add(product % 3) % 2,
        _ => (sum % 2).saturating_add(product % 3) % 2,
    };
    remainder == 0
}

/// What runs of one kind, and patterns like a finder's, cost in a line.
fn cost_of_line(line: &[bool]) -> usize {
    let runs = line.chunk_by(|one, next| one == next).map(<[bool]>::len);
    let long = runs.filter(|length| *length >= 5);
    let runs: usize = long
        .map(|length| length.saturating_sub(5).saturating_add(RUN))
        .sum();
    let is_finder = |window: &&[bool]| LIKE_A_FINDER.iter().any(|pattern| window == pattern);
    let finders = line.windows(11).filter(is_finder).count();
    runs.saturating_add(finders.saturating_mul(FINDER))
}
