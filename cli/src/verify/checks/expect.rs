//! The traces of somebody else's services, held against their own file.

use tdemo_trace::expect::Expectation;
use tdemo_trace::{Trace, rules};

use super::{skipped, verdict};
use crate::verify::evidence::Evidence;
use crate::verify::judge::finding;
use crate::verify::report::{Finding, Outcome};

pub(super) const SOURCE: &str = "the file given with --expect";

pub(super) fn services(evidence: &Evidence) -> Option<Outcome> {
    judge(evidence, &["expect.service"])
}

pub(super) fn spans(evidence: &Evidence) -> Option<Outcome> {
    judge(evidence, &["expect.span", "expect.status"])
}

pub(super) fn attributes(evidence: &Evidence) -> Option<Outcome> {
    judge(evidence, &["expect.attribute", "expect.resource"])
}

pub(super) fn edges(evidence: &Evidence) -> Option<Outcome> {
    judge(evidence, &["expect.edge"])
}

/// The findings under `ids`, of every trace.
fn judge(evidence: &Evidence, ids: &[&str]) -> Option<Outcome> {
    let text = evidence.expect.as_ref()?.to_string();
    if let Some(why) = &evidence.without.traces {
        return Some(skipped(why));
    }
    let expectation = match Expectation::from_json(text.as_bytes()) {
        Ok(expectation) => expectation,
        Err(error) => return Some(skipped(error.to_string())),
    };
    let mut findings: Vec<Finding> = Vec::new();
    for (exchange, read) in evidence.traces() {
        let nothing = Trace::empty(read.id);
        let trace = read.trace.as_ref().unwrap_or(&nothing);
        let found: Vec<rules::Finding> = expectation.judge(trace);
        findings.extend(
            found
                .iter()
                .filter(|found| ids.contains(&found.rule))
                .map(|found| finding(exchange, read.id, found)),
        );
    }
    Some(verdict(findings))
}
