//! What `--attributes` adds below a span's line, each thing on a line of its
//! own and whole. Called by the waterfall.

use std::io::{self, Write};

use owo_colors::OwoColorize;
use tdemo_trace::span::Resource;
use tdemo_trace::{Attributes, Span};

use super::duration;
use crate::render::cells::harmless;

/// The attributes, status, events and links of `span`, `cells` from the left.
pub(super) fn span(span: &Span, cells: usize, out: &mut dyn Write) -> io::Result<()> {
    let margin = " ".repeat(cells);
    let inner = " ".repeat(cells + 2);
    writeln!(
        out,
        "{margin}{}",
        format!("span {} {}", span.id, span.kind).dimmed()
    )?;
    attributes(&span.attributes, &margin, out)?;
    if !span.status.message.is_empty() {
        writeln!(
            out,
            "{margin}status: {}",
            harmless(&span.status.message).red()
        )?;
    }
    if !span.trace_state.is_empty() {
        writeln!(out, "{margin}tracestate: {}", harmless(&span.trace_state))?;
    }
    for event in &span.events {
        let after = event.unix_nanos.saturating_sub(span.start_unix_nanos);
        writeln!(
            out,
            "{margin}+{} {}",
            duration(after),
            harmless(&event.name)
        )?;
        attributes(&event.attributes, &inner, out)?;
    }
    for link in &span.links {
        writeln!(
            out,
            "{margin}link to trace {} span {}",
            link.trace_id, link.span_id
        )?;
        attributes(&link.attributes, &inner, out)?;
    }
    Ok(())
}

/// The attributes of `resource`, `cells` from the left.
pub(super) fn resource(resource: &Resource, cells: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}{}", " ".repeat(cells), "resource".dimmed())?;
    attributes(&resource.attributes, &" ".repeat(cells + 2), out)
}

fn attributes(attributes: &Attributes, margin: &str, out: &mut dyn Write) -> io::Result<()> {
    for (key, value) in attributes.iter() {
        writeln!(
            out,
            "{margin}{} = {} {}",
            harmless(key),
            harmless(&value.to_string()),
            format!("({})", value.type_name()).dimmed()
        )?;
    }
    Ok(())
}
