//! Runs of an embedded stack that are over: their traces, kept as files in the
//! form of the OpenTelemetry Collector's file exporter (OTLP/JSON, one object a
//! line), so that `tdemo trace` still finds them. Written by the commands that
//! start a stack; read by `cmd::trace`, `cmd::trace_link` and `tdemo up --import`.
//!
//! The directory is bounded in files and in bytes; the oldest run goes first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tdemo_trace::otlp::{OtlpError, json};
use tdemo_trace::{ParseIdError, Trace, TraceId};

/// How many runs are kept.
pub const MAX_RUNS: usize = 20;
/// How many bytes all runs take together.
pub const MAX_BYTES: u64 = 64 << 20;
/// How many traces of one run are kept in the directory.
pub const MAX_TRACES: usize = 500;

const EXTENSION: &str = "jsonl";
/// A draft of this age was left by a process that was killed.
const STALE_DRAFT: Duration = Duration::from_secs(3600);

/// A saved run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A line of it is no trace.
    #[error("{}, line {line}: {source}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        source: OtlpError,
    },
}

/// The beginning of a trace id, as people type it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// Whether `id` begins so.
    pub fn matches(&self, id: TraceId) -> bool {
        id.to_string().starts_with(&self.0)
    }

    /// The id itself, where all 32 digits are given.
    pub fn whole(&self) -> Option<TraceId> {
        (self.0.len() == 32).then(|| self.padded())
    }

    /// The id that Tempo takes this text for: short ones are padded on the left.
    pub fn padded(&self) -> TraceId {
        self.0.parse().expect("it was parsed as an id before")
    }
}

impl From<TraceId> for IdPrefix {
    fn from(id: TraceId) -> Self {
        Self(id.to_string())
    }
}

impl FromStr for IdPrefix {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<TraceId>()
            .map(|_| Self(text.to_ascii_lowercase()))
    }
}

/// What a look into the saved runs came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// No trace begins so.
    None,
    /// Exactly one does.
    One(Trace),
    /// Several do.
    Several(Vec<TraceId>),
}

/// The directory of saved runs; it need not exist.
#[derive(Debug, Clone)]
pub struct SavedRuns(PathBuf);

impl SavedRuns {
    /// `$XDG_STATE_HOME/tdemo/runs`, or `~/.local/state/tdemo/runs` (XDG Base
    /// Directory Specification); `None` where there is no home.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let base = set("XDG_STATE_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(Path::new(&set("HOME")?).join(".local/state")))?;
        Some(Self(base.join("tdemo").join("runs")))
    }

    /// The files are in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// Keeps a run, and drops the oldest ones where there are too many. The
    /// file appears whole or not at all.
    pub fn keep(&self, command: &str, traces: &[Trace]) -> io::Result<()> {
        if traces.is_empty() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)?;
        // Sorts by time as it sorts by name.
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ");
        let name = format!("{now}-{command}-{}.{EXTENSION}", std::process::id());
        let draft = self.0.join(format!("{name}.draft"));
        write_file(&draft, traces)?;
        fs::rename(&draft, self.0.join(name))?;
        self.prune();
        Ok(())
    }

    /// The saved runs, the newest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.entries(EXTENSION);
        files.sort();
        files.reverse();
        files
    }

    /// Looks for the trace that begins with `prefix` in all runs.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn find(&self, prefix: &IdPrefix) -> Result<Found, SavedError> {
        let mut found: BTreeMap<TraceId, Trace> = BTreeMap::new();
        for file in self.files() {
            for trace in read_matching(&file, Some(prefix))? {
                found.entry(trace.id).or_insert(trace);
            }
        }
        Ok(match found.len() {
            0 => Found::None,
            1 => found.into_values().next().map_or(Found::None, Found::One),
            _ => Found::Several(found.into_keys().collect()),
        })
    }

    fn entries(&self, extension: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect()
    }

    /// Removes what is over the bounds, the newest run excepted. That a file
    /// cannot be removed is no reason to fail the run that has just been kept:
    /// the next one tries again.
    fn prune(&self) {
        let mut bytes = 0;
        for (at, file) in self.files().iter().enumerate() {
            bytes += fs::metadata(file).map_or(0, |metadata| metadata.len());
            if at >= MAX_RUNS || at > 0 && bytes > MAX_BYTES {
                let _ = fs::remove_file(file);
            }
        }
        for draft in self.entries("draft") {
            let modified = fs::metadata(&draft).and_then(|metadata| metadata.modified());
            let age = modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            if age.is_ok_and(|age| age > STALE_DRAFT) {
                let _ = fs::remove_file(&draft);
            }
        }
    }
}

/// Writes `traces` to `path`, one a line.
pub fn write_file(path: &Path, traces: &[Trace]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for trace in traces {
        writeln!(file, "{}", json::encode(&trace.to_otlp()))?;
    }
    file.into_inner()?.sync_all()
}

/// Reads every trace of a file in the form of the Collector's file exporter.
/// The spans of one trace may stand on several lines.
///
/// # Errors
/// It cannot be read, or a line is no OTLP/JSON.
pub fn read_file(path: &Path) -> Result<Vec<Trace>, SavedError> {
    read_matching(path, None)
}

fn read_matching(path: &Path, prefix: Option<&IdPrefix>) -> Result<Vec<Trace>, SavedError> {
    let unreadable = |source| SavedError::Unreadable {
        file: path.to_owned(),
        source,
    };
    let malformed = |line, source| SavedError::Malformed {
        file: path.to_owned(),
        line,
        source,
    };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut groups: Vec<ResourceSpans> = Vec::new();
    let mut text = String::new();
    let mut line = 0;
    while reader.read_line(&mut text).map_err(unreadable)? > 0 {
        line += 1;
        // Most lines are of other traces: they are not worth a parse.
        let wanted = prefix.is_none_or(|prefix| text.contains(&prefix.0));
        if wanted && !text.trim().is_empty() {
            groups.extend(json::decode(text.as_bytes()).map_err(|source| malformed(line, source))?);
        }
        text.clear();
    }
    let mut traces = Trace::from_otlp(groups).map_err(|source| malformed(line, source))?;
    traces.retain(|trace| prefix.is_none_or(|prefix| prefix.matches(trace.id)));
    Ok(traces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::demo;

    fn demo_of(id: &str) -> Trace {
        Trace {
            id: id.parse().unwrap(),
            ..demo()
        }
    }

    const FIRST: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SECOND: &str = "4bf90000000000000000000000000001";

    #[test]
    fn a_trace_of_any_run_is_found_by_a_unique_beginning() {
        let home = tempfile::tempdir().unwrap();
        let runs = SavedRuns::at(home.path().join("a/b"));
        let find = |text: &str| runs.find(&text.parse().unwrap()).unwrap();
        assert_eq!(find("4bf9"), Found::None);
        runs.keep("load", &[demo_of(FIRST)]).unwrap();
        runs.keep("smoke", &[demo_of(SECOND)]).unwrap();
        assert_eq!(find("4BF92f"), Found::One(demo_of(FIRST)));
        assert_eq!(find(SECOND), Found::One(demo_of(SECOND)));
        assert_eq!(
            find("4bf9"),
            Found::Several(vec![SECOND.parse().unwrap(), FIRST.parse().unwrap()])
        );
        assert_eq!(find("2f35"), Found::None, "in the middle is no beginning");
        assert_eq!(runs.files().len(), 2);
    }

    #[test]
    fn the_oldest_runs_go_when_there_are_too_many() {
        let home = tempfile::tempdir().unwrap();
        let runs = SavedRuns::at(home.path());
        for at in 0..MAX_RUNS + 3 {
            runs.keep("load", &[demo_of(&format!("{:032x}", at + 1))])
                .unwrap();
        }
        assert_eq!(runs.files().len(), MAX_RUNS);
        let oldest = format!("{:032x}", 3);
        assert_eq!(runs.find(&oldest.parse().unwrap()).unwrap(), Found::None);
        let kept = format!("{:032x}", 4);
        assert!(matches!(
            runs.find(&kept.parse().unwrap()).unwrap(),
            Found::One(_)
        ));
    }

    #[test]
    fn too_many_bytes_drop_all_but_the_newest() {
        let home = tempfile::tempdir().unwrap();
        let runs = SavedRuns::at(home.path());
        let big = home.path().join("20000101T000000.000000Z-load-1.jsonl");
        File::create(&big).unwrap().set_len(MAX_BYTES).unwrap();
        runs.keep("load", &[demo_of(FIRST)]).unwrap();
        assert!(!big.exists());
        assert_eq!(runs.files().len(), 1);
    }

    #[test]
    fn a_collectors_file_reads_back_with_traces_spread_over_lines() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("traces.json");
        let whole = demo_of(FIRST);
        let (mut front, mut back) = (whole.clone(), whole.clone());
        back.spans = front.spans.split_off(3);
        write_file(&path, &[front, demo_of(SECOND), back]).unwrap();
        let read = read_file(&path).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].spans.len(), 8);
        assert_eq!(read[1], demo_of(SECOND));
    }

    #[test]
    fn a_damaged_line_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("traces.jsonl");
        fs::write(&path, "\n{\"resourceSpans\":[]}\n{\"resourceSpans\":[\n").unwrap();
        let error = read_file(&path).unwrap_err().to_string();
        assert!(error.contains("traces.jsonl, line 3: "), "{error}");
        assert!(
            read_file(&home.path().join("none"))
                .unwrap_err()
                .to_string()
                .starts_with("cannot read ")
        );
    }

    #[test]
    fn the_state_directory_is_the_users() {
        let of = |variables: &'static [(&str, &str)]| {
            SavedRuns::of(&move |name| {
                variables
                    .iter()
                    .find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
            })
            .map(|runs| runs.0)
        };
        assert_eq!(
            of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]),
            Some("/s/tdemo/runs".into())
        );
        assert_eq!(
            of(&[("HOME", "/h")]),
            Some("/h/.local/state/tdemo/runs".into())
        );
        assert_eq!(of(&[]), None);
    }
}
