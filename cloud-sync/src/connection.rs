//! One connection: makes rumqttc's client and event loop from the settings, and drives the loop.
//!
//! A connection is used once. After any error a new one is made, since rumqttc keeps packet ids,
//! collisions and topic aliases in the old one (and with them its known livelocks). Never decides
//! when to try again. Next: [`crate::session`] and [`crate::client`], which do.

use std::convert::Infallible;

use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Transport};
use tokio::sync::mpsc;

use crate::config::Settings;
use crate::reason::{Kind, Reason};
use crate::tls;

/// What the event loop said.
pub(crate) type Said = Result<Event, Box<ConnectionError>>;

/// How many events may wait to be looked at.
const EVENTS: usize = 16;
/// Requests that are neither publishes nor acknowledgements: subscribe, unsubscribe, disconnect.
const OTHER_REQUESTS: usize = 16;

/// What differs between a node's connection and an operator's.
pub(crate) struct Role {
    pub(crate) client_id: String,
    pub(crate) will: Option<LastWill>,
    /// A session that outlives the connection, with acknowledgements given by hand.
    pub(crate) lasting: bool,
}

/// Makes a connection, which opens when [`drive`] is polled.
pub(crate) fn prepare(settings: &Settings, role: Role) -> Result<(AsyncClient, EventLoop), Reason> {
    let config = &settings.config;
    let mut options =
        MqttOptions::new(role.client_id, host_for_rumqttc(settings), settings.url.port);
    let timeout = config.connect_timeout.duration().as_secs();
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(timeout);
    network.set_tcp_nodelay(true);
    let expiry = u32::try_from(config.session_expiry.duration().as_secs()).unwrap_or(u32::MAX);
    let properties = ConnectProperties {
        session_expiry_interval: role.lasting.then_some(expiry),
        receive_maximum: Some(config.inbound_queue),
        max_packet_size: Some(settings.max_packet_size),
        ..ConnectProperties::new()
    };
    options
        .set_network_options(network)
        .set_connection_timeout(timeout)
        .set_keep_alive(config.keep_alive.duration())
        .set_clean_start(!role.lasting)
        .set_manual_acks(role.lasting)
        .set_connect_properties(properties)
        .set_outgoing_inflight_upper_limit(inflight_slots(config.max_inflight));
    if let Some(will) = role.will {
        options.set_last_will(will);
    }
    let unusable = |error: tls::FileError| Reason::new(Kind::LocalFile, error.to_string());
    if let Some(username) = &config.username {
        let password = tls::password(config).map_err(unusable)?.unwrap_or_default();
        options.set_credentials(username, password);
    }
    if settings.url.tls {
        let tls = tls::client_config(config).map_err(unusable)?;
        options.set_transport(Transport::tls_with_config(tls.into()));
    }
    let requests = usize::from(config.max_inflight) + usize::from(config.inbound_queue);
    Ok(AsyncClient::new(options, requests + OTHER_REQUESTS))
}

/// The channel for [`drive`].
pub(crate) fn events() -> (mpsc::Sender<Said>, mpsc::Receiver<Said>) {
    mpsc::channel(EVENTS)
}

/// Polls the event loop for ever; after an error there is nothing more to come. rumqttc's `poll` loses
/// packets when it is dropped half-way, so this future must live as long as its connection.
pub(crate) async fn drive(mut event_loop: EventLoop, events: mpsc::Sender<Said>) -> Infallible {
    loop {
        let said = event_loop.poll().await.map_err(Box::new);
        let over = said.is_err();
        if events.send(said).await.is_err() || over {
            break;
        }
    }
    // The socket must not outlive the connection while its error is being dealt with.
    drop(event_loop);
    std::future::pending().await
}

/// Twice the messages that may be under way: packet ids go round, and one that comes round to a
/// message not yet acknowledged stops the event loop.
pub(crate) fn inflight_slots(max_inflight: u16) -> u16 {
    max_inflight.saturating_mul(2)
}

/// How many messages to have under way, given what the broker takes. One less than rumqttc's own
/// limit, for at that limit it holds back acknowledgements too.
pub(crate) fn window(max_inflight: u16, broker_takes: Option<u16>) -> usize {
    let limit = broker_takes.unwrap_or(u16::MAX).min(inflight_slots(max_inflight));
    usize::from(max_inflight.min(limit.saturating_sub(1)).max(1))
}

fn host_for_rumqttc(settings: &Settings) -> String {
    if settings.url.tls { settings.url.host.clone() } else { settings.url.host_in_address() }
}
