//! Matchers and regular expressions, compiled. Called by `check`, `eval` and `filter`.

use regex::Regex;

use super::ast::{MatchOp, Matcher};
use super::error::LogqlError;
use crate::re2;

/// A [`Matcher`], compiled.
#[derive(Debug)]
pub(super) struct CompiledMatcher {
    name: String,
    wanted: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Is(String),
    Regex(Regex),
}

impl CompiledMatcher {
    /// Compiles; `regex` decides what the place of the matcher makes of its pattern.
    pub(super) fn new(
        matcher: &Matcher,
        regex: fn(&str) -> Result<Regex, LogqlError>,
    ) -> Result<Self, LogqlError> {
        let (wanted, test) = match matcher.op {
            MatchOp::Equal => (true, Test::Is(matcher.value.clone())),
            MatchOp::NotEqual => (false, Test::Is(matcher.value.clone())),
            MatchOp::Regex => (true, Test::Regex(regex(&matcher.value)?)),
            MatchOp::NotRegex => (false, Test::Regex(regex(&matcher.value)?)),
        };
        Ok(Self {
            name: matcher.name.clone(),
            wanted,
            test,
        })
    }

    /// The label it is about.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a value (`""` for an absent label) is matched.
    pub(super) fn matches(&self, value: &str) -> bool {
        let found = match &self.test {
            Test::Is(text) => text == value,
            Test::Regex(regex) => regex.is_match(value),
        };
        found == self.wanted
    }
}

/// A regular expression on a stream's label: the whole value, and a dot is any character.
pub(super) fn stream_regex(text: &str) -> Result<Regex, LogqlError> {
    regex(text, |pattern| format!("^(?s:{pattern})$"))
}

/// A regular expression of a label filter: the whole value, and a dot is no line break.
pub(super) fn anchored_regex(text: &str) -> Result<Regex, LogqlError> {
    regex(text, |pattern| format!("^(?:{pattern})$"))
}

/// A regular expression of a line filter: anywhere in the line.
pub(super) fn line_regex(text: &str) -> Result<Regex, LogqlError> {
    regex(text, str::to_owned)
}

fn regex(text: &str, around: impl Fn(&str) -> String) -> Result<Regex, LogqlError> {
    re2::compile(text, around).map_err(|reason| {
        LogqlError::unplaced(format!(
            "the regular expression {text:?} is not valid: {reason}"
        ))
    })
}
