//! QR codes of short texts (ISO/IEC 18004), for an address that a phone shall open.
//!
//! Bytes at error correction level L, in versions 1 to 5: up to 106 bytes, in one block. A screen
//! does not get dirty, so the lowest level is enough, and the code stays small. Never panics,
//! whatever the text.

mod codewords;
mod symbol;

use self::symbol::Symbol;

/// Light modules around a code, in modules.
const QUIET_ZONE: usize = 4;
/// Black on white, whatever the colours of the terminal (ECMA-48, `SGR`), and back to them.
const BLACK_ON_WHITE: &str = "\x1b[30;107m";
const DEFAULT_COLOURS: &str = "\x1b[0m";

/// A QR code.
pub(super) struct QrCode(Symbol);

impl QrCode {
    /// The code of a text; `None` if the text is too long.
    pub(super) fn encode(text: &str) -> Option<Self> {
        let (version, codewords) = codewords::encode(text.as_bytes())?;
        Some(Self(Symbol::draw(version, &codewords)))
    }

    /// The code in lines of half blocks, each line two rows of modules. Without `colours`, for a
    /// terminal that writes light on dark.
    pub(super) fn lines(&self, colours: bool) -> Vec<String> {
        let from = |row: usize| {
            let columns = 0..self.0.size().saturating_add(2 * QUIET_ZONE);
            columns
                .map(|column| {
                    let pair = [row, row.saturating_add(1)].map(|row| self.is_dark(column, row));
                    block(if colours {
                        pair
                    } else {
                        pair.map(|dark| !dark)
                    })
                })
                .collect::<String>()
        };
        let rows = (0..self.0.size().saturating_add(2 * QUIET_ZONE)).step_by(2);
        rows.map(|row| match colours {
            true => format!("{BLACK_ON_WHITE}{}{DEFAULT_COLOURS}", from(row)),
            false => from(row),
        })
        .collect()
    }

    /// Whether a module is dark; those of the quiet zone come before the first one.
    fn is_dark(&self, column: usize, row: usize) -> bool {
        let module = |place: usize| place.checked_sub(QUIET_ZONE);
        match (module(column), module(row)) {
            (Some(x), Some(y)) => self.0.is_dark(x, y),
            _ => false,
        }
    }
}

/// The character whose upper and lower halves are filled so.
fn block(filled: [bool; 2]) -> char {
    match filled {
        [true, true] => '█',
        [true, false] => '▀',
        [false, true] => '▄',
        [false, false] => ' ',
    }
}

#[cfg(test)]
mod tests;
