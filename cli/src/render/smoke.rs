//! The verdict of a smoke run for people: a line a group, what failed below
//! it with expected against found, the verdict last. Called by `cmd::smoke`.

use std::io::{self, Write};

use owo_colors::OwoColorize;

use super::cells::harmless;
use super::number::duration_ms;
use crate::verify::report::{Check, Finding, Group, Outcome, Report, Verdict};

/// How many findings of one check are told; the evidence has them all.
const FINDINGS_TOLD: usize = 2;
/// Cells of a group's name.
const NAME_CELLS: usize = 14;
/// Cells of what a group is about.
const WORDS_CELLS: usize = 40;

/// Writes the report; `next` is what to type next.
pub fn text(report: &Report, next: &[String], out: &mut dyn Write) -> io::Result<()> {
    heading(report, out)?;
    for group in Group::ALL {
        let checks: Vec<&Check> = report.of(group).collect();
        if !checks.is_empty() {
            write_group(group, &checks, out)?;
        }
    }
    verdict(report, next, out)
}

fn heading(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let target = if report.embedded {
        format!("embedded stack (frontend {})", report.target)
    } else {
        report.target.clone()
    };
    let traces = match &report.tempo_url {
        Some(_) if report.embedded => String::new(),
        Some(url) => format!(", traces from {url}"),
        None => ", no trace backend".to_owned(),
    };
    writeln!(out, "smoke → {target}{traces}\n")
}

fn write_group(group: Group, checks: &[&Check], out: &mut dyn Write) -> io::Result<()> {
    let count =
        |which: fn(&Outcome) -> bool| checks.iter().filter(|check| which(&check.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped { .. }));
    let noted = count(|outcome| matches!(outcome, Outcome::Noted { .. }));
    let passed = checks.len() - failed - skipped;
    let name = format!("{:<NAME_CELLS$}", group.name());
    if let ([check], 1) = (checks, skipped)
        && let Outcome::Skipped { why } = &check.outcome
    {
        return writeln!(out, "{} {name} skipped: {}", "?".yellow(), harmless(why));
    }
    let words = format!("{:<WORDS_CELLS$}", group.words());
    if failed > 0 {
        writeln!(out, "{} {name} {passed} of {}", "✗".red(), passed + failed)?;
    } else if passed == 0 {
        writeln!(out, "{} {name} skipped", "?".yellow())?;
    } else {
        let mark = if noted > 0 {
            "!".yellow().to_string()
        } else {
            "✓".green().to_string()
        };
        writeln!(out, "{mark} {name} {words} {passed:>3}")?;
    }
    for check in checks {
        match &check.outcome {
            Outcome::Passed => {}
            Outcome::Failed { findings } => write_failure(check, findings, out)?,
            Outcome::Noted { findings } => write_notes(check, findings, out)?,
            Outcome::Skipped { why } => {
                writeln!(
                    out,
                    "  {} {} skipped: {}",
                    "?".yellow(),
                    check.id,
                    harmless(why)
                )?;
            }
        }
    }
    Ok(())
}

fn write_failure(check: &Check, findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings.iter().take(FINDINGS_TOLD) {
        writeln!(
            out,
            "    {}   {}",
            check.id.red(),
            harmless(&finding.subject)
        )?;
        writeln!(out, "      expected   {}", harmless(&finding.expected))?;
        writeln!(out, "      found      {}", harmless(&finding.found))?;
        if let Some(url) = &finding.url {
            writeln!(out, "      at         {}", harmless(url))?;
        }
        if let Some(id) = finding.trace_id {
            writeln!(out, "      trace      {id}")?;
        }
    }
    if findings.len() > FINDINGS_TOLD {
        writeln!(out, "      and {} more", findings.len() - FINDINGS_TOLD)?;
    }
    writeln!(out, "      source     {}", check.source)
}

fn write_notes(check: &Check, findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings.iter().take(FINDINGS_TOLD) {
        writeln!(
            out,
            "  {} {}   {}\n      {}",
            "!".yellow(),
            check.id,
            harmless(&finding.subject),
            harmless(&finding.found)
        )?;
    }
    Ok(())
}

/// `57 passed, 1 failed, 1 skipped in 2.70 s`.
pub(super) fn summary(report: &Report) -> String {
    let counts = report.counts;
    let mut parts = vec![format!("{} passed", counts.passed)];
    for (number, what) in [(counts.failed, "failed"), (counts.skipped, "skipped")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    format!(
        "{} in {}",
        parts.join(", "),
        duration_ms(report.elapsed_s * 1e3)
    )
}

fn verdict(report: &Report, next: &[String], out: &mut dyn Write) -> io::Result<()> {
    let word = match report.verdict {
        Verdict::Pass => "PASS".green().bold().to_string(),
        Verdict::Fail => "FAIL".red().bold().to_string(),
    };
    if report.partial {
        writeln!(out, "\n! interrupted: this is what was seen by then")?;
    }
    writeln!(out, "\n{word}   {}", summary(report))?;
    if let Some(by_id) = report.visible.by_id_ms {
        let search = report.visible.by_search_ms.map_or_else(String::new, |ms| {
            format!(", by search after {}", duration_ms(ms))
        });
        writeln!(
            out,
            "       visible by id after {}{search}",
            duration_ms(by_id)
        )?;
    }
    for line in next {
        writeln!(out, "       {line}")?;
    }
    Ok(())
}
