//! What one running service knows: its settings, its telemetry, its metrics and the next tier.
//! Built by `server`, shared by every request; the tiers do their work through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, StringValue};
use tdemo_telemetry::Telemetry;

use crate::answer::Refusal;
use crate::body::BodyLimits;
use crate::client::{CallError, NextTier, Reply};
use crate::fault::{self, Faults};
use crate::metrics::Metrics;
use crate::route::Tier;
use crate::settings::Settings;
use crate::work::Work;

/// The attribute that says which faults a SERVER span's tier was made to suffer.
const FAULT_INJECTED: &str = "demo.fault.injected";

/// One service, shared by all its connections.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) tier: Tier,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: Metrics,
    next: Option<NextTier>,
    /// The body of `GET /`, which never changes.
    pub(crate) info: Bytes,
    pub(crate) body_limits: BodyLimits,
    /// Set once the service is to stop: every answer from then on closes its connection.
    pub(crate) draining: AtomicBool,
    /// Traced requests so far.
    pub(crate) requests: AtomicU64,
    work: Work,
    faults: Faults,
    max_in_flight: usize,
}

/// A traced request as the tiers see it.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    /// The context that holds the SERVER span.
    pub(crate) server: &'a Context,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a mut Incoming,
}

impl App {
    pub(crate) fn new(settings: &Settings, info: Bytes, telemetry: Telemetry) -> Self {
        let tier = settings.tier;
        let next = tier.next().map(|next| NextTier::new(next, settings));
        let upstream = next.as_ref().map(NextTier::identity);
        Self {
            tier,
            metrics: Metrics::new(tier.work_route(), upstream, telemetry.clone()),
            next,
            info,
            body_limits: BodyLimits {
                bytes: settings.max_body_bytes,
                time: settings.body_timeout,
            },
            draining: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            work: settings.work,
            faults: settings.faults,
            max_in_flight: settings.max_in_flight,
            telemetry,
        }
    }

    /// Counts a request as in flight until the guard is dropped; `None` when there are too many.
    pub(crate) fn enter(&self) -> Option<InFlight> {
        let guard = InFlight(Arc::clone(&self.metrics.in_flight));
        (guard.0.fetch_add(1, Ordering::Relaxed) < self.max_in_flight).then_some(guard)
    }
}

impl Call<'_> {
    /// The tier's share of suffering and work for this request: what the baggage and the settings inject, then the
    /// simulated work. Returns how long the work alone was meant to take.
    pub(crate) async fn work(&self) -> Result<Duration, Refusal> {
        let app = self.app;
        let asked = self.server.baggage().get(fault::BAGGAGE_KEY);
        let plan = app.faults.plan(app.tier, asked.map(StringValue::as_str));
        if !plan.ignored.is_empty() {
            tracing::warn!(entries = %plan.ignored.join("/"), "ignored in {}: not tier:effect[:argument]", fault::BAGGAGE_KEY);
        }
        if !plan.injected.is_empty() {
            self.server
                .span()
                .set_attribute(KeyValue::new(FAULT_INJECTED, plan.injected));
        }
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
        }
        if let Some(end) = plan.end {
            return Err(end.into());
        }
        let work = app.work.draw();
        if !work.is_zero() {
            tokio::time::sleep(work).await;
        }
        Ok(work)
    }

    /// Calls the next tier from inside the tier's INTERNAL span and notes the status of its answer there as `key`.
    pub(crate) async fn next(&self, body: Bytes, key: &'static str) -> Result<Reply, Refusal> {
        let next = self
            .app
            .next
            .as_ref()
            .expect("only tiers that have a next one call it");
        let cx = Context::current();
        let result = next
            .call(&self.app.telemetry, &self.app.metrics.client, &cx, body)
            .await;
        if let Some(status) = result
            .as_ref()
            .map_or_else(CallError::status, |reply| Some(reply.status))
        {
            cx.span()
                .set_attribute(KeyValue::new(key, i64::from(status.as_u16())));
        }
        Ok(result?)
    }
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
