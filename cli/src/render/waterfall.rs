//! A trace as a picture in text: the tree, each span's bar in time, who made
//! it, how long it took and how long by itself, what the answer waited for,
//! what is missing. `cmd::trace` prints it.
//!
//! Names and values are somebody else's data and pass through
//! [`harmless`]. Colour only repeats what marks and words say; the
//! caller's writer takes it out where it is not wanted.

mod details;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use owo_colors::{AnsiColors, OwoColorize, Style};
use tdemo_trace::tree::{Node, Place};
use tdemo_trace::{Span, StatusCode, Trace, Tree};

use super::cells::{cut, fit, harmless, width};
use super::number::{duration_ms, plural};

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Cells a line may take. Below [`NARROWEST`] it is drawn as for that.
    pub columns: usize,
    /// Whether each span's attributes, events and links follow it.
    pub attributes: bool,
}

/// What a waterfall needs to be readable.
pub const NARROWEST: usize = 72;

/// Cells of the columns other than the bars, on the 80 that are always there.
const SERVICE_CELLS: usize = 12;
const NAME_CELLS: usize = 30;
const DURATION_CELLS: usize = 8;
const FEWEST_BAR_CELLS: usize = 8;

/// Marks the span that the answer waited for the longest.
const MARK: &str = "◂";

/// Cells of indentation after which deeper spans stay in line.
const DEEPEST_INDENT: usize = 16;

/// Red is for errors.
const COLOURS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Magenta,
    AnsiColors::Green,
    AnsiColors::Blue,
    AnsiColors::Yellow,
    AnsiColors::BrightCyan,
];

/// Draws `trace`.
pub fn waterfall(trace: &Trace, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let picture = Picture::new(trace, look);
    picture.header(out)?;
    if trace.spans.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut missing = None;
    for (at, node) in picture.tree.nodes().iter().enumerate() {
        if let Place::Orphan { missing: parent } = node.place
            && missing.replace(parent) != Some(parent)
        {
            let words = format!("(missing parent {parent})");
            writeln!(out, "{} {}", fit("?", picture.service_cells), words.red())?;
        }
        picture.row(at, node, out)?;
    }
    writeln!(out)?;
    picture.footer(out)
}

struct Picture<'t> {
    trace: &'t Trace,
    look: Look,
    tree: Tree<'t>,
    /// How deep each node is drawn: below a missing parent one deeper.
    levels: Vec<usize>,
    /// The nodes at which a resource appears for the first time.
    first_of_resource: HashSet<usize>,
    /// Nanoseconds that the answer waited for each node, by its number.
    critical: Vec<(usize, u64)>,
    colours: HashMap<&'t str, AnsiColors>,
    start: u64,
    length: u64,
    service_cells: usize,
    name_cells: usize,
    bar_cells: usize,
}

impl<'t> Picture<'t> {
    fn new(trace: &'t Trace, look: Look) -> Self {
        let tree = Tree::new(trace);
        let levels = levels(&tree);
        let columns = look.columns.max(NARROWEST);
        let services = trace.services();
        let colours = services
            .iter()
            .enumerate()
            .map(|(at, service)| (*service, COLOURS[at % COLOURS.len()]))
            .collect();
        let longest = |cells: &mut dyn Iterator<Item = usize>, most: usize| {
            cells.max().unwrap_or(0).min(most)
        };
        let service_cells = longest(
            &mut services.iter().map(|service| width(&harmless(service))),
            SERVICE_CELLS,
        );
        let name_cells = longest(
            &mut tree
                .nodes()
                .iter()
                .zip(&levels)
                .map(|(node, level)| width(&label(node, *level))),
            NAME_CELLS + columns.saturating_sub(80) / 2,
        );
        let taken = service_cells + name_cells + 2 * DURATION_CELLS + 5 + width(MARK);
        let start = trace.bounds_unix_nanos().map_or(0, |(start, _)| start);
        Self {
            critical: critical(&tree),
            first_of_resource: first_of_resource(&tree),
            length: trace.duration_nanos(),
            bar_cells: columns.saturating_sub(taken).max(FEWEST_BAR_CELLS),
            trace,
            look,
            tree,
            levels,
            colours,
            start,
            service_cells,
            name_cells,
        }
    }

    fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        let trace = self.trace;
        if trace.spans.is_empty() {
            return writeln!(out, "{}   no spans", trace.id.bold());
        }
        let errors = errors(trace).count();
        let verdict = if errors == 0 {
            "ok".green().to_string()
        } else {
            plural(errors as u64, "error").red().to_string()
        };
        writeln!(
            out,
            "{}   {}\n{}   {}, {}   {verdict}",
            trace.id.bold(),
            moment(self.start),
            duration(self.length),
            plural(trace.spans.len() as u64, "span"),
            plural(self.colours.len() as u64, "service"),
        )
    }

    fn row(&self, at: usize, node: &Node<'t>, out: &mut dyn Write) -> io::Result<()> {
        let span = node.span;
        let style = self.style(span);
        let name = fit(&label(node, self.levels[at]), self.name_cells);
        let name = if span.status.code == StatusCode::Error {
            name.red().to_string()
        } else {
            name
        };
        let most = self.critical.first().is_some_and(|(most, _)| *most == at);
        writeln!(
            out,
            "{} {name} {} {:>DURATION_CELLS$} {:>DURATION_CELLS$}{}",
            fit(&harmless(span.service()), self.service_cells).style(style),
            self.bar(span).style(style),
            duration(span.duration_nanos()),
            duration(node.self_nanos),
            if most {
                format!(" {MARK}")
            } else {
                String::new()
            },
        )?;
        if self.look.attributes {
            let margin = self.service_cells + 3 + indent(self.levels[at]).min(DEEPEST_INDENT);
            details::span(node.span, margin, out)?;
            if self.first_of_resource.contains(&at) {
                details::resource(&node.span.resource, margin, out)?;
            }
        }
        Ok(())
    }

    fn style(&self, span: &Span) -> Style {
        Style::new().color(self.colours[span.service()])
    }

    fn bar(&self, span: &Span) -> String {
        let eighths = |at: u64| {
            let share = at.saturating_sub(self.start) as f64 / self.length.max(1) as f64;
            to_eighths(share, self.bar_cells)
        };
        bar(
            eighths(span.start_unix_nanos)..eighths(span.end_unix_nanos),
            self.bar_cells,
        )
    }

    /// The spans with the most time on the critical path, as many as fit.
    fn critical_path(&self, out: &mut dyn Write) -> io::Result<()> {
        let total: u64 = self.critical.iter().map(|(_, nanos)| nanos).sum();
        let mut line = format!("{MARK} critical");
        for (at, (node, nanos)) in self.critical.iter().enumerate() {
            let percent = *nanos as f64 / total as f64 * 100.0;
            let name = harmless(&self.tree.nodes()[*node].span.name);
            let part = format!(
                "{} {} {} ({percent:.0} %)",
                if at == 0 { " " } else { "," },
                cut(&name, NAME_CELLS),
                duration(*nanos)
            );
            if at > 0 && width(&line) + width(&part) > self.look.columns {
                break;
            }
            line.push_str(&part);
        }
        if total == 0 {
            return Ok(());
        }
        writeln!(out, "{line}")
    }

    fn footer(&self, out: &mut dyn Write) -> io::Result<()> {
        self.critical_path(out)?;
        for span in errors(self.trace) {
            writeln!(out, "{} {}", "✗ error".red(), error_line(span))?;
        }
        for span in self.tree.looped() {
            writeln!(
                out,
                "? loop {} is its own ancestor",
                harmless(&span.label())
            )?;
        }
        let duplicates = self.tree.duplicates().count();
        if duplicates > 0 {
            writeln!(
                out,
                "? twice {} with an id that another span has",
                plural(duplicates as u64, "span")
            )?;
        }
        let orphans = self.tree.orphans().count();
        if orphans > 0 {
            writeln!(
                out,
                "? missing {} name{} a parent that is not here: lost, never exported, or the caller's own",
                plural(orphans as u64, "span"),
                if orphans == 1 { "s" } else { "" },
            )?;
        }
        Ok(())
    }
}

/// The nodes of the critical path with their time on it, the longest first.
fn critical(tree: &Tree<'_>) -> Vec<(usize, u64)> {
    let mut nanos: HashMap<usize, u64> = HashMap::new();
    for segment in tree.critical_path() {
        *nanos.entry(segment.node).or_default() += segment.nanos();
    }
    let mut nanos: Vec<_> = nanos.into_iter().collect();
    nanos.sort_by_key(|(node, nanos)| (std::cmp::Reverse(*nanos), *node));
    nanos
}

fn errors(trace: &Trace) -> impl Iterator<Item = &Span> {
    trace
        .spans
        .iter()
        .filter(|span| span.status.code == StatusCode::Error)
}

fn error_line(span: &Span) -> String {
    let mut line = harmless(&span.label()).into_owned();
    if let Some(kind) = span.attributes.get("error.type") {
        line.push_str(": ");
        line.push_str(&harmless(&kind.to_string()));
    }
    if !span.status.message.is_empty() {
        line.push_str(", ");
        line.push_str(&harmless(&span.status.message));
    }
    line
}

fn levels(tree: &Tree<'_>) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::with_capacity(tree.nodes().len());
    for node in tree.nodes() {
        levels.push(match (node.parent, node.place) {
            (Some(parent), _) => levels[parent] + 1,
            (None, Place::Orphan { .. }) => 1,
            (None, _) => 0,
        });
    }
    levels
}

fn first_of_resource(tree: &Tree<'_>) -> HashSet<usize> {
    let mut seen = HashSet::new();
    let nodes = tree.nodes().iter().enumerate();
    nodes
        .filter(|(_, node)| seen.insert(Arc::as_ptr(&node.span.resource)))
        .map(|(at, _)| at)
        .collect()
}

fn indent(level: usize) -> usize {
    2 * level.saturating_sub(1)
}

/// What stands in the tree: branch, error mark, name.
fn label(node: &Node<'_>, level: usize) -> String {
    let mut label = match indent(level) {
        _ if level == 0 => String::new(),
        deep if deep > DEEPEST_INDENT => fit(&format!("{level}"), DEEPEST_INDENT) + "└ ",
        cells => " ".repeat(cells) + "└ ",
    };
    if node.span.status.code == StatusCode::Error {
        label.push_str("✗ ");
    }
    if node.duplicate {
        label.push_str("(again) ");
    }
    label.push_str(&harmless(&node.span.name));
    label
}

/// A place in time as eighths of a cell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the share lies between 0 and 1 and the cells of a terminal are few"
)]
fn to_eighths(share: f64, cells: usize) -> usize {
    (share.clamp(0.0, 1.0) * (cells * 8) as f64).round() as usize
}

/// A bar over `eighths` of `cells`: its end is exact to an eighth of a cell,
/// its start to half a cell (there are no blocks that begin elsewhere).
fn bar(eighths: Range<usize>, cells: usize) -> String {
    const PARTS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let start = eighths.start.min(cells * 8 - 1);
    let end = eighths.end.clamp(start + 1, cells * 8);
    let mut bar = String::new();
    for cell in 0..cells {
        let from = start.clamp(cell * 8, cell * 8 + 8) - cell * 8;
        let to = end.clamp(cell * 8, cell * 8 + 8) - cell * 8;
        bar.push(match (from, to) {
            (from, to) if from >= to => ' ',
            (4.., 8) => '▐',
            (1.., to) if to < 8 => PARTS[to - from],
            (_, to) => PARTS[to],
        });
    }
    bar
}

/// A moment in UTC, to the millisecond.
pub(super) fn moment(unix_nanos: u64) -> String {
    jiff::Timestamp::from_nanosecond(unix_nanos.into())
        .expect("64 bits of nanoseconds end in the year 2554")
        .strftime("%Y-%m-%d %H:%M:%S%.3f UTC")
        .to_string()
}

fn duration(nanos: u64) -> String {
    duration_ms(nanos as f64 / 1e6)
}

#[cfg(test)]
mod tests;
