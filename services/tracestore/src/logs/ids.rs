//! Ids of traces and spans as OTLP carries them and as LogQL writes them.

/// Reads 32 lower-case hex digits, the form in which the store shows a trace id; any other
/// text can equal no stored id.
pub(crate) fn parse_trace_id(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    parse_hex(text, &mut id).then_some(id)
}

fn parse_hex(text: &str, out: &mut [u8]) -> bool {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != out.len() * 2 {
        return false;
    }
    for (pair, byte) in text.chunks_exact(2).zip(out) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return false;
        };
        *byte = high << 4 | low;
    }
    true
}

/// An id as lower-case hex digits.
pub(crate) fn hex(id: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    id.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_form() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        let id = parse_trace_id(text).unwrap();
        assert_eq!(id[..2], [0x0a, 0xf7]);
        assert_eq!(hex(&id), text);
        for other in [
            "",
            "af7651916cd43dd8448eb211c80319c",
            "0AF7651916cd43dd8448eb211c80319c",
        ] {
            assert_eq!(parse_trace_id(other), None, "{other}");
        }
    }
}
