//! Label filters, compiled. Called by `eval`.

use super::ast::{CompareOp, LabelFilter, Literal};
use super::error::LogqlError;
use super::eval::{Fields, Record};
use super::matcher::{CompiledMatcher, anchored_regex};
use super::units;

/// A [`LabelFilter`], compiled.
#[derive(Debug)]
pub(super) enum CompiledFilter {
    Match(CompiledMatcher),
    Compare {
        name: String,
        op: CompareOp,
        value: Literal,
    },
    And(Vec<CompiledFilter>),
    Or(Vec<CompiledFilter>),
}

impl CompiledFilter {
    pub(super) fn new(filter: &LabelFilter) -> Result<Self, LogqlError> {
        let all = |filters: &[LabelFilter]| filters.iter().map(Self::new).collect::<Result<_, _>>();
        Ok(match filter {
            LabelFilter::Match(matcher) => {
                Self::Match(CompiledMatcher::new(matcher, anchored_regex)?)
            }
            LabelFilter::Compare { name, op, value } => Self::Compare {
                name: name.clone(),
                op: *op,
                value: *value,
            },
            LabelFilter::And(filters) => Self::And(all(filters)?),
            LabelFilter::Or(filters) => Self::Or(all(filters)?),
        })
    }

    /// Whether a record fulfils it.
    pub(super) fn run(&self, record: &impl Record, fields: &mut Fields) -> bool {
        match self {
            Self::Match(matcher) => {
                matcher.matches(&fields.get(record, matcher.name()).unwrap_or_default())
            }
            Self::Compare { name, op, value } => compare(record, fields, name, *op, *value),
            Self::And(filters) => filters.iter().all(|f| f.run(record, fields)),
            Self::Or(filters) => filters.iter().any(|f| f.run(record, fields)),
        }
    }
}

/// A label that is absent (or empty) fulfils no comparison; one that cannot be read as a number
/// or duration keeps its record, marked with an error.
fn compare(
    record: &impl Record,
    fields: &mut Fields,
    name: &str,
    op: CompareOp,
    with: Literal,
) -> bool {
    let Some(value) = fields.get(record, name).filter(|value| !value.is_empty()) else {
        return false;
    };
    let order = match with {
        Literal::Number(number) => value.parse::<f64>().ok().map(|v| v.partial_cmp(&number)),
        Literal::Duration(nanos) => units::value_duration(&value).map(|v| Some(v.cmp(&nanos))),
    };
    let Some(order) = order else {
        let kind = match with {
            Literal::Number(_) => "number",
            Literal::Duration(_) => "duration",
        };
        let details = format!("{name}={value:?} is not a {kind}");
        fields.fail("LabelFilterErr", details);
        return true;
    };
    let Some(order) = order else {
        return op == CompareOp::NotEqual; // not a number: it differs from each
    };
    match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
    }
}
