//! Receiving bodies: bounded each, bounded together, and never waited for without end.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use super::{BODY_TIMEOUT, MAX_REQUEST_BYTES, Refusal};

/// Bytes that may be held for requests being received.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Budget(Arc::new(Semaphore::new(bytes)))
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok()
    }
}

/// A body whose bytes are counted against a budget for as long as it lives, and whose pauses are bounded.
pub(super) struct Metered {
    body: Incoming,
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    pause: Pin<Box<Sleep>>,
}

/// Why a metered body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error(transparent)]
    Transport(#[from] hyper::Error),
    #[error("nothing came for {BODY_TIMEOUT:?}")]
    Pause,
    #[error("too much is being received at once")]
    Overload,
}

impl Metered {
    pub(super) fn new(body: Incoming, budget: &Budget) -> Self {
        Metered {
            body,
            budget: budget.clone(),
            held: None,
            pause: Box::pin(sleep(BODY_TIMEOUT)),
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        let more = self.budget.take(bytes).ok_or(BodyError::Overload)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = tokio::time::Instant::now() + BODY_TIMEOUT;
                self.pause.as_mut().reset(deadline);
                let held = self.hold(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(held.map(|()| frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(BodyError::from))),
            Poll::Pending => self
                .pause
                .as_mut()
                .poll(cx)
                .map(|()| Some(Err(BodyError::Pause))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads a whole body of at most [`MAX_REQUEST_BYTES`]. The budget is held until the returned guard is dropped.
pub(super) async fn read_whole(mut body: Metered) -> Result<(Bytes, Metered), Refusal> {
    if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Err(Refusal::TooLarge);
    }
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            BodyError::Overload => Refusal::Overload,
            other => Refusal::Body(other.to_string()),
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if joined.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > MAX_REQUEST_BYTES {
            return Err(Refusal::TooLarge);
        }
        // A body that came in one piece is used as it is.
        match first.take() {
            None if joined.is_empty() => first = Some(data),
            None => joined.extend_from_slice(&data),
            Some(before) => {
                let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                joined.reserve(before.len() + data.len() + expected);
                joined.extend_from_slice(&before);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok((first.unwrap_or_else(|| joined.freeze()), body))
}

/// Unpacks a body according to its `Content-Encoding`.
pub(super) fn unpack(packing: Packing, body: Bytes) -> Result<Bytes, Refusal> {
    match packing {
        Packing::None => Ok(body),
        Packing::Gzip => inflate(flate2::read::MultiGzDecoder::new(&*body), body.len()),
        Packing::Zlib => inflate(flate2::read::ZlibDecoder::new(&*body), body.len()),
    }
}

fn inflate(reader: impl Read, packed: usize) -> Result<Bytes, Refusal> {
    let mut out = Vec::with_capacity((packed * 8).min(MAX_REQUEST_BYTES));
    reader
        .take(MAX_REQUEST_BYTES as u64 + 1)
        .read_to_end(&mut out)
        .map_err(Refusal::Unpack)?;
    if out.len() > MAX_REQUEST_BYTES {
        return Err(Refusal::TooLarge);
    }
    Ok(out.into())
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zlib,
}

impl Packing {
    /// The names that HTTP uses, and the Collector with it.
    pub(super) fn from_header(encoding: &str) -> Result<Self, Refusal> {
        match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Packing::None),
            "gzip" => Ok(Packing::Gzip),
            "deflate" | "zlib" => Ok(Packing::Zlib),
            _ => Err(Refusal::UnknownPacking(encoding.to_owned())),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Unpack(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(100);
        let first = budget.take(60);
        assert!(first.is_some());
        assert!(budget.take(41).is_none(), "refused, not waited for");
        assert!(budget.take(40).is_some());
        drop(first);
        assert!(budget.take(100).is_some());
    }

    #[test]
    fn packings_have_the_names_of_http() {
        for (name, packing) in [
            ("", Packing::None),
            ("identity", Packing::None),
            ("GZIP", Packing::Gzip),
            ("deflate", Packing::Zlib),
        ] {
            assert!(
                matches!(Packing::from_header(name), Ok(found) if found == packing),
                "{name}"
            );
        }
        assert!(Packing::from_header("br").is_err());
    }
}
