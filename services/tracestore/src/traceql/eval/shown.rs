//! Which attributes a span of an answer carries: those the query read, with values that passed, and
//! those it selected. Keys are written without their scope. Used by [`super::run`].

use super::condition::{Condition, Test};
use super::plan::Plan;
use super::value::Value;
use super::view::View;
use crate::model::Row;
use crate::traceql::ast::{Attribute, Intrinsic, Scope};

/// What is shown of one span.
#[derive(Debug, Default)]
pub(super) struct Shown<'c> {
    /// The span's name, if the query read it.
    pub(super) name: Option<String>,
    pub(super) attributes: Vec<(String, Value<'c>)>,
}

/// Collects what is shown of `row`.
pub(super) fn shown<'c>(plan: &Plan, view: &View<'c>, row: Row) -> Shown<'c> {
    let mut out: Vec<(Attribute, Value<'c>)> = Vec::new();
    for condition in &plan.conditions {
        for attribute in places(&condition.attribute) {
            if !out.iter().any(|(known, _)| *known == attribute) {
                let value = passing(plan, view, &attribute, row);
                if value != Value::Nil {
                    out.push((attribute, value));
                }
            }
        }
    }
    for attribute in plan.selected.iter().flat_map(places) {
        let value = view
            .without_group(&attribute, row)
            .unwrap_or_else(|| last_value(view, &attribute, row, |_| true));
        if value != Value::Nil {
            out.retain(|(known, _)| *known != attribute);
            out.push((attribute, value));
        }
    }
    let mut shown = Shown::default();
    for (attribute, value) in out {
        match attribute {
            Attribute::Intrinsic(Intrinsic::Name) => shown.name = Some(value.to_text()),
            // These have fields of their own in an answer.
            Attribute::Intrinsic(
                Intrinsic::Duration
                | Intrinsic::TraceDuration
                | Intrinsic::RootName
                | Intrinsic::RootServiceName
                | Intrinsic::TraceId
                | Intrinsic::SpanId,
            ) => {}
            Attribute::Intrinsic(intrinsic) => {
                shown.attributes.push((intrinsic.name().to_owned(), value));
            }
            Attribute::Custom { name, .. } => shown.attributes.push((name, value)),
        }
    }
    shown
}

/// An attribute without a scope is looked for in two places.
fn places(attribute: &Attribute) -> Vec<Attribute> {
    match attribute {
        Attribute::Custom {
            scope: Scope::Any,
            name,
        } => [Scope::Span, Scope::Resource]
            .map(|scope| Attribute::Custom {
                scope,
                name: name.clone(),
            })
            .to_vec(),
        other => vec![other.clone()],
    }
}

/// The elements of an attribute's value that some test in the same place accepts, whatever attribute
/// it is about: Tempo's storage asks all keys of a place all tests of that place.
fn passing<'c>(plan: &Plan, view: &View<'c>, attribute: &Attribute, row: Row) -> Value<'c> {
    let tests: Vec<&Condition> = plan
        .conditions
        .iter()
        .filter(|c| {
            places(&c.attribute)
                .iter()
                .any(|a| same_place(a, attribute))
        })
        .collect();
    let absent = plan
        .conditions
        .iter()
        .any(|c| c.is_absent() && places(&c.attribute).contains(attribute));
    let value = last_value(view, attribute, row, |element| {
        tests.iter().any(|test| test.accepts(element))
    });
    if tests.iter().any(|test| matches!(test.test, Test::Exists))
        && let Some(empty) = view.without_group(attribute, row)
    {
        return empty;
    }
    if value == Value::Nil && absent && is_missing(view, attribute, row) {
        // As Tempo shows it.
        return Value::text("nil");
    }
    value
}

/// Whether Tempo keeps two attributes in the same columns.
fn same_place(a: &Attribute, b: &Attribute) -> bool {
    let alone = |attribute: &Attribute| matches!(attribute, Attribute::Custom { scope: Scope::Resource, name } if name == "service.name");
    match (a, b) {
        (Attribute::Custom { scope, .. }, Attribute::Custom { scope: other, .. }) => {
            a == b || (scope == other && !alone(a) && !alone(b))
        }
        _ => a == b,
    }
}

/// The value of an attribute, cut to the elements that pass; of several events or links the last
/// that has any.
fn last_value<'c>(
    view: &View<'c>,
    attribute: &Attribute,
    row: Row,
    passes: impl Fn(&Value<'c>) -> bool,
) -> Value<'c> {
    let cut = |value: Value<'c>| {
        Value::from_elements(
            value
                .elements()
                .iter()
                .filter(|e| passes(e))
                .cloned()
                .collect(),
        )
    };
    let mut found = Value::Nil;
    if Condition::exists(attribute).group().is_none() {
        return cut(view.value(attribute, row));
    }
    view.each_in_group(attribute, row, &mut |value| {
        let value = value.map_or(Value::Nil, &cut);
        if value != Value::Nil {
            found = value;
        }
    });
    found
}

/// Whether the key is not there at all (a value that TraceQL does not know is still there).
fn is_missing(view: &View<'_>, attribute: &Attribute, row: Row) -> bool {
    let Attribute::Custom { scope, name } = attribute else {
        return false;
    };
    let set = match scope {
        Scope::Span => view.span_set(row),
        Scope::Resource => view.resource_set(row),
        Scope::Instrumentation => view.scope_set(row),
        Scope::Event | Scope::Link => {
            let mut missing = false;
            view.each_in_group(attribute, row, &mut |value| missing |= value.is_none());
            return missing;
        }
        Scope::Any => return false,
    };
    view.in_set(set, name).is_none()
}
