//! Enums of which every value has a word: labels of metrics, and reasons in records.
//!
//! One list makes the variants, their words and [`ClosedSet::ALL`], so none of them can be
//! forgotten where all are needed. Never parses a word back into a value.

/// A value of a set that is known when the program is compiled.
pub trait ClosedSet: Copy + 'static {
    /// Every value, each at its own [`index`](ClosedSet::index).
    const ALL: &'static [Self];

    /// The word of the value.
    fn as_str(self) -> &'static str;

    /// The position of the value in [`ClosedSet::ALL`].
    fn index(self) -> usize;
}

/// Declares an enum with the word of each variant, and implements [`ClosedSet`] for it.
macro_rules! closed_set {
    (
        $(#[$of_enum:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$of_enum])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$of_variant])* $variant,)+
        }

        impl $crate::closed_set::ClosedSet for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) use closed_set;

#[cfg(test)]
mod tests {
    use super::ClosedSet;

    closed_set! {
        enum Direction {
            Up = "up",
            Down = "down",
        }
    }

    #[test]
    fn each_value_has_its_word_and_is_at_its_index() {
        let words: Vec<_> = Direction::ALL.iter().map(|it| it.as_str()).collect();
        assert_eq!(words, ["up", "down"]);
        for value in Direction::ALL {
            assert_eq!(Direction::ALL.get(value.index()), Some(value));
        }
    }
}
