//! Numbers as text.

/// A whole number with commas: `1,024`.
pub(crate) fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with at most two decimals, and commas: `1,024`, `0.25`.
pub(crate) fn decimal(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (before, after) = text.split_once('.').unwrap_or((text, ""));
    // What is too large for a whole number stays without commas.
    let before = before.parse().map_or(before.to_string(), whole);
    if after.is_empty() { before } else { format!("{before}.{after}") }
}

/// A ratio with three significant digits.
pub(crate) fn ratio(value: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (2.0 - magnitude).clamp(0.0, 6.0) as usize;
    if decimals == 0 { decimal(value.round()) } else { format!("{value:.decimals$}") }
}

/// A short form for an axis: `500`, `20k`, `1.5M`.
pub(crate) fn short(value: f64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    if value >= 1e15 {
        return format!("{value:e}");
    }
    match STEPS.iter().find(|(step, _)| value >= *step) {
        Some((step, letter)) if value >= 1e4 => format!("{}{letter}", decimal(value / step)),
        _ => decimal(value),
    }
}

#[cfg(test)]
mod tests {
    use super::{decimal, ratio, short, whole};

    #[test]
    fn commas_stand_before_each_three_digits() {
        let texts = [0, 12, 999, 1000, 1_234_567, u64::MAX].map(whole);
        assert_eq!(texts, ["0", "12", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn fractions_have_no_trailing_zeros() {
        assert_eq!([0.0, 0.5, 1.25, 1024.0, 1e30].map(decimal)[..4], ["0", "0.5", "1.25", "1,024"]);
        assert!(decimal(1e30).starts_with("1000000000000"));
    }

    #[test]
    fn ratios_have_three_digits() {
        assert_eq!(
            [0.0, 0.0257234, 0.4632, 1.0, 38.88, 123.4, 54_321.0].map(ratio),
            ["0", "0.0257", "0.463", "1.00", "38.9", "123", "54,321"]
        );
    }

    #[test]
    fn axes_have_short_forms() {
        let texts = [0.0, 0.25, 500.0, 2000.0, 20_000.0, 1.5e6, 3e9, 1e18].map(short);
        assert_eq!(texts, ["0", "0.25", "500", "2,000", "20k", "1.5M", "3G", "1e18"]);
    }
}
