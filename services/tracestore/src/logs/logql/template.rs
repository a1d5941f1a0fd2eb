//! The part of Go's text templates that `label_format` needs: text, `{{ .label }}`,
//! `{{ __line__ }}` and `{{ contains "text" __line__ }}` (which Grafana's traces-to-logs writes).
//! Called by the parser (to refuse the rest) and by `eval`.

use std::borrow::Cow;

use super::units::unquote;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Operand),
    /// `contains needle hay`: the text `true` or `false`.
    Contains(Operand, Operand),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Text(String),
    Label(String),
    Line,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong or not supported, as a sentence without a place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (action, after) = split_action(after)
                .ok_or_else(|| format!("the template {text:?} has a `{{{{` that is not closed"))?;
            parts.push(parse_action(action).ok_or_else(|| {
                format!(
                    "the template action `{{{{{action}}}}}` is not supported by this log store; \
                     it knows {{{{ .label }}}}, {{{{ __line__ }}}} and {{{{ contains \"text\" __line__ }}}}"
                )
            })?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Fills the template in; a label that is absent is empty. `None` if that takes more than
    /// `max_bytes`.
    pub fn render<'a>(
        &'a self,
        line: &'a str,
        max_bytes: usize,
        label: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(operand) => out.push_str(&operand.value(line, &label)),
                Part::Contains(needle, hay) => {
                    let needle = needle.value(line, &label);
                    let found = hay.value(line, &label).contains(needle.as_ref());
                    out.push_str(if found { "true" } else { "false" });
                }
            }
            if out.len() > max_bytes {
                return None;
            }
        }
        Some(out)
    }
}

impl Operand {
    fn value<'a>(
        &'a self,
        line: &'a str,
        label: &impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Line => Cow::Borrowed(line),
            Self::Label(name) => label(name).unwrap_or_default(),
        }
    }
}

/// Splits at the `}}` that closes an action: one inside a quoted string does not.
fn split_action(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted && text[at..].starts_with("}}") => {
                return Some((&text[..at], &text[at + 2..]));
            }
            _ => {}
        }
    }
    None
}

fn parse_action(action: &str) -> Option<Part> {
    let action = action.trim();
    let call = action
        .strip_prefix("contains")
        .filter(|rest| rest.starts_with(char::is_whitespace));
    let (part, rest) = if let Some(arguments) = call {
        let (needle, rest) = operand(arguments)?;
        let (hay, rest) = operand(rest)?;
        (Part::Contains(needle, hay), rest)
    } else {
        let (value, rest) = operand(action)?;
        (Part::Value(value), rest)
    };
    rest.trim().is_empty().then_some(part)
}

/// Reads `"text"`, `.label` or `__line__`, and returns what follows it.
fn operand(text: &str) -> Option<(Operand, &str)> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        })?;
        return Some((Operand::Text(unquote(&quoted[..end])?), &quoted[end + 1..]));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let operand = match word.strip_prefix('.') {
        Some(name) if is_name(name) => Operand::Label(name.to_owned()),
        None if word == "__line__" => Operand::Line,
        _ => return None,
    };
    Some((operand, rest))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let template = Template::parse(template)?;
        let label = |name: &str| (name == "level").then_some(Cow::Borrowed("warn"));
        let rendered = template.render("GET /api took 5ms", 40, label);
        rendered.ok_or_else(|| "too long".to_owned())
    }

    #[test]
    fn what_is_supported_is_filled_in() {
        assert_eq!(render("plain").as_deref(), Ok("plain"));
        assert_eq!(render("").as_deref(), Ok(""));
        assert_eq!(render(r#"a{{ "b" }}c"#).as_deref(), Ok("abc"));
        assert_eq!(
            render("<{{ .level }}|{{.absent}}>").as_deref(),
            Ok("<warn|>")
        );
        assert_eq!(render("{{__line__}}!").as_deref(), Ok("GET /api took 5ms!"));
        assert_eq!(
            render(r#"{{ contains "/api" __line__  }}"#).as_deref(),
            Ok("true")
        );
        assert_eq!(
            render(r#"{{ contains "}}" __line__ }}"#).as_deref(),
            Ok("false")
        );
        assert_eq!(
            render(r#"{{contains .level "a \"warn\""}}"#).as_deref(),
            Ok("true")
        );
    }

    #[test]
    fn what_becomes_too_long_is_given_up() {
        assert_eq!(
            render(&"{{__line__}}".repeat(2)).map(|text| text.len()),
            Ok(34)
        );
        assert_eq!(
            render(&"{{__line__}}".repeat(3))
                .as_deref()
                .map_err(String::as_str),
            Err("too long")
        );
    }

    #[test]
    fn the_rest_is_refused_by_name() {
        for wrong in [
            "{{ .level | ToUpper }}",
            "{{ if .level }}x{{ end }}",
            "{{- .level }}",
            "{{ }}",
            "{{ contains \"x\" }}",
            "{{ .a.b }}",
        ] {
            let error = Template::parse(wrong).unwrap_err();
            assert!(error.contains("is not supported"), "{wrong}: {error}");
        }
        assert!(
            Template::parse("{{ .level")
                .unwrap_err()
                .contains("not closed")
        );
    }
}
