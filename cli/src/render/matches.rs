//! The traces that a search found, as a list. Called by `cmd::trace`.

use std::io::{self, Write};

use owo_colors::OwoColorize;
use serde_json::json;

use super::cells::{cut, harmless};
use super::number::duration_ms;
use super::waterfall::moment;
use crate::tempo::Match;

const SCHEMA_VERSION: u32 = 1;

/// Cells of id, date, duration and the gaps between.
const TAKEN: usize = 32 + 2 + 23 + 2 + 8 + 2;

/// One trace a line: id, start, duration, root. The lines fill `columns`; on
/// narrow ones the root stands below.
pub fn text(found: &[Match], columns: usize, out: &mut dyn Write) -> io::Result<()> {
    for trace in found {
        let root = root(trace);
        let moment = moment(trace.start_unix_nanos);
        let took = duration_ms(trace.duration.as_secs_f64() * 1e3);
        let head = format!(
            "{}  {}  {took:>8}",
            trace.trace_id.bold(),
            moment.trim_end_matches(" UTC")
        );
        match columns.checked_sub(TAKEN) {
            Some(rest) if rest >= 24 => writeln!(out, "{head}  {}", cut(&root, rest))?,
            _ => writeln!(out, "{head}\n    {}", cut(&root, columns.saturating_sub(4)))?,
        }
    }
    Ok(())
}

fn root(trace: &Match) -> String {
    let name = harmless(&trace.root_name);
    let service = harmless(&trace.root_service);
    format!("{service} {name}").trim().to_owned()
}

/// One object with the list `traces`, the newest first.
pub fn json(query: &str, found: &[Match], out: &mut dyn Write) -> io::Result<()> {
    let traces: Vec<_> = found
        .iter()
        .map(|trace| {
            json!({
                "trace_id": trace.trace_id,
                "root_service": trace.root_service,
                "root_name": trace.root_name,
                "start_unix_nanos": trace.start_unix_nanos,
                "duration_ms": trace.duration.as_secs_f64() * 1e3,
                "matched_spans": trace.matched,
            })
        })
        .collect();
    let object = json!({"schema_version": SCHEMA_VERSION, "query": query, "traces": traces});
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_match_is_a_line_or_two_on_a_narrow_terminal() {
        let found = [Match {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap(),
            root_service: "frontend".to_owned(),
            root_name: "GET /api/\u{1b}process".to_owned(),
            start_unix_nanos: 1_700_000_000_051_000_000,
            duration: Duration::from_millis(182),
            matched: 3,
        }];
        let draw = |columns| {
            let mut out = Vec::new();
            text(&found, columns, &mut out).unwrap();
            anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
        };
        assert_eq!(
            draw(120),
            "4bf92f3577b34da6a3ce929d0e0e4736  2023-11-14 22:13:20.051    182 ms  frontend GET /api/\\u{1b}process\n"
        );
        assert_eq!(
            draw(80),
            "4bf92f3577b34da6a3ce929d0e0e4736  2023-11-14 22:13:20.051    182 ms\n    frontend GET /api/\\u{1b}process\n"
        );
    }
}
