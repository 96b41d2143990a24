//! `skerry-fleet broker`: a small broker (rumqttd) within this program, for a demo or a desk.
//!
//! It keeps everything in memory: when it ends, retained documents and reports are gone, and must be
//! published again. It asks nobody for a password. A fleet needs a real one. rumqttd has a door for
//! each version of MQTT; [`front`] makes one of them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use skerry_core::bundle::BUNDLE_MAX;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output;

mod front;

/// A bundle, its topic and its header.
const PAYLOAD_MAX: usize = BUNDLE_MAX + 64 * 1024;
/// Messages are kept for slow readers in so many pieces of this size; a piece may be larger by one message.
const SEGMENT: usize = 1 << 20;
const SEGMENTS: usize = 8;
/// How long rumqttd may take to listen.
const START_MAX: Duration = Duration::from_secs(10);

/// Runs a small broker until Ctrl-C or SIGTERM. It keeps everything in memory and asks nobody for a
/// password: right for a demo and a desk, not for a fleet
#[derive(Debug, Clone, Args)]
pub struct BrokerArgs {
    /// Where to listen, for MQTT 5 and 3.1.1 alike; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
    listen: SocketAddr,
}

/// Runs the broker.
pub async fn run(args: &BrokerArgs) -> anyhow::Result<()> {
    let wanted = std::env::var("SKERRY_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let quiet =
        || Targets::new().with_default(LevelFilter::ERROR).with_target("rumqttd", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(wanted.unwrap_or_else(quiet)).init();
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let inner = start()?;
    for address in [inner.v4, inner.v5] {
        await_listening(address).await?;
    }
    let address = listener.local_addr().context("cannot tell the address")?;
    output::line(&format!(
        "broker at mqtt://{address} (MQTT 5 and 3.1.1; in memory only, no passwords); Ctrl-C ends it"
    ))?;
    tokio::select! {
        () = front::serve(listener, inner) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C")?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// Where rumqttd listens, on this machine alone.
#[derive(Debug, Clone, Copy)]
struct Inner {
    v4: SocketAddr,
    v5: SocketAddr,
}

/// Starts rumqttd in threads of its own, which end with the process.
fn start() -> anyhow::Result<Inner> {
    // Both are held before either is let go, so that they differ.
    let held = [free()?, free()?];
    let [v4, v5] = held.map(|listener| listener.local_addr());
    let inner = Inner { v4: v4?, v5: v5? };
    let settings = |name: &str, listen| HashMap::from([(name.to_owned(), server(name, listen))]);
    let config = Config {
        id: 0,
        router: RouterConfig {
            max_connections: 10_000,
            max_outgoing_packet_count: 200,
            max_segment_size: SEGMENT,
            max_segment_count: SEGMENTS,
            // One log for all topics, so that memory does not grow with their number.
            initialized_filters: Some(vec!["#".to_owned()]),
            ..RouterConfig::default()
        },
        v4: Some(settings("v4", inner.v4)),
        v5: Some(settings("v5", inner.v5)),
        ..Config::default()
    };
    std::thread::Builder::new()
        .name("broker".to_owned())
        .spawn(move || {
            if let Err(error) = Broker::new(config).start() {
                output::note(&format!("the broker failed: {error}"));
            }
        })
        .context("cannot start the broker")?;
    Ok(inner)
}

fn free() -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")
}

fn server(name: &str, listen: SocketAddr) -> ServerSettings {
    ServerSettings {
        name: name.to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 10_000,
            max_payload_size: PAYLOAD_MAX,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            // Without it, a message that nobody listens to ends its sender's connection.
            dynamic_filters: true,
        },
    }
}

async fn await_listening(address: SocketAddr) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + START_MAX;
    loop {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(_) if tokio::time::Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => bail!("the broker did not begin to listen on {address}: {error}"),
        }
    }
}
