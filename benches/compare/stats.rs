//! Medians, percentiles and ratios. Pure.

/// The middle value; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value that `share` of all values do not exceed, interpolated; 0 of nothing.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The median of the ratios round by round: what moves both values of a round does not move their ratio.
pub(crate) fn ratio(values: &[f64], bases: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = values
        .iter()
        .zip(bases)
        .filter(|(_, base)| **base > 0.0)
        .map(|(value, base)| value / base)
        .collect();
    (!ratios.is_empty()).then(|| median(&ratios))
}
