//! What the tag API needs of the evaluator: the spans that a query's first filter selects, and the
//! distinct values of an attribute. Called by `search`.

use super::plan::{Plan, PlanStage, Selector};
use super::tables::RowTest;
use super::value::Value;
use super::view::View;
use crate::model::{Chunk, Row};
use crate::traceql::Query;
use crate::traceql::ast::{Attribute, Intrinsic, Scope};

/// The first `{ … }` of a query.
pub(crate) struct FilterPlan(Plan);

impl FilterPlan {
    /// `None` if the query does not begin with a single filter: then it narrows nothing (Tempo's rule).
    pub(crate) fn new(query: &Query) -> Option<Self> {
        let plan = Plan::new(query);
        matches!(
            plan.stages.first(),
            Some(PlanStage::Spanset(Selector::Filter(_)))
        )
        .then_some(FilterPlan(plan))
    }

    /// Keeps the rows that the filter selects.
    pub(crate) fn retain(&self, chunk: &Chunk, rows: &mut Vec<Row>) {
        let view = View::new(chunk);
        let test = RowTest::new(&self.0.filters[0], &view);
        if test.is_never() {
            rows.clear();
            return;
        }
        let mask = test.mask(chunk.rows() as usize);
        rows.retain(|&row| mask.has(row));
    }
}

/// Calls `see` with the values of an attribute at `rows`, each at least once; rows that share a
/// dictionary entry are looked at once.
pub(crate) fn each_value(
    chunk: &Chunk,
    attribute: &Attribute,
    rows: &[Row],
    see: &mut dyn FnMut(&Value<'_>),
) {
    let view = View::new(chunk);
    let column = match attribute {
        Attribute::Custom {
            scope: Scope::Any,
            name,
        } => {
            for scope in [Scope::Span, Scope::Resource] {
                each_value(
                    chunk,
                    &Attribute::Custom {
                        scope,
                        name: name.clone(),
                    },
                    rows,
                    see,
                );
            }
            return;
        }
        Attribute::Custom {
            scope: Scope::Event | Scope::Link,
            ..
        }
        | Attribute::Intrinsic(Intrinsic::EventName | Intrinsic::EventTimeSinceStart) => {
            for &row in rows {
                view.each_in_group(attribute, row, &mut |value| {
                    value.iter().for_each(&mut *see);
                });
            }
            return;
        }
        Attribute::Custom {
            scope: Scope::Span, ..
        } => Some(chunk.attr_sets()),
        Attribute::Custom {
            scope: Scope::Resource,
            ..
        } => Some(chunk.resource_codes()),
        Attribute::Custom { .. }
        | Attribute::Intrinsic(
            Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion,
        ) => Some(chunk.scope_codes()),
        Attribute::Intrinsic(Intrinsic::Name) => Some(chunk.name_codes()),
        Attribute::Intrinsic(
            Intrinsic::RootName | Intrinsic::RootServiceName | Intrinsic::TraceDuration,
        ) => Some(chunk.slots()),
        Attribute::Intrinsic(_) => None,
    };
    let mut seen = vec![
        false;
        column.map_or(0, |column| column
            .iter()
            .max()
            .map_or(0, |max| *max as usize + 1))
    ];
    for &row in rows {
        let known = column.is_some_and(|column| {
            std::mem::replace(&mut seen[column[row as usize] as usize], true)
        });
        if !known {
            see(&view.value(attribute, row));
        }
    }
}
