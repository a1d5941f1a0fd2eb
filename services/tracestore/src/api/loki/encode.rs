//! Loki's JSON. Called by the routes and by the tail.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::logs::query::{Answer, Entry};
use crate::logs::tail::Page;

/// The only encoding flag there is: labels are shown by where they come from.
const CATEGORIZE: &str = "categorize-labels";

/// How labels are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelForm {
    /// All in one, as labels of the stream.
    Merged,
    /// Structured metadata and parsed labels with each entry.
    Categorized,
}

impl LabelForm {
    /// Reads the value of `X-Loki-Response-Encoding-Flags`.
    pub(super) fn from_flags(flags: &str) -> Self {
        if flags.split(',').any(|flag| flag.trim() == CATEGORIZE) {
            Self::Categorized
        } else {
            Self::Merged
        }
    }

    fn flags(self) -> Option<[&'static str; 1]> {
        (self == Self::Categorized).then_some([CATEGORIZE])
    }
}

type Labels<'a> = BTreeMap<&'a str, &'a str>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Success<T> {
    status: &'static str,
    data: T,
}

fn success<T: Serialize>(data: T) -> Vec<u8> {
    to_json(&Success {
        status: "success",
        data,
    })
}

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text as keys, texts and numbers are all JSON")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Streams<'a> {
    result_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_flags: Option<[&'static str; 1]>,
    result: Vec<Stream<'a>>,
    stats: Stats,
}

#[derive(Serialize)]
struct Stats {
    summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    total_bytes_processed: u64,
    total_lines_processed: u64,
    total_entries_returned: usize,
    /// Seconds.
    exec_time: f64,
}

#[derive(Serialize)]
struct Stream<'a> {
    stream: Labels<'a>,
    values: Vec<Value<'a>>,
}

struct Value<'a> {
    entry: &'a Entry,
    form: LabelForm,
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let categorized = self.form == LabelForm::Categorized;
        let mut value = serializer.serialize_seq(Some(2 + usize::from(categorized)))?;
        value.serialize_element(&self.entry.timestamp.to_string())?;
        value.serialize_element(&self.entry.line)?;
        if categorized {
            value.serialize_element(&Categories {
                structured_metadata: &self.entry.labels.metadata,
                parsed: &self.entry.labels.parsed,
            })?;
        }
        value.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Categories<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    structured_metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parsed: &'a BTreeMap<String, String>,
}

fn labels(entry: &Entry, form: LabelForm) -> Labels<'_> {
    match form {
        LabelForm::Merged => entry.labels.merged(),
        LabelForm::Categorized => {
            let stream = entry.labels.stream.iter();
            stream
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect()
        }
    }
}

/// The answer of `query_range`: streams by their labels, entries in the order of the answer.
pub(super) fn answer(answer: &Answer, form: LabelForm, exec_time: std::time::Duration) -> Vec<u8> {
    let mut streams: BTreeMap<Labels<'_>, Vec<Value<'_>>> = BTreeMap::new();
    for entry in &answer.entries {
        let values = streams.entry(labels(entry, form)).or_default();
        values.push(Value { entry, form });
    }
    success(Streams {
        result_type: "streams",
        encoding_flags: form.flags(),
        result: streams
            .into_iter()
            .map(|(stream, values)| Stream { stream, values })
            .collect(),
        stats: Stats {
            summary: Summary {
                total_bytes_processed: answer.bytes,
                total_lines_processed: answer.lines,
                total_entries_returned: answer.entries.len(),
                exec_time: exec_time.as_secs_f64(),
            },
        },
    })
}

/// The answer to a constant instant query; `time` is in nanoseconds since the epoch.
pub(super) fn vector(value: f64, time: i64) -> Vec<u8> {
    let value = if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
    } else {
        value.to_string()
    };
    let millis = time.div_euclid(1_000_000);
    let seconds = if millis % 1000 == 0 {
        serde_json::Value::from(millis / 1000)
    } else {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of any date are below 2^53"
        )]
        let seconds = millis as f64 / 1e3;
        serde_json::Value::from(seconds)
    };
    success(serde_json::json!({
        "resultType": "vector",
        "result": [{ "metric": {}, "value": [seconds, value] }],
        "stats": { "summary": {} },
    }))
}

#[derive(Serialize)]
struct Names<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    data: &'a [&'a str],
}

/// Names or values of labels; like Loki's, an empty list is left out.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let data: Vec<&str> = names.into_iter().collect();
    to_json(&Names {
        status: "success",
        data: &data,
    })
}

/// The answer of `series`.
pub(super) fn series<'a>(
    streams: impl IntoIterator<Item = &'a BTreeMap<String, String>>,
) -> Vec<u8> {
    success(streams.into_iter().collect::<Vec<_>>())
}

#[derive(Serialize)]
struct Frame<'a> {
    streams: Vec<Stream<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_entries: Option<Vec<Dropped<'a>>>,
    /// Not in Loki's frames: how many entries were dropped, those beyond the list too.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_total: Option<u64>,
    #[serde(rename = "encodingFlags", skip_serializing_if = "Option::is_none")]
    encoding_flags: Option<[&'static str; 1]>,
}

#[derive(Serialize)]
struct Dropped<'a> {
    timestamp: String,
    labels: &'a BTreeMap<String, String>,
}

/// A frame of a tail: one stream for each entry, as in Loki, so that their order is kept.
pub(super) fn frame(page: &Page, form: LabelForm) -> Vec<u8> {
    let dropped = page.skipped.iter().map(|skipped| Dropped {
        timestamp: skipped.timestamp.to_string(),
        labels: &skipped.labels,
    });
    to_json(&Frame {
        streams: page
            .entries
            .iter()
            .map(|entry| Stream {
                stream: labels(entry, form),
                values: vec![Value { entry, form }],
            })
            .collect(),
        dropped_entries: (page.missed > 0).then(|| dropped.collect()),
        dropped_total: (page.missed > 0).then_some(page.missed),
        encoding_flags: form.flags(),
    })
}
