//! The syntax tree of a search query. The parser makes it, the checker proves it sound, the
//! evaluator compiles it; `Display` (in `print`) writes it back as TraceQL.

pub use crate::model::{Kind, Status};

use super::error::Pos;

/// A whole query: a pipeline and its hints.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is asked.
    pub pipeline: Pipeline,
    /// `with(name=value, …)`; unknown names mean nothing.
    pub hints: Vec<Hint>,
}

impl Query {
    /// Whether `with(most_recent=true)` asks for the newest traces rather than any.
    pub fn most_recent(&self) -> bool {
        self.hints
            .iter()
            .find_map(|hint| match (&*hint.name, &hint.value) {
                ("most_recent", Literal::Bool(on)) => Some(*on),
                _ => None,
            })
            .unwrap_or(false)
    }
}

/// One `name=value` of `with(…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// The hint's name.
    pub name: String,
    /// Its value.
    pub value: Literal,
}

/// Stages joined by `|`; every stage takes the spansets of one trace and returns others.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// At least one.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Selects spans.
    Spanset(SpansetExpr),
    /// Keeps the spansets whose aggregate compares well with a number.
    Aggregate(AggregateFilter),
    /// Splits each spanset by the value of an expression.
    By(Expr, Pos),
    /// Joins all spansets of a trace to one.
    Coalesce,
    /// Adds attributes to the answer; changes no spanset.
    Select(Vec<Attribute>),
}

/// Something that selects spans.
#[derive(Clone, Debug, PartialEq)]
pub enum SpansetExpr {
    /// `{ expression }`; `{}` is `{ true }`.
    Filter(Expr, Pos),
    /// Two of them joined.
    Join {
        /// How.
        op: SpansetOp,
        /// Left operand.
        lhs: Box<SpansetExpr>,
        /// Right operand; the side a structural operator returns.
        rhs: Box<SpansetExpr>,
    },
    /// A pipeline in parentheses, as an operand.
    Pipeline(Pipeline),
}

/// How a structural operator relates its right operand to its left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `>`: the right span's parent is on the left.
    Child,
    /// `<`: a child of the right span is on the left.
    Parent,
    /// `>>`: an ancestor of the right span is on the left.
    Descendant,
    /// `<<`: a descendant of the right span is on the left.
    Ancestor,
    /// `~`: another span with the right span's parent is on the left.
    Sibling,
}

/// What a structural operator returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Spans of the right side that stand in the relation.
    Matching,
    /// `!`: spans of the right side that stand in it to nothing on the left.
    NotMatching,
    /// `&`: spans of both sides that stand in it.
    Union,
}

/// An operator between two spansets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpansetOp {
    /// `&&`: the spans of both sides, if neither is empty.
    And,
    /// `||`: the spans of both sides.
    Or,
    /// `> >> < << ~` and their `!` and `&` forms.
    Structural(Relation, Selection),
}

/// `aggregate comparison number`.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateFilter {
    /// What is computed of each spanset.
    pub aggregate: Aggregate,
    /// One of `= != < <= > >=`.
    pub op: BinaryOp,
    /// An int, a float or a duration.
    pub value: Literal,
    /// Where the comparison stands.
    pub at: Pos,
}

/// An aggregate over the spans of a spanset.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregate {
    /// `count()`.
    Count,
    /// `avg(x)`, `max(x)`, `min(x)`, `sum(x)`.
    Of(AggregateFn, Expr, Pos),
}

/// An aggregate with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateFn {
    /// Mean of the values that are not nil.
    Avg,
    /// Largest value.
    Max,
    /// Smallest value.
    Min,
    /// Sum of the values that are not nil.
    Sum,
}

/// An expression over one span.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// An attribute or intrinsic of the span.
    Attribute(Attribute),
    /// `-x` or `!x`.
    Unary {
        /// Which.
        op: UnaryOp,
        /// Its operand.
        operand: Box<Expr>,
        /// Where the operator stands.
        at: Pos,
    },
    /// `x = nil` (`exists` is false) or `x != nil`.
    Nil {
        /// Its operand.
        operand: Box<Expr>,
        /// Whether a value must be there, or must not.
        exists: bool,
        /// Where the comparison stands.
        at: Pos,
    },
    /// Two expressions joined.
    Binary {
        /// How.
        op: BinaryOp,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
        /// Where the operator stands.
        at: Pos,
    },
}

/// A prefix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `!`.
    Not,
}

/// An infix operator of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the operator it is named after")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Eq,
    NotEq,
    Regex,
    NotRegex,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    And,
    Or,
}

impl BinaryOp {
    /// Whether the result is a truth value.
    pub fn is_boolean(self) -> bool {
        !self.is_arithmetic()
    }

    /// Whether the result is a number.
    pub fn is_arithmetic(self) -> bool {
        use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
        matches!(self, Add | Sub | Mul | Div | Mod | Pow)
    }

    /// The operator that says the same with its operands exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            BinaryOp::Less => BinaryOp::Greater,
            BinaryOp::LessEq => BinaryOp::GreaterEq,
            BinaryOp::Greater => BinaryOp::Less,
            BinaryOp::GreaterEq => BinaryOp::LessEq,
            other => other,
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// 64 bits.
    Int(i64),
    /// Always finite when it comes from a query's text.
    Float(f64),
    /// Text.
    Str(String),
    /// `true` or `false`.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// A span's status.
    Status(Status),
    /// A span's kind.
    Kind(Kind),
}

/// A named value of a span.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// A field that every span or trace has.
    Intrinsic(Intrinsic),
    /// A key and value that somebody set.
    Custom {
        /// Where to look for it.
        scope: Scope,
        /// The key.
        name: String,
    },
}

/// Where an attribute was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// No scope written: the span, else its resource.
    Any,
    /// The resource.
    Resource,
    /// The span.
    Span,
    /// Any event of the span.
    Event,
    /// Any link of the span.
    Link,
    /// The instrumentation scope.
    Instrumentation,
}

/// The fields a query can name. Old and scoped spellings (`duration`, `span:duration`) are the same field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as in TraceQL; see `Intrinsic::name`")]
pub enum Intrinsic {
    Duration,
    Name,
    Status,
    StatusMessage,
    Kind,
    ChildCount,
    RootName,
    RootServiceName,
    TraceDuration,
    TraceId,
    SpanId,
    ParentId,
    NestedSetLeft,
    NestedSetRight,
    NestedSetParent,
    EventName,
    EventTimeSinceStart,
    LinkTraceId,
    LinkSpanId,
    InstrumentationName,
    InstrumentationVersion,
}

impl Intrinsic {
    /// The spelling used in labels and in the attributes of an answer.
    pub fn name(self) -> &'static str {
        match self {
            Intrinsic::Duration => "duration",
            Intrinsic::Name => "name",
            Intrinsic::Status => "status",
            Intrinsic::StatusMessage => "statusMessage",
            Intrinsic::Kind => "kind",
            Intrinsic::ChildCount => "span:childCount",
            Intrinsic::RootName => "rootName",
            Intrinsic::RootServiceName => "rootServiceName",
            Intrinsic::TraceDuration => "traceDuration",
            Intrinsic::TraceId => "trace:id",
            Intrinsic::SpanId => "span:id",
            Intrinsic::ParentId => "span:parentID",
            Intrinsic::NestedSetLeft => "nestedSetLeft",
            Intrinsic::NestedSetRight => "nestedSetRight",
            Intrinsic::NestedSetParent => "nestedSetParent",
            Intrinsic::EventName => "event:name",
            Intrinsic::EventTimeSinceStart => "event:timeSinceStart",
            Intrinsic::LinkTraceId => "link:traceID",
            Intrinsic::LinkSpanId => "link:spanID",
            Intrinsic::InstrumentationName => "instrumentation:name",
            Intrinsic::InstrumentationVersion => "instrumentation:version",
        }
    }
}
