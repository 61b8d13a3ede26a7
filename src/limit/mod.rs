//! Limits per caller and route.

use std::{num::NonZeroU32, time::Duration};

/// A rate as it is written, `"10/min"`: so many in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long: a second, minute, hour or day.
    pub per: Duration,
}
