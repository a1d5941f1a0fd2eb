//! Makes a verdict of evidence: pure, so that a file judges like the run that
//! left it. Called by `cmd::smoke`.

use std::collections::BTreeMap;

use tdemo_trace::rules::{self, Level, RULES};
use tdemo_trace::{Trace, TraceId};

use super::asked;
use super::checks::{self, OWN};
use super::evidence::{Evidence, Exchange};
use super::report::{
    Check, Counts, Finding, Group, Outcome, Report, SCHEMA_VERSION, Sent, Verdict, Visible,
};

/// Judges by every check; with `strict` one that could not be made counts as
/// one that failed.
pub fn judge(evidence: &Evidence, strict: bool) -> Report {
    let left_out = |group: Group| evidence.left_out.iter().any(|name| name == group.name());
    let mut all: Vec<Check> = OWN
        .iter()
        .filter_map(|own| {
            Some(Check {
                id: own.id.to_owned(),
                group: own.group,
                sentence: own.sentence.to_owned(),
                source: own.source.to_owned(),
                outcome: (own.judge)(evidence)?,
            })
        })
        .chain(judge_traces(evidence))
        .filter(|check| !left_out(check.group))
        .collect();
    all.sort_by_key(|check| check.group);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        verdict: Verdict::Fail,
        target: evidence.target.clone(),
        embedded: evidence.embedded,
        tempo_url: evidence.tempo_url.clone(),
        elapsed_s: evidence.elapsed_s,
        partial: evidence.partial,
        visible: visible(evidence),
        counts: Counts::default(),
        checks: all,
        requests: evidence.exchanges.iter().map(sent).collect(),
        evidence: None,
    };
    report.conclude(strict);
    report
}

fn visible(evidence: &Evidence) -> Visible {
    let searched: Option<Vec<f64>> = evidence
        .searches
        .iter()
        .map(|searched| searched.all_after_ms)
        .collect();
    Visible {
        by_id_ms: checks::by_id_ms(evidence),
        by_search_ms: searched.and_then(|times| times.into_iter().reduce(f64::max)),
    }
}

fn sent(exchange: &Exchange) -> Sent {
    let kind = serde_json::to_value(exchange.kind).unwrap_or_default();
    Sent {
        name: format!(
            "{}.{}",
            exchange.service.name(),
            kind.as_str().unwrap_or_default()
        ),
        request: format!("{} {}", exchange.method, exchange.url),
        status: exchange.status(),
        trace_id: exchange.trace_id().filter(|_| asked::is_traced(exchange)),
    }
}

/// What one rule came to over all traces.
#[derive(Default)]
struct Tally {
    looked_at: bool,
    findings: Vec<Finding>,
}

/// One check a rule, over the traces of all exchanges.
fn judge_traces(evidence: &Evidence) -> Vec<Check> {
    if evidence.without.traces.is_some() {
        return Vec::new();
    }
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for (exchange, read) in evidence.traces() {
        let Some(asked) = asked::asked(exchange, &evidence.without) else {
            continue;
        };
        let nothing = Trace::empty(read.id);
        for verdict in rules::check(read.trace.as_ref().unwrap_or(&nothing), &asked) {
            let tally = tallies.entry(verdict.rule.id).or_default();
            match verdict.outcome {
                rules::Outcome::NotApplicable => {}
                rules::Outcome::Passed => tally.looked_at = true,
                rules::Outcome::Broken(findings) => {
                    tally.looked_at = true;
                    let findings = findings
                        .iter()
                        .map(|found| finding(exchange, read.id, found));
                    tally.findings.extend(findings);
                }
            }
        }
    }
    let looked_at = |rule: &&rules::Rule| tallies.get(rule.id).is_some_and(|tally| tally.looked_at);
    RULES
        .iter()
        .filter(looked_at)
        .map(|rule| {
            let findings = tallies[rule.id].findings.clone();
            Check {
                id: rule.id.to_owned(),
                group: checks::group_of(rule),
                sentence: rule.sentence.to_owned(),
                source: rule.source.to_owned(),
                outcome: match (findings.is_empty(), rule.level) {
                    (true, _) => Outcome::Passed,
                    (false, Level::Note) => Outcome::Noted { findings },
                    (false, Level::Failure) => Outcome::Failed { findings },
                },
            }
        })
        .collect()
}

/// A finding of a trace rule, with the request that it came from.
pub(super) fn finding(exchange: &Exchange, id: TraceId, found: &rules::Finding) -> Finding {
    let span = found
        .span
        .map_or_else(String::new, |span| format!(" (span {span})"));
    Finding {
        subject: format!("{}{span}", found.subject),
        expected: found.expected.clone(),
        found: found.found.clone(),
        url: Some(exchange.url.clone()),
        trace_id: Some(id),
    }
}
