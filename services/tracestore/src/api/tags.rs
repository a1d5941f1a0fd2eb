//! `/api/v2/search/tags`, `/api/v2/search/tag/{tag}/values` and their first forms: what a query
//! editor completes.

use std::collections::BTreeSet;

use http::{Response, StatusCode};

use super::Accept;
use super::search_answer::{
    Respond, ScopeAnswer, TagMetrics, TagValueAnswer, TagValuesAnswer, TagValuesV1Answer,
    TagsAnswer, TagsV1Answer,
};
use super::search_params::{Params, unix_now};
use crate::search::{SCOPES, TagFilter, tag_names, tag_values};
use crate::server::{Body, plain_text};
use crate::store::Snapshot;
use crate::traceql::ast::{Attribute, Intrinsic, Scope};
use crate::traceql::eval::Bounds;
use crate::traceql::{self, Query};

/// The intrinsics that Tempo offers for completion.
const INTRINSICS: [&str; 25] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

/// What the tag routes have in common: a time range, a limit (0 or none: no limit), a query that
/// narrows the spans; one that cannot be read narrows nothing.
struct TagRequest {
    bounds: Bounds,
    limit: usize,
    query: Option<Query>,
}

impl TagRequest {
    fn read(params: &Params) -> Result<Self, String> {
        let (start_ns, end_ns) = params.range(unix_now())?;
        // Tempo reads a limit on names leniently, and one on values strictly; see `values_v2`.
        let limit = params.number("limit").ok().flatten();
        let limit = limit
            .filter(|limit| *limit > 0)
            .map_or(usize::MAX, |limit| limit as usize);
        Ok(TagRequest {
            bounds: Bounds {
                start_ns,
                end_ns,
                limit: None,
                spans_per_spanset: 0,
            },
            limit,
            query: params.get("q").and_then(traceql::compile_unfinished),
        })
    }

    fn filter(&self) -> TagFilter<'_> {
        TagFilter {
            bounds: self.bounds,
            query: self.query.as_ref(),
        }
    }
}

/// A scope as it is asked for.
enum ScopeParam {
    All,
    Intrinsic,
    One(Scope),
    /// A scope that exists, but in which nobody sets tags.
    Without,
}

impl ScopeParam {
    fn read(params: &Params) -> Result<Self, String> {
        let text = params.get("scope").unwrap_or("none");
        Ok(match text {
            "none" => ScopeParam::All,
            "intrinsic" => ScopeParam::Intrinsic,
            "trace" => ScopeParam::Without,
            other => match SCOPES.iter().find(|(_, name)| *name == other) {
                Some((scope, _)) => ScopeParam::One(*scope),
                None => return Err(format!("invalid scope: {text}")),
            },
        })
    }
}

/// The tags of each scope.
pub(super) fn names_v2(snapshot: &Snapshot, query: &str, accept: Accept) -> Response<Body> {
    answer_or_refuse(query, |params| {
        let (scope, request) = (ScopeParam::read(params)?, TagRequest::read(params)?);
        let mut scopes = Vec::new();
        if matches!(scope, ScopeParam::All | ScopeParam::Intrinsic) {
            let tags = INTRINSICS.iter().map(|&name| name.to_owned()).collect();
            scopes.push(ScopeAnswer {
                name: "intrinsic".into(),
                tags,
            });
        }
        scopes.extend(
            names(snapshot, &request, &scope)
                .into_iter()
                .map(|(name, tags)| ScopeAnswer {
                    name: name.to_owned(),
                    tags: tags.into_iter().collect(),
                }),
        );
        Ok(TagsAnswer {
            scopes,
            metrics: Some(TagMetrics {}),
        }
        .respond(accept))
    })
}

/// The tags of all scopes in one list; intrinsics only if asked for.
pub(super) fn names_v1(snapshot: &Snapshot, query: &str, accept: Accept) -> Response<Body> {
    answer_or_refuse(query, |params| {
        let (scope, mut request) = (ScopeParam::read(params)?, TagRequest::read(params)?);
        // The first form knows no query.
        request.query = None;
        let mut tags: BTreeSet<String> = names(snapshot, &request, &scope)
            .into_iter()
            .flat_map(|(_, names)| names)
            .collect();
        if matches!(scope, ScopeParam::Intrinsic) {
            tags.extend(INTRINSICS.map(str::to_owned));
        }
        Ok(TagsV1Answer {
            tag_names: tags.into_iter().collect(),
            metrics: Some(TagMetrics {}),
        }
        .respond(accept))
    })
}

fn names(
    snapshot: &Snapshot,
    request: &TagRequest,
    scope: &ScopeParam,
) -> Vec<(&'static str, BTreeSet<String>)> {
    let scope = match scope {
        ScopeParam::All => None,
        ScopeParam::One(scope) => Some(*scope),
        ScopeParam::Intrinsic | ScopeParam::Without => return Vec::new(),
    };
    tag_names(&request.filter(), &snapshot.chunks, scope, request.limit)
}

/// The values of a tag, with their types.
pub(super) fn values_v2(
    snapshot: &Snapshot,
    tag: &str,
    query: &str,
    accept: Accept,
) -> Response<Body> {
    answer_or_refuse(query, |params| {
        let attribute = traceql::parse_attribute(tag)
            .map_err(|error| format!("please provide a valid tagName: {error}"))?;
        params.number("limit")?;
        let request = TagRequest::read(params)?;
        let keyword = |word: &str| TagValueAnswer {
            kind: "keyword".into(),
            value: word.to_owned(),
        };
        let values = match &attribute {
            // A closed set: all of it is offered.
            Attribute::Intrinsic(Intrinsic::Status) => {
                ["ok", "error", "unset"].map(keyword).to_vec()
            }
            Attribute::Intrinsic(Intrinsic::Kind) => [
                "client",
                "server",
                "producer",
                "consumer",
                "internal",
                "unspecified",
            ]
            .map(keyword)
            .to_vec(),
            // Nobody completes a duration.
            Attribute::Intrinsic(Intrinsic::Duration | Intrinsic::TraceDuration) => Vec::new(),
            attribute => tag_values(
                &request.filter(),
                &snapshot.chunks,
                attribute,
                request.limit,
            )
            .into_iter()
            .map(|value| TagValueAnswer {
                kind: value.kind.to_owned(),
                value: value.text,
            })
            .collect(),
        };
        Ok(TagValuesAnswer {
            tag_values: values,
            metrics: Some(TagMetrics {}),
        }
        .respond(accept))
    })
}

/// The values of a tag on spans, resources and instrumentation scopes, as texts.
pub(super) fn values_v1(
    snapshot: &Snapshot,
    tag: &str,
    query: &str,
    accept: Accept,
) -> Response<Body> {
    answer_or_refuse(query, |params| {
        params.number("limit")?;
        let mut request = TagRequest::read(params)?;
        request.query = None;
        let texts = |attribute: &Attribute| -> BTreeSet<String> {
            let values = tag_values(
                &request.filter(),
                &snapshot.chunks,
                attribute,
                request.limit,
            );
            values.into_iter().map(|value| value.text).collect()
        };
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let values = match tag {
            "status.code" => words(&["error", "ok", "unset"]),
            "error" => words(&["true"]),
            "name" => texts(&Attribute::Intrinsic(Intrinsic::Name)),
            "root.name" | "rootName" => texts(&Attribute::Intrinsic(Intrinsic::RootName)),
            "root.service.name" | "rootServiceName" => {
                texts(&Attribute::Intrinsic(Intrinsic::RootServiceName))
            }
            _ => [Scope::Span, Scope::Resource, Scope::Instrumentation]
                .into_iter()
                .flat_map(|scope| {
                    let name = tag.to_owned();
                    texts(&Attribute::Custom { scope, name })
                })
                .collect::<BTreeSet<String>>(),
        };
        Ok(TagValuesV1Answer {
            tag_values: values.into_iter().collect(),
            metrics: Some(TagMetrics {}),
        }
        .respond(accept))
    })
}

fn answer_or_refuse(
    query: &str,
    make: impl FnOnce(&Params) -> Result<Response<Body>, String>,
) -> Response<Body> {
    make(&Params::new(query)).unwrap_or_else(|message| plain_text(StatusCode::BAD_REQUEST, message))
}
