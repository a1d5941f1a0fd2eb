//! The part of the parser that reads expressions over one span: `span.a + 1 > 2 && !span.b`.
//! Precedence climbing; called by [`super::parser`].

use super::ast::{Attribute, BinaryOp, Expr, Intrinsic, Kind, Literal, Status, UnaryOp};
use super::error::{Pos, QueryError};
use super::lexer::Token;
use super::parser::Parser;

type Result<T> = std::result::Result<T, QueryError>;

/// How tightly the operators bind, as in Tempo's grammar.
mod binding {
    pub(super) const LOGIC: u8 = 1;
    pub(super) const COMPARISON: u8 = 2;
    pub(super) const SUM: u8 = 3;
    pub(super) const NOT: u8 = 4;
    pub(super) const PRODUCT: u8 = 5;
    pub(super) const POWER: u8 = 6;
}

/// Words that are constants.
const CONSTANTS: [(&str, Literal); 13] = [
    ("true", Literal::Bool(true)),
    ("false", Literal::Bool(false)),
    ("ok", Literal::Status(Status::Ok)),
    ("error", Literal::Status(Status::Error)),
    ("unset", Literal::Status(Status::Unset)),
    ("unspecified", Literal::Kind(Kind::Unspecified)),
    ("internal", Literal::Kind(Kind::Internal)),
    ("server", Literal::Kind(Kind::Server)),
    ("client", Literal::Kind(Kind::Client)),
    ("producer", Literal::Kind(Kind::Producer)),
    ("consumer", Literal::Kind(Kind::Consumer)),
    ("minInt", Literal::Int(i64::MIN)),
    ("maxInt", Literal::Int(i64::MAX)),
];

/// Intrinsics by scope (empty: none) and name.
const INTRINSICS: [(&str, &str, Intrinsic); 29] = [
    ("", "duration", Intrinsic::Duration),
    ("", "name", Intrinsic::Name),
    ("", "status", Intrinsic::Status),
    ("", "statusMessage", Intrinsic::StatusMessage),
    ("", "kind", Intrinsic::Kind),
    ("", "rootName", Intrinsic::RootName),
    ("", "rootServiceName", Intrinsic::RootServiceName),
    ("", "traceDuration", Intrinsic::TraceDuration),
    ("", "nestedSetLeft", Intrinsic::NestedSetLeft),
    ("", "nestedSetRight", Intrinsic::NestedSetRight),
    ("", "nestedSetParent", Intrinsic::NestedSetParent),
    ("trace", "duration", Intrinsic::TraceDuration),
    ("trace", "rootName", Intrinsic::RootName),
    ("trace", "rootService", Intrinsic::RootServiceName),
    ("trace", "id", Intrinsic::TraceId),
    ("span", "duration", Intrinsic::Duration),
    ("span", "name", Intrinsic::Name),
    ("span", "kind", Intrinsic::Kind),
    ("span", "status", Intrinsic::Status),
    ("span", "statusMessage", Intrinsic::StatusMessage),
    ("span", "id", Intrinsic::SpanId),
    ("span", "parentID", Intrinsic::ParentId),
    ("span", "childCount", Intrinsic::ChildCount),
    ("event", "name", Intrinsic::EventName),
    ("event", "timeSinceStart", Intrinsic::EventTimeSinceStart),
    ("link", "traceID", Intrinsic::LinkTraceId),
    ("link", "spanID", Intrinsic::LinkSpanId),
    ("instrumentation", "name", Intrinsic::InstrumentationName),
    (
        "instrumentation",
        "version",
        Intrinsic::InstrumentationVersion,
    ),
];

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.nested(|parser| parser.binary(binding::LOGIC))
    }

    /// Operands joined by operators that bind at least as tightly as `min`.
    fn binary(&mut self, min: u8) -> Result<Expr> {
        let mut lhs = self.operand()?;
        while let Some((op, strength)) = self.binary_op().filter(|(_, strength)| *strength >= min) {
            let at = self.pos();
            self.bump();
            self.count_operator()?;
            if matches!(op, BinaryOp::Eq | BinaryOp::NotEq) && self.is_word("nil") {
                self.bump();
                lhs = Expr::Nil {
                    operand: Box::new(lhs),
                    exists: op == BinaryOp::NotEq,
                    at,
                };
                continue;
            }
            let right_associative = op == BinaryOp::Pow;
            let rhs = self.nested(|parser| {
                parser.binary(if right_associative {
                    strength
                } else {
                    strength + 1
                })
            })?;
            lhs = Expr::Binary {
                op,
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
                at,
            };
        }
        Ok(lhs)
    }

    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        let Token::Punct(punct) = self.peek() else {
            return None;
        };
        Some(match *punct {
            "&&" => (BinaryOp::And, binding::LOGIC),
            "||" => (BinaryOp::Or, binding::LOGIC),
            "=" => (BinaryOp::Eq, binding::COMPARISON),
            "!=" => (BinaryOp::NotEq, binding::COMPARISON),
            "=~" => (BinaryOp::Regex, binding::COMPARISON),
            "!~" => (BinaryOp::NotRegex, binding::COMPARISON),
            "<" => (BinaryOp::Less, binding::COMPARISON),
            "<=" => (BinaryOp::LessEq, binding::COMPARISON),
            ">" => (BinaryOp::Greater, binding::COMPARISON),
            ">=" => (BinaryOp::GreaterEq, binding::COMPARISON),
            "+" => (BinaryOp::Add, binding::SUM),
            "-" => (BinaryOp::Sub, binding::SUM),
            "*" => (BinaryOp::Mul, binding::PRODUCT),
            "/" => (BinaryOp::Div, binding::PRODUCT),
            "%" => (BinaryOp::Mod, binding::PRODUCT),
            "^" => (BinaryOp::Pow, binding::POWER),
            _ => return None,
        })
    }

    /// A unary operator with what it binds, something in parentheses, a constant or an attribute.
    fn operand(&mut self) -> Result<Expr> {
        let at = self.pos();
        if self.eat("(") {
            let inner = self.expr()?;
            if !self.eat(")") {
                return Err(self.unexpected("an operator or `)`"));
            }
            return Ok(inner);
        }
        for (punct, op, strength) in [
            ("-", UnaryOp::Neg, binding::SUM),
            ("!", UnaryOp::Not, binding::NOT),
        ] {
            if self.eat(punct) {
                let operand = self.nested(|parser| parser.binary(strength + 1))?;
                return Ok(Expr::Unary {
                    op,
                    operand: Box::new(operand),
                    at,
                });
            }
        }
        if self.is_word("nil") {
            self.bump();
            return self.after_nil();
        }
        if let Some(literal) = self.literal()? {
            return Ok(Expr::Literal(literal));
        }
        if let Some(attribute) = self.try_attribute()? {
            return Ok(Expr::Attribute(attribute));
        }
        Err(self.unexpected(match self.peek() {
            Token::Word(_) => "an attribute with its scope (`span.x`, `resource.x`, `.x`), an intrinsic or a constant",
            _ => "an attribute, an intrinsic, a constant, `-`, `!` or `(`",
        }))
    }

    /// `nil = x` and `nil != x`, after the `nil`.
    fn after_nil(&mut self) -> Result<Expr> {
        let at = self.pos();
        let exists = match self.peek() {
            Token::Punct("=") => false,
            Token::Punct("!=") => true,
            _ => return Err(self.unexpected("`=` or `!=` after `nil`")),
        };
        self.bump();
        self.count_operator()?;
        if self.is_word("nil") {
            self.bump();
            return Ok(Expr::Literal(Literal::Bool(false)));
        }
        let operand = self.nested(|parser| parser.binary(binding::COMPARISON + 1))?;
        Ok(Expr::Nil {
            operand: Box::new(operand),
            exists,
            at,
        })
    }

    /// A constant, if one stands here.
    pub(super) fn literal(&mut self) -> Result<Option<Literal>> {
        let literal = match self.peek() {
            Token::Str(text) => Literal::Str(text.clone()),
            Token::Int(value) => Literal::Int(*value),
            Token::Float(value) => Literal::Float(*value),
            Token::Duration(nanos) => Literal::Duration(*nanos),
            Token::Word(word) => match CONSTANTS.iter().find(|(name, _)| name == word) {
                Some((_, literal)) => literal.clone(),
                None => return Ok(None),
            },
            Token::Bad(_) => return Err(self.unexpected("")),
            _ => return Ok(None),
        };
        self.bump();
        Ok(Some(literal))
    }

    /// An attribute or intrinsic; anything else is an error.
    pub(super) fn attribute(&mut self) -> Result<Attribute> {
        match self.try_attribute()? {
            Some(attribute) => Ok(attribute),
            None => Err(self.unexpected(
                "an attribute with its scope (`span.x`, `resource.x`, `.x`) or an intrinsic",
            )),
        }
    }

    fn try_attribute(&mut self) -> Result<Option<Attribute>> {
        let find = |scope: &str, name: &str| {
            INTRINSICS
                .iter()
                .find(|(s, n, _)| *s == scope && *n == name)
                .map(|(.., intrinsic)| *intrinsic)
        };
        match self.peek().clone() {
            Token::Attribute { scope, name } => {
                self.bump();
                Ok(Some(Attribute::Custom { scope, name }))
            }
            // In the language, but not in Tempo either.
            Token::Word(word) if word == "parent" => Err(QueryError::invalid(
                self.pos(),
                "attributes of the parent span are not supported",
            )),
            Token::Word(word) => Ok(find("", &word).map(|intrinsic| {
                self.bump();
                Attribute::Intrinsic(intrinsic)
            })),
            Token::Colon(scope) => {
                self.bump();
                let known = match self.peek() {
                    Token::Word(word) => find(scope, word),
                    _ => None,
                };
                let Some(intrinsic) = known else {
                    let names: Vec<_> = INTRINSICS
                        .iter()
                        .filter(|(s, ..)| *s == scope)
                        .map(|(_, n, _)| *n)
                        .collect();
                    return Err(
                        self.unexpected(&format!("one of {} after `{scope}:`", names.join(", ")))
                    );
                };
                self.bump();
                Ok(Some(Attribute::Intrinsic(intrinsic)))
            }
            _ => Ok(None),
        }
    }

    /// The number an aggregate is compared with: constants, folded while they are read. Durations
    /// stand alone, with a sign at most.
    pub(super) fn scalar(&mut self) -> Result<Literal> {
        let mut lhs = self.scalar_product()?;
        loop {
            let at = self.pos();
            let op = if self.eat("+") {
                BinaryOp::Add
            } else if self.eat("-") {
                BinaryOp::Sub
            } else {
                return Ok(lhs);
            };
            let rhs = self.scalar_product()?;
            lhs = fold(op, &lhs, &rhs, at)?;
        }
    }

    fn scalar_product(&mut self) -> Result<Literal> {
        let mut lhs = self.scalar_factor()?;
        loop {
            let at = self.pos();
            let op = if self.eat("*") {
                BinaryOp::Mul
            } else if self.eat("/") {
                BinaryOp::Div
            } else {
                return Ok(lhs);
            };
            let rhs = self.scalar_factor()?;
            lhs = fold(op, &lhs, &rhs, at)?;
        }
    }

    fn scalar_factor(&mut self) -> Result<Literal> {
        if self.eat("-") {
            return Ok(match self.nested(Self::scalar_factor)? {
                Literal::Int(value) => Literal::Int(value.wrapping_neg()),
                Literal::Float(value) => Literal::Float(-value),
                Literal::Duration(nanos) => Literal::Duration(nanos.wrapping_neg()),
                other => other,
            });
        }
        if self.eat("(") {
            let inner = self.nested(Self::scalar)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.peek() {
            Token::Int(_) | Token::Float(_) | Token::Duration(_) => {
                Ok(self.literal()?.expect("these tokens are literals"))
            }
            Token::Word(word)
                if matches!(word.as_str(), "count" | "avg" | "max" | "min" | "sum") =>
            {
                Err(QueryError::invalid(
                    self.pos(),
                    "comparing two aggregates is not supported, expected a number",
                ))
            }
            _ => Err(self.unexpected("a number or a duration")),
        }
    }
}

/// Arithmetic on two constants; ints stay ints and are cut towards zero.
fn fold(op: BinaryOp, lhs: &Literal, rhs: &Literal, at: Pos) -> Result<Literal> {
    let float = |literal: &Literal| match literal {
        Literal::Int(value) => Some(*value as f64),
        Literal::Float(value) => Some(*value),
        _ => None,
    };
    if let (Literal::Int(a), Literal::Int(b)) = (lhs, rhs) {
        return Ok(Literal::Int(match op {
            BinaryOp::Add => a.wrapping_add(*b),
            BinaryOp::Sub => a.wrapping_sub(*b),
            BinaryOp::Mul => a.wrapping_mul(*b),
            _ if *b == 0 => return Err(QueryError::invalid(at, "division by zero")),
            _ => a.wrapping_div(*b),
        }));
    }
    let (Some(a), Some(b)) = (float(lhs), float(rhs)) else {
        return Err(QueryError::invalid(
            at,
            "a duration cannot be part of arithmetic here, expected a plain number",
        ));
    };
    Ok(Literal::Float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        _ => a / b,
    }))
}
