//! What a query must fulfil beyond its grammar, as far as its text alone shows it. Called by
//! `logql::parse`; that expressions are valid and that a stream is selected at all shows when
//! the query is compiled.

use super::ast::{LabelFormat, Query, Stage};
use super::error::LogqlError;
use super::eval::ERROR_LABEL;

/// Refuses a query that formats a label twice in one stage, or the error label.
pub(super) fn query(query: &Query) -> Result<(), LogqlError> {
    query.stages.iter().try_for_each(|stage| match stage {
        Stage::LabelFormat(formats) => label_formats(formats),
        _ => Ok(()),
    })
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
