//! Text in terminal cells: how wide it is, made harmless, cut and padded.
//!
//! What a span carries is somebody else's data: nothing in it may move the
//! cursor, change colours, turn the line around or hide. Renderers that print
//! names, attributes or bodies pass them through [`harmless`] first.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The cells that `text` takes. Characters that take two count two.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` with every control, direction and invisible character written as an
/// escape: `\n`, `\u{1b}`, `\u{202e}`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_harmful(c) => write!(shown, "\\u{{{:x}}}", u32::from(c))
                .expect("a String takes all that is written to it"),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` in exactly `cells`: padded on the right, or cut with `…` at its end.
pub fn fit(text: &str, cells: usize) -> String {
    let mut fitted = cut(text, cells).into_owned();
    let used = width(&fitted);
    fitted.extend(std::iter::repeat_n(' ', cells.saturating_sub(used)));
    fitted
}

/// `text` in at most `cells`, cut with `…` at its end where it is longer.
pub fn cut(text: &str, cells: usize) -> Cow<'_, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let mut kept = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(harmless("GET /api/data"), "GET /api/data");
        assert_eq!(harmless("café 日本 🦀"), "café 日本 🦀");
        assert_eq!(
            harmless("\u{1b}[2J\u{1b}]8;;http://x\u{7}a\r\n\tb\u{9b}31m"),
            "\\u{1b}[2J\\u{1b}]8;;http://x\\u{7}a\\r\\n\\tb\\u{9b}31m"
        );
        assert_eq!(
            harmless("ab\u{202e}cd\u{200b}\u{feff}"),
            "ab\\u{202e}cd\\u{200b}\\u{feff}"
        );
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let shown = harmless(c.encode_utf8(&mut [0; 4])).into_owned();
            assert!(!shown.chars().any(char::is_control), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn wide_characters_are_cut_by_cells_and_not_by_count() {
        assert_eq!(width("日本"), 4);
        assert_eq!(fit("日本", 6), "日本  ");
        assert_eq!(fit("日本語", 4), "日… ");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(fit("abcd", 1), "…");
        assert_eq!(fit("abcd", 0), "");
        assert_eq!(width(&fit("e\u{301}te\u{301}s", 4)), 4);
    }
}
