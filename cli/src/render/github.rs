//! The verdict of a smoke run as annotations of a GitHub Actions job (workflow
//! commands). Called by `cmd::smoke`.

use std::io::{self, Write};

use super::smoke::summary;
use crate::verify::report::{Finding, Outcome, Report, Verdict};

/// A line a finding, and one with the verdict.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for check in &report.checks {
        match &check.outcome {
            Outcome::Passed => {}
            Outcome::Failed { findings } => {
                for finding in findings {
                    command(out, "error", &check.id, &told(finding))?;
                }
            }
            Outcome::Noted { findings } => {
                for finding in findings {
                    command(out, "notice", &check.id, &told(finding))?;
                }
            }
            Outcome::Skipped { why } => {
                command(out, "warning", &check.id, &format!("skipped: {why}"))?;
            }
        }
    }
    let (level, word) = match report.verdict {
        Verdict::Pass => ("notice", "PASS"),
        Verdict::Fail => ("error", "FAIL"),
    };
    command(out, level, "smoke", &format!("{word}: {}", summary(report)))
}

fn told(finding: &Finding) -> String {
    let mut text = format!(
        "{}: expected {}, found {}",
        finding.subject, finding.expected, finding.found
    );
    if let Some(url) = &finding.url {
        text.push_str(", at ");
        text.push_str(url);
    }
    if let Some(id) = finding.trace_id {
        text.push_str(", trace ");
        text.push_str(&id.to_string());
    }
    text
}

fn command(out: &mut dyn Write, level: &str, check: &str, message: &str) -> io::Result<()> {
    let title = format!("smoke {check}");
    writeln!(
        out,
        "::{level} title={}::{}",
        escape(&title).replace(':', "%3A").replace(',', "%2C"),
        escape(message)
    )
}

/// What would end a command is escaped, as GitHub's own toolkit does.
fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_finding_starts_a_command_of_its_own() {
        let mut out = Vec::new();
        command(&mut out, "error", "a:b,c", "50 %\n::set-output name=x::y").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "::error title=smoke a%3Ab%2Cc::50 %25%0A::set-output name=x::y\n"
        );
    }
}
