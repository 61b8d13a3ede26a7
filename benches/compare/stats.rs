//! Medians, percentiles, ratios and the interval of a median. Pure.

/// The median; 0 without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The percentile `share` (0.0 to 1.0), interpolated; 0 without values.
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

/// The ratios round by round. A disturbance of both values of a round leaves their ratio.
pub(crate) fn ratios(values: &[f64], bases: &[f64]) -> Vec<f64> {
    values
        .iter()
        .zip(bases)
        .filter(|(_, base)| **base > 0.0)
        .map(|(value, base)| value / base)
        .collect()
}

/// The median of the ratios round by round; `None` without any.
pub(crate) fn ratio(values: &[f64], bases: &[f64]) -> Option<f64> {
    let ratios = ratios(values, bases);
    (!ratios.is_empty()).then(|| median(&ratios))
}

/// An interval that contains the true median with at least 95 % confidence; `None` for fewer than 6
/// values. By order statistics, which assume only that a value is above the median as often as
/// below.
pub(crate) fn median_interval(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // The probability that exactly `outside` of all values are below the median, and that fewer
    // are.
    let mut exactly = 0.5_f64.powf(count as f64);
    let mut fewer = 0.0;
    let mut outside = 0;
    while outside < count / 2 && 2.0 * (fewer + exactly) <= 0.05 {
        fewer += exactly;
        exactly *= (count - outside) as f64 / (outside + 1) as f64;
        outside += 1;
    }
    // The last value that was counted as outside is the interval's end.
    let low = outside.checked_sub(1)?;
    Some((sorted[low], sorted[count - outside]))
}
