//! A [`Query`] compiled to run over records, one at a time. Called by the log store's queries
//! and by tail; it sees records only through [`Record`].

use std::borrow::Cow;

use memchr::memmem::Finder;
use regex::Regex;

use super::ast::{Dropped, LabelFormat, LineFilter, LineOp, LogfmtFlags, Matcher, Query, Stage};
use super::error::LogqlError;
use super::filter::CompiledFilter;
use super::hint::{TraceHint, trace_hint};
use super::matcher::{CompiledMatcher, anchored_regex, line_regex, stream_regex};
use super::template::Template;
use super::{json, logfmt};

/// The label that says which stage could not handle a line; such lines are kept, as in Loki.
pub const ERROR_LABEL: &str = "__error__";
/// The label that says why.
pub const ERROR_DETAILS_LABEL: &str = "__error_details__";
/// Fields that the stages may make of one record.
const MAX_FIELDS: usize = 1000;
/// Bytes of their names and values.
const MAX_FIELD_BYTES: usize = 1 << 20;

/// What the pipeline reads of a log record.
pub trait Record {
    /// The log line.
    fn line(&self) -> &str;
    /// A label of the record's stream.
    fn stream_label(&self, name: &str) -> Option<&str>;
    /// A value of the record's structured metadata.
    fn metadata(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// What the stages added to a record and took from it.
#[derive(Debug, Default)]
pub struct Fields {
    parsed: Vec<(String, String)>,
    /// Bytes that were ever made.
    made: usize,
    dropped: Vec<String>,
    error: Option<&'static str>,
    error_details: Option<String>,
}

impl Fields {
    fn clear(&mut self) {
        self.parsed.clear();
        self.made = 0;
        self.dropped.clear();
        self.error = None;
        self.error_details = None;
    }

    /// The labels that stages made, in the order they were made, the error labels last.
    pub fn parsed(&self) -> impl Iterator<Item = (&str, &str)> {
        let errors = [
            self.error.map(|value| (ERROR_LABEL, value)),
            self.error_details
                .as_deref()
                .map(|value| (ERROR_DETAILS_LABEL, value)),
        ];
        self.parsed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(errors.into_iter().flatten())
    }

    /// Whether a label of the stream or of the structured metadata is gone: dropped, renamed,
    /// or replaced by one that a stage made.
    pub fn hides(&self, name: &str) -> bool {
        self.dropped.iter().any(|n| n == name) || self.parsed.iter().any(|(n, _)| n == name)
    }

    pub(super) fn get<'a>(&'a self, record: &'a impl Record, name: &str) -> Option<Cow<'a, str>> {
        match name {
            ERROR_LABEL => return self.error.map(Cow::Borrowed),
            ERROR_DETAILS_LABEL => return self.error_details.as_deref().map(Cow::Borrowed),
            _ => {}
        }
        if let Some((_, value)) = self.parsed.iter().find(|(n, _)| n == name) {
            return Some(Cow::Borrowed(value));
        }
        if self.dropped.iter().any(|n| n == name) {
            return None;
        }
        record
            .metadata(name)
            .or_else(|| record.stream_label(name).map(Cow::Borrowed))
    }

    fn set(&mut self, name: &str, value: String) {
        if !self.has_room(name, &value) {
            return;
        }
        match self.parsed.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.parsed.push((name.to_owned(), value)),
        }
    }

    /// Whether one more field may be made; if not, the record is marked.
    fn has_room(&mut self, name: &str, value: &str) -> bool {
        let made = self.made + name.len() + value.len();
        if made > MAX_FIELD_BYTES || self.parsed.len() == MAX_FIELDS {
            let details =
                format!("more than {MAX_FIELDS} fields or {MAX_FIELD_BYTES} bytes of them");
            self.fail("TooManyFields", details);
            return false;
        }
        self.made = made;
        true
    }

    fn drop_label(&mut self, name: &str) {
        match name {
            ERROR_LABEL => self.error = None,
            ERROR_DETAILS_LABEL => self.error_details = None,
            _ => {
                self.parsed.retain(|(n, _)| n != name);
                self.dropped.push(name.to_owned());
            }
        }
    }

    /// A field that a parser found in the line: the first of a name wins, and a name that the
    /// stream or the metadata has already gets a suffix.
    fn extract(&mut self, record: &impl Record, key: &str, value: &str) {
        let mut name = label_name(key);
        if name.is_empty() {
            return;
        }
        if record.stream_label(&name).is_some() || record.metadata(&name).is_some() {
            name.push_str("_extracted");
        }
        if !self.parsed.iter().any(|(n, _)| *n == name) && self.has_room(&name, value) {
            self.parsed.push((name, value.to_owned()));
        }
    }

    /// The first error of a record stays.
    pub(super) fn fail(&mut self, error: &'static str, details: String) {
        if self.error.is_none() {
            self.error = Some(error);
            self.error_details = Some(details);
        }
    }
}

/// A field's key as a label's name.
fn label_name(key: &str) -> String {
    let key = key.trim();
    let digit = key.starts_with(|c: char| c.is_ascii_digit());
    let prefix = if digit { "_" } else { "" };
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    prefix.chars().chain(key.chars().map(plain)).collect()
}

/// A compiled query.
#[derive(Debug)]
pub struct Pipeline {
    selector: Vec<CompiledMatcher>,
    stages: Vec<CompiledStage>,
    trace: Option<TraceHint>,
}

impl Pipeline {
    /// Compiles a query.
    ///
    /// # Errors
    /// When it selects every stream there is, or has a regular expression that is not valid.
    pub fn new(query: &Query) -> Result<Self, LogqlError> {
        let selector: Vec<CompiledMatcher> = query
            .selector
            .iter()
            .map(|matcher| CompiledMatcher::new(matcher, stream_regex))
            .collect::<Result<_, _>>()?;
        if selector.iter().all(|matcher| matcher.matches("")) {
            return Err(LogqlError::unplaced(
                "a query needs at least one matcher that an absent label does not fulfil: \
                 app=~\".+\" will do, app=~\".*\" will not",
            ));
        }
        Ok(Self {
            selector,
            stages: query
                .stages
                .iter()
                .map(CompiledStage::new)
                .collect::<Result<_, _>>()?,
            trace: trace_hint(&query.stages),
        })
    }

    /// A pipeline for the selector alone, for the answers that are about streams.
    ///
    /// # Errors
    /// As [`Pipeline::new`].
    pub fn selector(matchers: &[Matcher]) -> Result<Self, LogqlError> {
        Self::new(&Query {
            selector: matchers.to_vec(),
            stages: Vec::new(),
        })
    }

    /// Whether a stream with these labels is selected.
    pub fn selects<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.selector
            .iter()
            .all(|matcher| matcher.matches(label(matcher.name()).unwrap_or_default()))
    }

    /// The trace that all records of the answer belong to, if the query says so.
    pub fn trace(&self) -> Option<TraceHint> {
        self.trace
    }

    /// Runs the stages over a record of a selected stream: whether it belongs to the answer.
    /// What the stages made of its labels is then in `fields`.
    pub fn run(&self, record: &impl Record, fields: &mut Fields) -> bool {
        fields.clear();
        self.stages.iter().all(|stage| stage.run(record, fields))
    }
}

#[derive(Debug)]
enum CompiledStage {
    Line { wanted: bool, needles: Vec<Needle> },
    Json,
    Logfmt(LogfmtFlags),
    Label(CompiledFilter),
    LabelFormat(Vec<CompiledFormat>),
    Drop(Vec<(String, Option<CompiledMatcher>)>),
}

#[derive(Debug)]
enum Needle {
    Text(Box<Finder<'static>>),
    Regex(Regex),
}

#[derive(Debug)]
enum CompiledFormat {
    Rename { to: String, from: String },
    Template { to: String, template: Template },
}

impl CompiledStage {
    fn new(stage: &Stage) -> Result<Self, LogqlError> {
        Ok(match stage {
            Stage::Line(filter) => Self::line(filter)?,
            Stage::Json => Self::Json,
            Stage::Logfmt(flags) => Self::Logfmt(*flags),
            Stage::Label(filter) => Self::Label(CompiledFilter::new(filter)?),
            Stage::LabelFormat(formats) => Self::LabelFormat(
                formats
                    .iter()
                    .map(CompiledFormat::new)
                    .collect::<Result<_, _>>()?,
            ),
            Stage::Drop(items) => Self::Drop(
                items
                    .iter()
                    .map(|item| match item {
                        Dropped::Name(name) => Ok((name.clone(), None)),
                        Dropped::Match(matcher) => {
                            let compiled = CompiledMatcher::new(matcher, anchored_regex)?;
                            Ok((matcher.name.clone(), Some(compiled)))
                        }
                    })
                    .collect::<Result<_, LogqlError>>()?,
            ),
        })
    }

    fn line(filter: &LineFilter) -> Result<Self, LogqlError> {
        let regex = matches!(filter.op, LineOp::Matches | LineOp::MatchesNot);
        let needle = |text: &String| {
            Ok(if regex {
                Needle::Regex(line_regex(text)?)
            } else {
                Needle::Text(Box::new(Finder::new(text.as_bytes()).into_owned()))
            })
        };
        Ok(Self::Line {
            wanted: matches!(filter.op, LineOp::Contains | LineOp::Matches),
            needles: filter
                .texts
                .iter()
                .map(needle)
                .collect::<Result<_, LogqlError>>()?,
        })
    }

    fn run(&self, record: &impl Record, fields: &mut Fields) -> bool {
        match self {
            Self::Line { wanted, needles } => {
                let line = record.line();
                let found = needles.iter().any(|needle| match needle {
                    Needle::Text(finder) => finder.find(line.as_bytes()).is_some(),
                    Needle::Regex(regex) => regex.is_match(line),
                });
                found == *wanted
            }
            Self::Json => {
                let outcome = json::fields(record.line(), &mut |key, value| {
                    fields.extract(record, key, value);
                });
                if let Err(details) = outcome {
                    fields.fail("JSONParserErr", details);
                }
                true
            }
            Self::Logfmt(flags) => {
                let outcome = logfmt::pairs(record.line(), flags.strict, &mut |key, value| {
                    if flags.keep_empty || !value.is_empty() {
                        fields.extract(record, key, value);
                    }
                });
                if let (true, Err(details)) = (flags.strict, outcome) {
                    fields.fail("LogfmtParserErr", details);
                }
                true
            }
            Self::Label(filter) => filter.run(record, fields),
            Self::LabelFormat(formats) => {
                for format in formats {
                    format.run(record, fields);
                }
                true
            }
            Self::Drop(items) => {
                for (name, matcher) in items {
                    let value = fields.get(record, name).unwrap_or_default();
                    if matcher.as_ref().is_none_or(|m| m.matches(&value)) {
                        fields.drop_label(name);
                    }
                }
                true
            }
        }
    }
}

impl CompiledFormat {
    fn new(format: &LabelFormat) -> Result<Self, LogqlError> {
        Ok(match format {
            LabelFormat::Rename { to, from } => Self::Rename {
                to: to.clone(),
                from: from.clone(),
            },
            LabelFormat::Template { to, template } => Self::Template {
                to: to.clone(),
                template: Template::parse(template).map_err(LogqlError::unplaced)?,
            },
        })
    }

    fn run(&self, record: &impl Record, fields: &mut Fields) {
        match self {
            Self::Rename { to, from } => {
                if let Some(value) = fields.get(record, from).map(Cow::into_owned) {
                    fields.set(to, value);
                    if to != from {
                        fields.drop_label(from);
                    }
                }
            }
            Self::Template { to, template } => {
                let label = |name: &str| fields.get(record, name);
                match template.render(record.line(), MAX_FIELD_BYTES, label) {
                    Some(value) => fields.set(to, value),
                    None => fields.fail(
                        "TemplateFormatErr",
                        format!("{to} would take more than {MAX_FIELD_BYTES} bytes"),
                    ),
                }
            }
        }
    }
}
