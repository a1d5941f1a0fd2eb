//! A [`Query`] as text that reads back as the same query. Used in messages and tests.

use std::fmt::{self, Display, Formatter};

use super::ast::{
    CompareOp, Dropped, LabelFilter, LabelFormat, LineFilter, LineOp, Literal, MatchOp, Matcher,
    Query, Stage,
};
use super::units::quote;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        list(f, &self.selector, ", ")?;
        f.write_str("}")?;
        self.stages
            .iter()
            .try_for_each(|stage| write!(f, " {stage}"))
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { between })?;
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op, quote(&self.value))
    }
}

impl Display for MatchOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(filter) => filter.fmt(f),
            Self::Json => f.write_str("| json"),
            Self::Logfmt(flags) => {
                f.write_str("| logfmt")?;
                f.write_str(if flags.strict { " --strict" } else { "" })?;
                f.write_str(if flags.keep_empty {
                    " --keep-empty"
                } else {
                    ""
                })
            }
            Self::Label(filter) => write!(f, "| {filter}"),
            Self::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                list(f, formats, ", ")
            }
            Self::Drop(items) => {
                f.write_str("| drop ")?;
                list(f, items, ", ")
            }
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.op {
            LineOp::Contains => "|=",
            LineOp::Lacks => "!=",
            LineOp::Matches => "|~",
            LineOp::MatchesNot => "!~",
        })?;
        for (at, text) in self.texts.iter().enumerate() {
            let or = if at == 0 { "" } else { " or" };
            write!(f, "{or} {}", quote(text))?;
        }
        Ok(())
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match(matcher) => matcher.fmt(f),
            Self::Compare { name, op, value } => write!(f, "{name} {op} {value}"),
            Self::And(filters) => {
                f.write_str("(")?;
                list(f, filters, " and ")?;
                f.write_str(")")
            }
            Self::Or(filters) => {
                f.write_str("(")?;
                list(f, filters, " or ")?;
                f.write_str(")")
            }
        }
    }
}

impl Display for CompareOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        })
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Duration(nanos) => write!(f, "{nanos}ns"),
        }
    }
}

impl Display for LabelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { to, from } => write!(f, "{to}={from}"),
            Self::Template { to, template } => write!(f, "{to}={}", quote(template)),
        }
    }
}

impl Display for Dropped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Match(matcher) => matcher.fmt(f),
        }
    }
}
