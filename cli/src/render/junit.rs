//! The verdict of a smoke run as `JUnit` XML, a suite a group. Called by
//! `cmd::smoke`.

use std::fmt::Write as _;
use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::verify::report::{Check, Finding, Group, Outcome, Report};

/// Writes the document.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut document = Document::new("tdemo smoke");
    for group in Group::ALL {
        let mut suite = TestSuite::new(group.name());
        for check in report.of(group) {
            suite.add_test_case(case(check));
        }
        if suite.tests > 0 {
            document.add_test_suite(suite);
        }
    }
    document.serialize(&mut *out).map_err(io::Error::other)?;
    writeln!(out)
}

fn case(check: &Check) -> TestCase {
    let status = match &check.outcome {
        Outcome::Passed | Outcome::Noted { .. } => TestCaseStatus::success(),
        Outcome::Skipped { why } => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(why.as_str());
            skipped
        }
        Outcome::Failed { findings } => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_type(check.id.as_str());
            failed.set_message(check.sentence.as_str());
            failed.set_description(findings.iter().fold(String::new(), told));
            failed
        }
    };
    let mut case = TestCase::new(check.id.as_str(), status);
    case.set_classname(format!("smoke.{}", check.group.name()));
    if let Outcome::Noted { findings } = &check.outcome {
        case.set_system_out(findings.iter().fold(String::new(), told));
    }
    case
}

fn told(mut text: String, finding: &Finding) -> String {
    let _ = writeln!(
        text,
        "{}: expected {}, found {}",
        finding.subject, finding.expected, finding.found
    );
    if let Some(url) = &finding.url {
        let _ = writeln!(text, "  at {url}");
    }
    if let Some(id) = finding.trace_id {
        let _ = writeln!(text, "  trace {id}");
    }
    text
}
