//! Numbers for people: three significant digits, a unit, thousands apart.
//! Used by the text renderer and the progress bar.

/// A duration in milliseconds with the unit that fits: `154 ms`, `1.23 s`,
/// `830 µs`.
pub fn duration_ms(ms: f64) -> String {
    // The unit is chosen by the rounded value, so that 999.9 µs is 1.00 ms.
    for (unit, per_ms, below) in [("ns", 1e6, 999.5), ("µs", 1e3, 999.5), ("ms", 1.0, 999.5)] {
        if ms * per_ms < below {
            return format!("{} {unit}", digits(ms * per_ms));
        }
    }
    let seconds = ms / 1e3;
    if seconds < 599.5 {
        format!("{} s", digits(seconds))
    } else {
        format!("{} min", digits(seconds / 60.0))
    }
}

/// A rate a second: `60.2/s`, `9,880/s`.
pub fn per_second(rate: f64) -> String {
    format!("{}/s", digits(rate))
}

/// A count, exact: `20,000`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 request`, `2 requests`.
pub fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// Three significant digits, more where the whole part has more places than
/// that, which are then zeros: `0.832`, `60.2`, `9,880`.
fn digits(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "0".to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the exponent of a finite f64 lies between -324 and 308"
    )]
    let exponent = value.log10().floor() as i32;
    let step = 10f64.powi(exponent - 2);
    let rounded = (value / step).round() * step;
    if rounded >= 99.95 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and beyond u64 it saturates"
        )]
        return count(rounded.round() as u64);
    }
    let places = if rounded >= 9.995 {
        1
    } else if rounded >= 0.9995 {
        2
    } else {
        3
    };
    format!("{rounded:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_a_unit() {
        for (ms, text) in [
            (154.2, "154 ms"),
            (0.0304, "30.4 µs"),
            (0.9999, "1.00 ms"),
            (999.6, "1.00 s"),
            (12_345.0, "12.3 s"),
            (600_000.0, "10.0 min"),
            (0.000_5, "500 ns"),
            (0.0, "0 ns"),
        ] {
            assert_eq!(duration_ms(ms), text, "{ms}");
        }
    }

    #[test]
    fn rates_and_counts_set_thousands_apart() {
        assert_eq!(per_second(9_876.5), "9,880/s");
        assert_eq!(per_second(60.24), "60.2/s");
        assert_eq!(per_second(0.5), "0.500/s");
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "request"), "1 request");
        assert_eq!(plural(1_000, "request"), "1,000 requests");
    }
}
