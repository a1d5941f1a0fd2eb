//! What a smoke run looks at: a stack of our own, or what the settings and a
//! running `tdemo up` say of one elsewhere. Called by `cmd::smoke`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tdemo_telemetry::settings::{ExporterSettings, Protocol};
use url::Url;

use super::super::own;
use super::{Expected, SmokeArgs};
use crate::backend;
use crate::config::{Chosen, Key, OtlpProtocol, Peer, Settings};
use crate::ctx::Ctx;
use crate::exit::Failure;
use crate::render;
use crate::runtime_dir::{Running, RuntimeDir};
use crate::verify::errand::Service;
use crate::verify::evidence::{Evidence, Without};
use crate::verify::gather::{self, Scene};
use crate::verify::logs::Loki;
use crate::verify::report::Group;

async fn observe(scene: &Scene, ctx: &Ctx) -> Result<Evidence, Failure> {
    let progress = render::progress::Progress::new(ctx.progress_target(), None);
    gather::gather(
        scene,
        &|what| progress.show(0, what.to_owned()),
        ctx.interrupted(),
    )
    .await
    .map_err(|error| Failure::CouldNotRun(error.to_string()))
}

/// A stack of our own, for as long as the run.
pub(super) async fn embedded(
    expect: Option<&Expected>,
    args: &SmokeArgs,
    ctx: &Ctx,
) -> Result<Evidence, Failure> {
    let stack = own::start(ctx).await?;
    let evidence = async {
        let urls = stack.urls();
        let mut target = parse(&urls.frontend)?;
        if expect.is_some() {
            target.set_path(Service::Frontend.tier().work_path());
        }
        let scene = Scene {
            target,
            embedded: true,
            middleware: Some(parse(&urls.middleware)?),
            backend: Some(parse(&urls.backend)?),
            tempo: Some(own::open(&urls.tempo).await?),
            exporter: Some(exporter(
                "the stack's receiver",
                Protocol::Grpc,
                &urls.otlp_grpc,
            )?),
            loki: Some(loki(parse(&urls.tempo)?, &Settings::default())?),
            deadline: args.deadline.into(),
            left_out: left_out(args),
            expect: expect.map(|expect| Arc::clone(&expect.read)),
            without: Without::default(),
        };
        observe(&scene, ctx).await
    }
    .await;
    stack.shutdown().await;
    evidence
}

fn left_out(args: &SmokeArgs) -> BTreeSet<Group> {
    args.skip.iter().map(|left| left.0).collect()
}

/// What runs elsewhere, seen as it is.
pub(super) async fn remote(
    target: &Url,
    settings: &Settings,
    expect: Option<&Expected>,
    args: &SmokeArgs,
    ctx: &Ctx,
) -> Result<Evidence, Failure> {
    let scene = remote_scene(target, settings, expect, args, ctx).await?;
    observe(&scene, ctx).await
}

/// What runs elsewhere: as far as the settings, or a running `tdemo up` that
/// serves the target, say where the parts are.
async fn remote_scene(
    target: &Url,
    settings: &Settings,
    expect: Option<&Expected>,
    args: &SmokeArgs,
    ctx: &Ctx,
) -> Result<Scene, Failure> {
    let up: Option<Running> = RuntimeDir::of(ctx)
        .running()
        .into_iter()
        .find(|running| running.serves(target.as_str()));
    let from_up = |url: fn(&Running) -> &String| up.as_ref().map(|up| parse(url(up))).transpose();
    let mut without = Without::default();
    let mut tier = |service, set: &Option<Url>, found: Option<Url>, key: Key| {
        let url = set.clone().or(found);
        if url.is_none() {
            without
                .services
                .push((service, format!("no --{}", key.name())));
        }
        url
    };
    let middleware = tier(
        Service::Middleware,
        &settings.middleware_url,
        from_up(|up| &up.middleware_url)?,
        Key::MiddlewareUrl,
    );
    let backend = tier(
        Service::Backend,
        &settings.backend_url,
        from_up(|up| &up.backend_url)?,
        Key::BackendUrl,
    );
    let tempo = match (backend::configured(settings).await?, &up) {
        (Some(tempo), _) => Some(tempo),
        (None, Some(up)) => Some(own::open(&up.tempo_url).await?),
        (None, None) => None,
    };
    if tempo.is_none() {
        without.traces = Some("no --tempo-url".to_owned());
    }
    let exporter = match (&settings.otlp, &up) {
        (Some(otlp), _) => {
            let place = settings
                .chosen(Key::OtlpEndpoint)
                .map_or_else(String::new, Chosen::place);
            let protocol = match otlp.protocol {
                OtlpProtocol::Grpc => Protocol::Grpc,
                OtlpProtocol::HttpProtobuf => Protocol::HttpProtobuf,
            };
            let mut exporter = exporter(&place, protocol, otlp.endpoint.as_str())?;
            exporter.headers = settings.headers_of(Peer::Otlp);
            Some(exporter)
        }
        (None, Some(up)) => Some(exporter(
            "the running stack",
            Protocol::Grpc,
            &up.otlp_grpc_url,
        )?),
        (None, None) => None,
    };
    if exporter.is_none() {
        without.caller = Some("no --otlp-endpoint".to_owned());
    }
    let loki_url = match (&settings.loki_url, &up) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(up)) => Some(parse(&up.tempo_url)?),
        (None, None) => None,
    };
    if loki_url.is_none() {
        without.logs = Some("no --loki-url".to_owned());
    }
    Ok(Scene {
        target: target.clone(),
        embedded: false,
        middleware,
        backend,
        tempo,
        exporter,
        loki: loki_url.map(|url| loki(url, settings)).transpose()?,
        deadline: args.deadline.into(),
        left_out: left_out(args),
        expect: expect.map(|expect| Arc::clone(&expect.read)),
        without,
    })
}

fn parse(url: &str) -> Result<Url, Failure> {
    url.parse()
        .map_err(|error| Failure::CouldNotRun(format!("{url} is no URL: {error}")))
}

fn exporter(place: &str, protocol: Protocol, url: &str) -> Result<ExporterSettings, Failure> {
    ExporterSettings::for_base(place, protocol, url)
        .map_err(|error| Failure::Usage(error.to_string()))
}

fn loki(url: Url, settings: &Settings) -> Result<Loki, Failure> {
    Loki::new(url, settings.headers_of(Peer::Loki))
        .map_err(|error| Failure::CouldNotRun(format!("no HTTP client: {error}")))
}
