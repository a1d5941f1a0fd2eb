//! What a refusal is called in each protocol: an HTTP status, a gRPC code, and `google.rpc.Status` as the body of the
//! former.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#failures-1>.

use http::StatusCode;
use tonic::Code;

use super::{Encoding, Refusal};
use crate::model::pb::{put_bytes_field, put_varint_field};
use crate::tenants::TenantError;

impl Refusal {
    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Refusal::Json(_)
            | Refusal::Wire(_)
            | Refusal::LogsWire(_)
            | Refusal::Logs(_)
            | Refusal::Unpack(_)
            | Refusal::UnknownPacking(_)
            | Refusal::Body(_) => StatusCode::BAD_REQUEST,
            Refusal::Tenant(error) => error.http_status(),
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn grpc_code(&self) -> Code {
        match self {
            // What grpc-go says of a message it cannot read.
            Refusal::Wire(crate::wire::WireError::Malformed(_))
            | Refusal::LogsWire(_)
            | Refusal::Panicked => Code::Internal,
            Refusal::Json(_)
            | Refusal::Wire(_)
            | Refusal::Logs(_)
            | Refusal::Unpack(_)
            | Refusal::UnknownPacking(_)
            | Refusal::Body(_) => Code::InvalidArgument,
            Refusal::Tenant(TenantError::Missing) => Code::Unauthenticated,
            Refusal::Tenant(TenantError::Invalid(_) | TenantError::Several) => {
                Code::InvalidArgument
            }
            Refusal::Tenant(TenantError::TooMany) | Refusal::TooLarge => Code::ResourceExhausted,
            Refusal::Overload => Code::Unavailable,
        }
    }

    /// `google.rpc.Status`, in the encoding of the request.
    pub(super) fn status_body(&self, encoding: Encoding) -> Vec<u8> {
        let code = match self {
            Refusal::Wire(_) | Refusal::LogsWire(_) => Code::InvalidArgument,
            other => other.grpc_code(),
        };
        let message = self.to_string();
        match encoding {
            Encoding::Protobuf => {
                let mut out = Vec::with_capacity(message.len() + 8);
                put_varint_field(&mut out, 1, u64::from((code as i32).unsigned_abs()));
                put_bytes_field(&mut out, 2, message.as_bytes());
                out
            }
            Encoding::Json => {
                let status = serde_json::json!({ "code": code as i32, "message": message });
                status.to_string().into_bytes()
            }
        }
    }
}
