//! The part of the parser that reads what stands outside of expressions: pipelines and their stages,
//! spansets and the operators between them, aggregates, hints. Called by [`super::parser`].

use super::ast::{
    Aggregate, AggregateFilter, AggregateFn, BinaryOp, Expr, Hint, Literal, Pipeline, Relation,
    Selection, SpansetExpr, SpansetOp, Stage,
};
use super::error::{ErrorKind, QueryError};
use super::lexer::Token;
use super::parser::Parser;

type Result<T> = std::result::Result<T, QueryError>;

/// Functions that make a query a metrics query.
const METRICS_FUNCTIONS: [&str; 11] = [
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "avg_over_time",
    "sum_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
    "topk",
    "bottomk",
];

/// A spanset expression, and how it was written, which decides what it can be joined with.
struct Operand {
    expr: SpansetExpr,
    form: Form,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// `{ … }`, or joined from at least one such.
    Bare,
    /// The same in parentheses: counts as a pipeline of one stage where one is needed.
    Grouped,
    /// A pipeline in parentheses, or joined from such.
    Wrapped,
}
impl Parser {
    /// Stages up to the end, a `)` or `with`.
    pub(super) fn pipeline(&mut self) -> Result<Pipeline> {
        let mut stages = vec![self.stage(true)?];
        let whole = matches!(&stages[0], Stage::Spanset(expr) if is_wrapped(expr));
        while self.is("|") {
            if whole {
                return Err(self.unexpected("nothing after a pipeline in parentheses"));
            }
            self.bump();
            stages.push(self.stage(false)?);
        }
        Ok(Pipeline { stages })
    }

    fn stage(&mut self, first: bool) -> Result<Stage> {
        let expected = "a spanset `{ … }`, an aggregate, `by(…)` or `select(…)`";
        let pos = self.pos();
        match self.peek() {
            Token::Punct("(") if self.opens_aggregate() => {
                // Both `(count()) > 1` and `(count() > 1) && …` begin like this.
                let start = self.mark();
                self.aggregate_filter().or_else(|error| {
                    let reached = self.mark();
                    self.back(start);
                    let other = self.spanset_stage(first);
                    other.map_err(|other| if self.mark() > reached { other } else { error })
                })
            }
            Token::Punct("{" | "(") => self.spanset_stage(first),
            Token::Word(word) => match word.as_str() {
                "count" | "avg" | "max" | "min" | "sum" => self.aggregate_filter(),
                "by" => {
                    self.bump();
                    self.expect("(")?;
                    let by = self.expr()?;
                    self.expect(")")?;
                    Ok(Stage::By(by, pos))
                }
                "select" => {
                    self.bump();
                    self.select()
                }
                "coalesce" if !first => {
                    self.bump();
                    self.expect("(")?;
                    self.expect(")")?;
                    Ok(Stage::Coalesce)
                }
                name if !first && METRICS_FUNCTIONS.contains(&name) => {
                    let message = format!(
                        "{name}() makes this a metrics query, which is not supported yet: a search query selects spans"
                    );
                    Err(QueryError::new(ErrorKind::Metrics, pos, message))
                }
                _ => Err(self.unexpected(expected)),
            },
            Token::Int(_) | Token::Float(_) | Token::Duration(_) | Token::Punct("-") => {
                Err(self
                    .unexpected("an aggregate on the left of the comparison, as in `count() > 2`"))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn spanset_stage(&mut self, first: bool) -> Result<Stage> {
        let operand = self.spanset(0)?;
        if operand.form == Form::Wrapped && !first {
            return Err(self.unexpected("no pipeline in parentheses after `|`"));
        }
        Ok(Stage::Spanset(operand.expr))
    }

    /// Whether the parentheses that start here hold an aggregate first of all.
    fn opens_aggregate(&self) -> bool {
        let first = self.ahead().find(|token| **token != Token::Punct("("));
        matches!(first, Some(Token::Word(word)) if matches!(word.as_str(), "count" | "avg" | "max" | "min" | "sum"))
    }

    fn select(&mut self) -> Result<Stage> {
        self.expect("(")?;
        let mut attributes = vec![self.attribute()?];
        while self.eat(",") {
            attributes.push(self.attribute()?);
        }
        if !self.eat(")") {
            return Err(self.unexpected("`,` or `)`"));
        }
        Ok(Stage::Select(attributes))
    }

    /// Spanset operands joined by operators that bind at least as tightly as `min`.
    fn spanset(&mut self, min: u8) -> Result<Operand> {
        let mut lhs = self.spanset_operand()?;
        while let Some((op, binding)) = self.spanset_op().filter(|(_, binding)| *binding >= min) {
            self.bump();
            self.count_operator()?;
            let start = self.mark();
            let rhs = self.spanset(binding + 1)?;
            lhs = self.join(op, lhs, rhs, start)?;
        }
        Ok(lhs)
    }

    fn join(
        &mut self,
        op: SpansetOp,
        lhs: Operand,
        rhs: Operand,
        rhs_start: (usize, usize),
    ) -> Result<Operand> {
        let wrapped = lhs.form == Form::Wrapped || rhs.form == Form::Wrapped;
        if wrapped && (lhs.form != Form::Wrapped || rhs.form == Form::Bare) {
            self.back(rhs_start);
            return Err(
                self.unexpected("pipelines in parentheses on both sides, the left one with stages")
            );
        }
        let pack = |operand: Operand| {
            let expr = match operand.form {
                Form::Grouped if wrapped => SpansetExpr::Pipeline(Pipeline {
                    stages: vec![Stage::Spanset(operand.expr)],
                }),
                _ => operand.expr,
            };
            Box::new(expr)
        };
        let form = if wrapped {
            Form::Wrapped
        } else if lhs.form == Form::Grouped && rhs.form == Form::Grouped {
            Form::Grouped
        } else {
            Form::Bare
        };
        Ok(Operand {
            expr: SpansetExpr::Join {
                op,
                lhs: pack(lhs),
                rhs: pack(rhs),
            },
            form,
        })
    }

    /// `{ … }`, or anything in parentheses.
    fn spanset_operand(&mut self) -> Result<Operand> {
        let pos = self.pos();
        if self.eat("{") {
            if self.eat("}") {
                let all = Expr::Literal(Literal::Bool(true));
                return Ok(Operand {
                    expr: SpansetExpr::Filter(all, pos),
                    form: Form::Bare,
                });
            }
            let filter = self.expr()?;
            if !self.eat("}") {
                return Err(self.unexpected("an operator or `}`"));
            }
            return Ok(Operand {
                expr: SpansetExpr::Filter(filter, pos),
                form: Form::Bare,
            });
        }
        if !self.eat("(") {
            return Err(self.unexpected("a spanset `{ … }` or `(`"));
        }
        let pipeline = self.nested(Self::pipeline)?;
        if !self.eat(")") {
            return Err(self.unexpected("`|` or `)`"));
        }
        Ok(match <[Stage; 1]>::try_from(pipeline.stages) {
            Ok([Stage::Spanset(expr)]) => {
                let form = if is_wrapped(&expr) {
                    Form::Wrapped
                } else {
                    Form::Grouped
                };
                Operand { expr, form }
            }
            Ok(stage) => Operand {
                expr: SpansetExpr::Pipeline(Pipeline {
                    stages: stage.into(),
                }),
                form: Form::Wrapped,
            },
            Err(stages) => Operand {
                expr: SpansetExpr::Pipeline(Pipeline { stages }),
                form: Form::Wrapped,
            },
        })
    }

    fn spanset_op(&self) -> Option<(SpansetOp, u8)> {
        use Relation::{Ancestor, Child, Descendant, Parent, Sibling};
        use Selection::{Matching, NotMatching, Union};
        let Token::Punct(punct) = self.peek() else {
            return None;
        };
        let (relation, selection) = match *punct {
            "&&" => return Some((SpansetOp::And, 1)),
            "||" => return Some((SpansetOp::Or, 1)),
            ">" => (Child, Matching),
            "<" => (Parent, Matching),
            ">>" => (Descendant, Matching),
            "<<" => (Ancestor, Matching),
            "~" => (Sibling, Matching),
            "!>" => (Child, NotMatching),
            "!<" => (Parent, NotMatching),
            "!>>" => (Descendant, NotMatching),
            "!<<" => (Ancestor, NotMatching),
            "!~" => (Sibling, NotMatching),
            "&>" => (Child, Union),
            "&<" => (Parent, Union),
            "&>>" => (Descendant, Union),
            "&<<" => (Ancestor, Union),
            "&~" => (Sibling, Union),
            _ => return None,
        };
        Some((SpansetOp::Structural(relation, selection), 2))
    }

    /// `count() > 2`, `(max(duration)) > 1s`.
    fn aggregate_filter(&mut self) -> Result<Stage> {
        let aggregate = self.aggregate()?;
        let at = self.pos();
        let op = match self.peek() {
            Token::Punct("=") => BinaryOp::Eq,
            Token::Punct("!=") => BinaryOp::NotEq,
            Token::Punct("<") => BinaryOp::Less,
            Token::Punct("<=") => BinaryOp::LessEq,
            Token::Punct(">") => BinaryOp::Greater,
            Token::Punct(">=") => BinaryOp::GreaterEq,
            Token::Punct("+" | "-" | "*" | "/" | "%" | "^") => {
                return Err(QueryError::invalid(
                    at,
                    "arithmetic with aggregates is not supported, expected a comparison",
                ));
            }
            _ => return Err(self.unexpected("a comparison (`=`, `!=`, `<`, `<=`, `>` or `>=`)")),
        };
        self.bump();
        let value = self.scalar()?;
        Ok(Stage::Aggregate(AggregateFilter {
            aggregate,
            op,
            value,
            at,
        }))
    }

    fn aggregate(&mut self) -> Result<Aggregate> {
        if self.eat("(") {
            let aggregate = self.nested(Self::aggregate)?;
            self.expect(")")?;
            return Ok(aggregate);
        }
        let pos = self.pos();
        let Token::Word(word) = self.bump() else {
            return Err(QueryError::syntax(
                pos,
                "expected an aggregate such as `count()`",
            ));
        };
        self.expect("(")?;
        let function = match word.as_str() {
            "count" => {
                self.expect(")")?;
                return Ok(Aggregate::Count);
            }
            "avg" => AggregateFn::Avg,
            "max" => AggregateFn::Max,
            "min" => AggregateFn::Min,
            "sum" => AggregateFn::Sum,
            _ => {
                return Err(QueryError::syntax(
                    pos,
                    format!("`{word}` is no aggregate, expected count, avg, max, min or sum"),
                ));
            }
        };
        let argument = self.expr()?;
        self.expect(")")?;
        Ok(Aggregate::Of(function, argument, pos))
    }

    pub(super) fn hints(&mut self) -> Result<Vec<Hint>> {
        let mut hints = Vec::new();
        while self.is_word("with") {
            self.bump();
            self.expect("(")?;
            // As in Tempo, a later `with` replaces an earlier one.
            hints.clear();
            loop {
                let Token::Word(name) = self.peek().clone() else {
                    return Err(self.unexpected("a hint's name"));
                };
                self.bump();
                self.expect("=")?;
                let Some(value) = self.literal()? else {
                    return Err(self.unexpected("a literal"));
                };
                hints.push(Hint { name, value });
                if !self.eat(",") {
                    break;
                }
            }
            if !self.eat(")") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(hints)
    }
}

/// Whether `expr` was built from pipelines in parentheses: such a thing stands alone.
fn is_wrapped(expr: &SpansetExpr) -> bool {
    match expr {
        SpansetExpr::Filter(..) => false,
        SpansetExpr::Join { lhs, .. } => is_wrapped(lhs),
        SpansetExpr::Pipeline(_) => true,
    }
}
