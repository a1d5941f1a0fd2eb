//! `detected_level`: the level that Loki 3 finds for a record and adds to its structured
//! metadata. Called by `otlp`.

use super::logql::{json, logfmt};

/// The label's name.
pub(super) const DETECTED_LEVEL: &str = "detected_level";

/// Where a level is looked for, in this order. With dots where a line's field has them.
const FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// Words in a line that tell its level.
const WORDS: [(&str, &str); 9] = [
    ("trace", "trace"),
    ("debug", "debug"),
    ("fatal", "fatal"),
    ("critical", "critical"),
    ("error", "error"),
    ("err", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
];

/// The labels that may tell a level, in the order in which they are asked.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    [DETECTED_LEVEL].into_iter().chain(FIELDS)
}

/// The level of a record: the one it has already, else from a label or the structured metadata,
/// else from the severity's number, else from the line; `unknown` if nothing tells.
pub(super) fn detect<'a>(
    label: impl Fn(&str) -> Option<&'a str>,
    severity_number: i32,
    line: &str,
) -> String {
    if let Some(level) = names().find_map(label) {
        return known(level).map_or_else(|| level.to_owned(), str::to_owned);
    }
    let by_number = match severity_number {
        ..=0 => None,
        1..=4 => Some("trace"),
        5..=8 => Some("debug"),
        9..=12 => Some("info"),
        13..=16 => Some("warn"),
        17..=20 => Some("error"),
        21..=24 => Some("fatal"),
        _ => Some("unknown"),
    };
    by_number
        .or_else(|| in_fields(line))
        .unwrap_or_else(|| in_words(line))
        .to_owned()
}

/// A level by one of its usual spellings.
fn known(text: &str) -> Option<&'static str> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(&["trace", "trc"]) {
        Some("trace")
    } else if is(&["debug", "dbg"]) {
        Some("debug")
    } else if is(&["info", "inf", "information"]) {
        Some("info")
    } else if is(&["warn", "wrn", "warning"]) {
        Some("warn")
    } else if is(&["error", "err"]) {
        Some("error")
    } else if is(&["critical"]) {
        Some("critical")
    } else if is(&["fatal"]) {
        Some("fatal")
    } else {
        None
    }
}

/// The level in a line that is a JSON object or logfmt.
fn in_fields(line: &str) -> Option<&'static str> {
    let trimmed = line.trim();
    let mut best: Option<(usize, String)> = None;
    let mut consider = |rank: Option<usize>, value: &str| {
        if let Some(rank) = rank
            && best.as_ref().is_none_or(|(known, _)| rank < *known)
        {
            best = Some((rank, value.to_owned()));
        }
    };
    // What a broken line held before the fault counts too.
    if trimmed.starts_with('{') && trimmed.ends_with('}') {
        // Also in objects further in, where the key comes with their names before it: whether
        // `a_level` is such a key or one of its own, the line shows.
        let is_key = |path: &str, name: &str| {
            path == name
                || path
                    .strip_suffix(name)
                    .is_some_and(|outer| outer.ends_with('_'))
                    && line.contains(&format!("\"{name}\""))
        };
        let _ = json::fields(line, &mut |path, value| {
            consider(FIELDS.iter().position(|name| is_key(path, name)), value);
        });
    } else if line.contains('=') {
        let _ = logfmt::pairs(line, false, &mut |key, value| {
            consider(
                FIELDS
                    .iter()
                    .position(|name| name.eq_ignore_ascii_case(key)),
                value,
            );
        });
    }
    best.and_then(|(_, value)| known(&value))
}

/// The first word of the line that names a level and stands alone.
fn in_words(line: &str) -> &'static str {
    let lower = line.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let stands_alone = |at: usize, word: &str| {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let after = bytes.get(at + word.len());
        before.is_none_or(|b| b" \t\n[({\"'=|".contains(&b))
            && after.is_none_or(|b| b" \t\n[](){}:,!\"'=|".contains(b))
    };
    WORDS
        .iter()
        .filter_map(|(word, level)| {
            let at = lower
                .match_indices(word)
                .map(|(at, _)| at)
                .find(|at| stands_alone(*at, word))?;
            Some((at, *level))
        })
        .min_by_key(|(at, _)| *at)
        .map_or("unknown", |(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_line(line: &str) -> String {
        detect(|_| None, 0, line)
    }

    #[test]
    fn labels_come_before_the_number_and_the_number_before_the_line() {
        let labelled = |name: &str| (name == "severity_text").then_some("WARNING");
        assert_eq!(detect(labelled, 17, "debug"), "warn");
        assert_eq!(detect(|n| (n == "level").then_some("loud"), 17, ""), "loud");
        assert_eq!(
            detect(|n| (n == DETECTED_LEVEL).then_some("WRN"), 17, ""),
            "warn"
        );
        let numbers = [
            (1, "trace"),
            (8, "debug"),
            (9, "info"),
            (16, "warn"),
            (17, "error"),
            (24, "fatal"),
            (25, "unknown"),
        ];
        for (number, level) in numbers {
            assert_eq!(detect(|_| None, number, "debug"), level);
        }
    }

    #[test]
    fn a_line_tells_its_level_by_field_or_word() {
        let cases = [
            (r#"{"msg":"an error","level":"WARN"}"#, "warn"),
            (r#"{"msg":"an error","inner":{"level":"debug"}}"#, "debug"),
            (r#"{"msg":"an error","sea_level":"info"}"#, "error"),
            (r#"{"msg":"no level, one error"}"#, "error"),
            ("ts=1 Level=dbg msg=error", "debug"),
            ("lvl=odd error: x", "error"),
            ("[ERROR] broken", "error"),
            ("info: then error", "info"),
            ("misc:error", "unknown"),
            ("terror and information", "unknown"),
            ("", "unknown"),
        ];
        for (line, level) in cases {
            assert_eq!(of_line(line), level, "{line}");
        }
    }
}
