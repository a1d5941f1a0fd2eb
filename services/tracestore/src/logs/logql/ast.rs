//! What a log query says. Built by the parser, printed by `print`, compiled by `eval`.

/// A stream selector and what to do with each line of those streams, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// All must match the stream's labels.
    pub selector: Vec<Matcher>,
    /// The pipeline.
    pub stages: Vec<Stage>,
}

/// `name op "value"`; a name that is absent has the value `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// A string, or a regular expression that must match the whole value.
    pub value: String,
}

/// How a string is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One step of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// `|= "text"` and its kin.
    Line(LineFilter),
    /// `| json`
    Json,
    /// `| logfmt`
    Logfmt(LogfmtFlags),
    /// `| status >= 500 or level = "error"`
    Label(LabelFilter),
    /// `` | label_format to=from, hit=`{{ contains "x" __line__ }}` ``
    LabelFormat(Vec<LabelFormat>),
    /// `| drop __error__, level="debug"`
    Drop(Vec<Dropped>),
}

/// `|= "a" or "b"`: the line has one of the texts; negated, it has none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFilter {
    /// How to look.
    pub op: LineOp,
    /// What to look for; never empty.
    pub texts: Vec<String>,
}

/// How a line is searched; regular expressions match anywhere in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    Lacks,
    /// `|~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// The flags of `| logfmt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogfmtFlags {
    /// `--strict`: a line that is not logfmt is an error, and what follows the fault is not read.
    pub strict: bool,
    /// `--keep-empty`: keys without a value become labels with an empty one.
    pub keep_empty: bool,
}

/// A condition on labels, structured metadata and parsed fields.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelFilter {
    /// Compared as a string.
    Match(Matcher),
    /// Compared as a number or duration; a record without the label is left out.
    Compare {
        /// The label's name.
        name: String,
        /// How to compare.
        op: CompareOp,
        /// What to compare with.
        value: Literal,
    },
    /// `a and b`, also written `a, b` and `a b`; two or more.
    And(Vec<LabelFilter>),
    /// `a or b`; two or more.
    Or(Vec<LabelFilter>),
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// `=` or `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// What a label is compared with; it decides how the label's value is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Literal {
    /// A number.
    Number(f64),
    /// A duration in nanoseconds.
    Duration(i64),
}

/// One assignment of `label_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelFormat {
    /// `to=from`: the label `from`, if there, is called `to` from here on.
    Rename {
        /// The new name.
        to: String,
        /// The old one.
        from: String,
    },
    /// ``to=`template` ``
    Template {
        /// The label that is set.
        to: String,
        /// Its text, in the subset of Go's templates that [`super::template`] reads.
        template: String,
    },
}

/// One item of `drop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// The label, whatever its value.
    Name(String),
    /// The label, where it matches.
    Match(Matcher),
}
