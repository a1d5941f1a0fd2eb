//! Delivers one batch to one OTLP receiver, until it is accepted, refused for
//! good, or out of time. Encoding, sending and trying again are the work of
//! `opentelemetry-otlp`; this module gives it a transport whose every wait has
//! an end, and puts together what became of the batch.
//!
//! Called by `worker`.

mod client;
mod grpc;
mod notes;
mod signal;
mod trust;

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use http::{HeaderMap, Uri};
use opentelemetry_otlp::RetryPolicy;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::task::JoinError;
use tokio::time::timeout;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;
use tracing::Dispatch;
use tracing::dispatcher::with_default;

use crate::report::Trouble;
use crate::settings::{self, ExporterSettings, Protocol};
use client::Client;
use grpc::LastTry;
use notes::{Ear, Notes, Pad};
pub(crate) use signal::Signal;
use signal::{Common, Grpc, Http};
pub use trust::ConnectError;

const USER_AGENT: &str = concat!("tdemo-telemetry/", env!("CARGO_PKG_VERSION"));

/// The pause after a failed attempt; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause of our own accord: so long a receiver that has come back
/// may have to wait. One that asks for more gets it.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Added to a pause at random, so that batches do not come back in step.
const JITTER: Duration = Duration::from_millis(100);

/// A gRPC message may have so many bytes unless the receiver is told otherwise.
/// The worker's batches are smaller; one item alone need not be.
const USUAL_LIMIT_BYTES: u64 = 4 << 20;

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The receiver took everything.
    Accepted,
    /// The receiver took all but `rejected`, or took all and has a remark.
    Partial { rejected: u64, message: String },
    /// Nothing was taken.
    Refused { why: String },
}

impl Delivery {
    /// The task that delivered a batch panicked.
    pub(crate) fn broken(error: &JoinError) -> Self {
        Self::Refused {
            why: format!("the delivery broke off: {error}"),
        }
    }

    fn new(result: OTelSdkResult, notes: Notes) -> Self {
        match result {
            Ok(()) if notes.rejected > 0 || !notes.remark.is_empty() => Self::Partial {
                rejected: notes.rejected,
                message: notes.remark,
            },
            Ok(()) => Self::Accepted,
            Err(error) => {
                let error = match error {
                    OTelSdkError::InternalFailure(text) => text,
                    other => other.to_string(),
                };
                let why = match notes.reason {
                    Some(reason) => format!("{error} ({reason})"),
                    None => error,
                };
                Self::Refused { why }
            }
        }
    }
}

/// The way to one receiver, with everything checked that can be checked before
/// there is a runtime.
#[derive(Debug)]
pub(crate) struct Route {
    name: String,
    transport: Transport,
    gzip: bool,
    attempt_timeout: Duration,
    pad: Pad,
}

#[derive(Debug)]
enum Transport {
    Grpc {
        endpoint: Box<Endpoint>,
        headers: HeaderMap,
    },
    Http {
        client: Client,
        url: Uri,
    },
}

impl Route {
    pub(crate) fn new(settings: &ExporterSettings) -> Result<Self, ConnectError> {
        let pad = Pad::default();
        let transport = match settings.protocol {
            Protocol::Grpc => Transport::Grpc {
                endpoint: Box::new(grpc::endpoint(settings)?),
                headers: settings.headers.clone(),
            },
            Protocol::HttpProtobuf => Transport::Http {
                client: Client::new(settings, pad.clone())?,
                url: settings.endpoint.clone(),
            },
        };
        Ok(Self {
            name: settings::origin(&settings.endpoint),
            transport,
            gzip: settings.gzip,
            attempt_timeout: settings.timeout,
            pad,
        })
    }

    /// Scheme, host and port, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Must be called inside the runtime that is going to hold the connections.
    /// Connects when the first batch is sent. No attempt for a batch begins
    /// later than `deadline` after the first.
    pub(crate) fn open<S: Signal>(
        self,
        resource: &Resource,
        deadline: Duration,
    ) -> Result<Exporter<S>, ConnectError> {
        let mut common = Common {
            resource,
            gzip: self.gzip,
            retry: RetryPolicy::recommended()
                .with_max_retries(usize::MAX)
                .with_initial_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .with_max_jitter(JITTER),
            deadline,
        };
        let last_try = LastTry::default();
        let (sdk, once) = match self.transport {
            Transport::Grpc { endpoint, headers } => {
                let channel = grpc::channel(&endpoint, &last_try);
                let parts = || Grpc {
                    channel: channel.clone(),
                    metadata: MetadataMap::from_headers(headers.clone()),
                };
                let sdk = S::over_grpc(parts(), &common)?;
                common.retry = RetryPolicy::disabled();
                (sdk, Some(S::over_grpc(parts(), &common)?))
            }
            Transport::Http { client, url } => {
                let endpoint = url.to_string();
                (S::over_http(Http { client, endpoint }, &common)?, None)
            }
        };
        Ok(Exporter {
            sdk,
            once,
            trouble: Trouble::new(self.name, S::NAME),
            last_try,
            ear: Dispatch::new(Ear(self.pad.clone())),
            pad: self.pad,
            // The last attempt may begin just before the deadline.
            limit: deadline + self.attempt_timeout,
        })
    }
}

/// One receiver. Must be used inside one runtime, which then holds its
/// connections, and on one thread.
pub(crate) struct Exporter<S: Signal> {
    sdk: S::Sdk,
    /// The same over gRPC for a single attempt.
    once: Option<S::Sdk>,
    trouble: Trouble,
    last_try: LastTry,
    ear: Dispatch,
    pad: Pad,
    limit: Duration,
}

impl<S: Signal> Exporter<S> {
    /// Sends a batch of about `bytes` until it is accepted, refused or out of time.
    pub(crate) async fn deliver(&self, batch: Vec<S>, bytes: u64) -> Delivery {
        let delivery = self.send(batch, bytes).await;
        match delivery {
            Delivery::Refused { .. } => self.trouble.refused(),
            Delivery::Accepted | Delivery::Partial { .. } => self.trouble.over(),
        }
        delivery
    }

    async fn send(&self, batch: Vec<S>, bytes: u64) -> Delivery {
        // Servers built on tonic say "out of range" of a message that is too
        // long for them. OTLP counts that as passing, but the message will be
        // no shorter the next time.
        if let Some(once) = &self.once
            && bytes > USUAL_LIMIT_BYTES
        {
            let (result, notes) = self.watch(S::export(once, batch.clone())).await;
            if result.is_ok() || notes.ended_with(Code::OutOfRange) {
                return Delivery::new(result, notes);
            }
        }
        let (result, notes) = self.watch(S::export(&self.sdk, batch)).await;
        Delivery::new(result, notes)
    }

    /// Runs an export and takes notes of what is said meanwhile. All batches
    /// share the ear and the pad; a note belongs to the export that was polled.
    async fn watch(&self, export: impl Future<Output = OTelSdkResult>) -> (OTelSdkResult, Notes) {
        let mut notes = Notes::default();
        let mut export = pin!(export);
        let watched = poll_fn(|cx| {
            let poll = with_default(&self.ear, || export.as_mut().poll(cx));
            notes.add(self.pad.take());
            if std::mem::take(&mut notes.trying_again) {
                let reason = notes.reason.clone().or_else(|| self.last_try.failure());
                self.trouble.passing(reason.as_deref());
            }
            poll
        });
        let result =
            (timeout(self.limit, watched).await).unwrap_or(Err(OTelSdkError::Timeout(self.limit)));
        (result, notes)
    }
}
