//! The kinds of telemetry that an exporter sends: for each its exporter in
//! `opentelemetry-otlp`, and how that is given a batch.
//!
//! The rest of the way (`queue`, `worker`, `exporter`) is the same for all.

use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{
    Compression, ExporterBuildError, LogExporter, Protocol, RetryPolicy, SpanExporter,
    WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, SdkLogRecord};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::client::Client;

/// One item of telemetry: a span, a log record.
pub(crate) trait Signal: Clone + Send + Sync + 'static {
    /// What a number of them is called in log lines.
    const NAME: &'static str;
    /// The exporter of the library.
    type Sdk: Send + Sync + 'static;

    fn over_grpc(parts: Grpc, common: &Common<'_>) -> Result<Self::Sdk, ExporterBuildError>;
    fn over_http(parts: Http, common: &Common<'_>) -> Result<Self::Sdk, ExporterBuildError>;
    fn export(sdk: &Self::Sdk, batch: Vec<Self>) -> impl Future<Output = OTelSdkResult> + Send;
}

/// What an exporter is told over either protocol.
pub(crate) struct Common<'a> {
    pub(super) resource: &'a Resource,
    pub(super) gzip: bool,
    pub(super) retry: RetryPolicy,
    /// No attempt begins after so long.
    pub(super) deadline: Duration,
}

pub(crate) struct Grpc {
    pub(super) channel: Channel,
    pub(super) metadata: MetadataMap,
}

pub(crate) struct Http {
    pub(super) client: Client,
    /// The whole URL.
    pub(super) endpoint: String,
}

impl Signal for SpanData {
    const NAME: &'static str = "spans";
    type Sdk = SpanExporter;

    fn over_grpc(parts: Grpc, common: &Common<'_>) -> Result<SpanExporter, ExporterBuildError> {
        let builder = grpc(SpanExporter::builder().with_tonic(), parts, common);
        let mut exporter = builder.build()?;
        exporter.set_resource(common.resource);
        Ok(exporter)
    }

    fn over_http(parts: Http, common: &Common<'_>) -> Result<SpanExporter, ExporterBuildError> {
        let builder = http(SpanExporter::builder().with_http(), parts, common);
        let mut exporter = builder.build()?;
        exporter.set_resource(common.resource);
        Ok(exporter)
    }

    async fn export(sdk: &SpanExporter, batch: Vec<Self>) -> OTelSdkResult {
        sdk.export(batch).await
    }
}

impl Signal for SdkLogRecord {
    const NAME: &'static str = "log records";
    type Sdk = LogExporter;

    fn over_grpc(parts: Grpc, common: &Common<'_>) -> Result<LogExporter, ExporterBuildError> {
        let builder = grpc(LogExporter::builder().with_tonic(), parts, common);
        let mut exporter = builder.build()?;
        exporter.set_resource(common.resource);
        Ok(exporter)
    }

    fn over_http(parts: Http, common: &Common<'_>) -> Result<LogExporter, ExporterBuildError> {
        let builder = http(LogExporter::builder().with_http(), parts, common);
        let mut exporter = builder.build()?;
        exporter.set_resource(common.resource);
        Ok(exporter)
    }

    async fn export(sdk: &LogExporter, batch: Vec<Self>) -> OTelSdkResult {
        // A record's target stands in for the scope's name.
        let scope = InstrumentationScope::default();
        let records: Vec<_> = batch.iter().map(|record| (record, &scope)).collect();
        sdk.export(LogBatch::new(&records)).await
    }
}

/// Puts the headers of the settings in place of what the library has gathered,
/// which includes headers of the process environment.
#[derive(Clone)]
struct OnlyOurs(MetadataMap);

impl Interceptor for OnlyOurs {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        self.0.clone_into(request.metadata_mut());
        Ok(request)
    }
}

fn grpc<B: WithTonicConfig + WithExportConfig>(builder: B, parts: Grpc, common: &Common<'_>) -> B {
    let builder = builder
        .with_channel(parts.channel)
        .with_interceptor(OnlyOurs(parts.metadata))
        .with_retry_policy(common.retry.clone())
        .with_timeout(common.deadline);
    if common.gzip {
        builder.with_compression(Compression::Gzip)
    } else {
        builder
    }
}

fn http<B: WithHttpConfig + WithExportConfig>(builder: B, parts: Http, common: &Common<'_>) -> B {
    let builder = builder
        .with_http_client(parts.client)
        .with_endpoint(parts.endpoint)
        .with_protocol(Protocol::HttpBinary)
        .with_retry_policy(common.retry.clone())
        .with_timeout(common.deadline);
    if common.gzip {
        builder.with_compression(Compression::Gzip)
    } else {
        builder
    }
}
