//! What a query must fulfil beyond its grammar. Called by `logql::parse`.

use super::ast::{Dropped, LabelFilter, LabelFormat, LineOp, MatchOp, Matcher, Query, Stage};
use super::error::LogqlError;
use super::eval::ERROR_LABEL;
use super::matcher::{anchored_regex, line_regex};

/// Refuses a query that selects every stream, has an invalid regular expression, or formats
/// a label twice in one stage.
pub(super) fn query(query: &Query) -> Result<(), LogqlError> {
    for matcher in &query.selector {
        check_matcher(matcher)?;
    }
    if query.selector.iter().all(matches_empty) {
        return Err(LogqlError::unplaced(
            "a query needs at least one matcher that an absent label does not fulfil: \
             app=~\".+\" will do, app=~\".*\" will not",
        ));
    }
    query.stages.iter().try_for_each(stage)
}

/// Whether a stream without the label would match.
fn matches_empty(matcher: &Matcher) -> bool {
    let empty = matcher.value.is_empty();
    match matcher.op {
        MatchOp::Equal => empty,
        MatchOp::NotEqual => !empty,
        MatchOp::Regex => anchored_regex(&matcher.value).is_ok_and(|re| re.is_match("")),
        MatchOp::NotRegex => anchored_regex(&matcher.value).is_ok_and(|re| !re.is_match("")),
    }
}

fn check_matcher(matcher: &Matcher) -> Result<(), LogqlError> {
    if matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex) {
        anchored_regex(&matcher.value)?;
    }
    Ok(())
}

fn stage(stage: &Stage) -> Result<(), LogqlError> {
    match stage {
        Stage::Line(filter) => {
            if matches!(filter.op, LineOp::Matches | LineOp::MatchesNot) {
                for text in &filter.texts {
                    line_regex(text)?;
                }
            }
            Ok(())
        }
        Stage::Label(filter) => label_filter(filter),
        Stage::LabelFormat(formats) => label_formats(formats),
        Stage::Drop(items) => items.iter().try_for_each(|item| match item {
            Dropped::Name(_) => Ok(()),
            Dropped::Match(matcher) => check_matcher(matcher),
        }),
        Stage::Json | Stage::Logfmt(_) => Ok(()),
    }
}

fn label_filter(filter: &LabelFilter) -> Result<(), LogqlError> {
    match filter {
        LabelFilter::Match(matcher) => check_matcher(matcher),
        LabelFilter::Compare { .. } => Ok(()),
        LabelFilter::And(filters) | LabelFilter::Or(filters) => {
            filters.iter().try_for_each(label_filter)
        }
    }
}

fn label_formats(formats: &[LabelFormat]) -> Result<(), LogqlError> {
    let mut seen = std::collections::BTreeSet::new();
    for format in formats {
        let (LabelFormat::Rename { to, .. } | LabelFormat::Template { to, .. }) = format;
        if to == ERROR_LABEL {
            return Err(LogqlError::unplaced(format!(
                "`label_format` cannot set {ERROR_LABEL}"
            )));
        }
        if !seen.insert(to) {
            return Err(LogqlError::unplaced(format!(
                "`label_format` sets the label {to} more than once"
            )));
        }
    }
    Ok(())
}
