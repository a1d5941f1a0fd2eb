//! Reads the `traceresponse` header by which an answer names its trace (the
//! form of the W3C Trace Context Level 3 editor's draft). Called by `http`.

use tdemo_trace::{SpanId, TraceId};

/// Name of the header.
pub const TRACERESPONSE: http::HeaderName = http::HeaderName::from_static("traceresponse");

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceResponse {
    /// The trace the request was part of.
    pub trace_id: TraceId,
    /// The span of the server that answered.
    pub span_id: SpanId,
    /// Whether the server recorded the trace.
    pub sampled: bool,
}

impl TraceResponse {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`, lowercase, no id all zero;
    /// anything else is as if the header were absent.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value: &[u8; 55] = value.try_into().ok()?;
        if &value[..3] != b"00-" || value[35] != b'-' || value[52] != b'-' {
            return None;
        }
        let mut trace_id = [0; 16];
        let mut span_id = [0; 8];
        let mut flags = [0; 1];
        hex(&value[3..35], &mut trace_id)?;
        hex(&value[36..52], &mut span_id)?;
        hex(&value[53..], &mut flags)?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled: flags[0] & 1 == 1,
        })
    }
}

/// Decodes lowercase hex into `bytes`, which is half as long.
fn hex(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (pair, byte) in digits.chunks_exact(2).zip(bytes) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn reads_ids_and_flag() {
        let read = TraceResponse::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(read.trace_id.to_string(), GOOD[3..35]);
        assert_eq!(read.span_id.to_string(), GOOD[36..52]);
        assert!(read.sampled);
        let unsampled = GOOD.replace("-01", "-02");
        assert!(!TraceResponse::parse(unsampled.as_bytes()).unwrap().sampled);
    }

    #[test]
    fn anything_else_is_as_if_absent() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replace("00-", "01-"),
            &GOOD.replace('-', "_"),
            &format!("{GOOD}0"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("b7", "+7"),
        ] {
            assert_eq!(TraceResponse::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
