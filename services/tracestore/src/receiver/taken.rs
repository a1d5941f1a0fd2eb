//! The answer to a request that was taken: an `Export…ServiceResponse`, whose only content is what of the request was not.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#partial-success>.

use bytes::Bytes;

use super::Encoding;
use crate::model::pb::{put_bytes_field, put_message_field, put_varint_field};

/// What was taken of a request.
#[derive(Debug)]
pub(super) struct Taken {
    rejected: u64,
    message: String,
}

impl Taken {
    /// All of it.
    pub(super) fn all() -> Self {
        Taken {
            rejected: 0,
            message: String::new(),
        }
    }

    /// All but some log records that are too large.
    pub(super) fn but_too_large(records: u64, max_record_bytes: usize) -> Self {
        let message = if records == 0 {
            String::new()
        } else {
            format!("{records} log records take more than {max_record_bytes} bytes each")
        };
        Taken {
            rejected: records,
            message,
        }
    }

    /// The response message, in the encoding of the request.
    pub(super) fn body(&self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Protobuf if self.rejected == 0 => Bytes::new(),
            Encoding::Protobuf => {
                let mut out = Vec::with_capacity(self.message.len() + 16);
                put_message_field(&mut out, 1, |partial| {
                    put_varint_field(partial, 1, self.rejected);
                    put_bytes_field(partial, 2, self.message.as_bytes());
                });
                out.into()
            }
            Encoding::Json if self.rejected == 0 => Bytes::from_static(br#"{"partialSuccess":{}}"#),
            Encoding::Json => {
                let partial = serde_json::json!({
                    "partialSuccess": {
                        "rejectedLogRecords": self.rejected.to_string(),
                        "errorMessage": self.message,
                    }
                });
                partial.to_string().into()
            }
        }
    }
}
