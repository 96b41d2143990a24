//! How to reach the broker: decides whether a `[broker]` table makes sense.
//!
//! Reads no file and opens no socket: [`Config::check`] is pure, and names the field that is wrong.
//! Certificates and the password file are read at each attempt to connect (`tls`, `connection`), so
//! that renewed ones are taken without a restart. Next: [`crate::session::start`].

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::outbox::Limits;
use crate::topics::{Address, Name, TopicError};

mod span;
mod url;

pub use span::Span;
pub use url::{BrokerUrl, UrlError};

/// The `[broker]` table of a configuration file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `mqtt://host[:port]` or `mqtts://host[:port]`.
    pub url: String,
    /// The tenant; one broker can serve many.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// The node's name. May be left out of the file and filled in by the program.
    #[serde(default)]
    pub node: String,
    /// The groups whose document the node obeys.
    #[serde(default)]
    pub groups: Vec<String>,
    /// User name, for brokers that ask for one.
    #[serde(default)]
    pub username: Option<String>,
    /// Password; better in `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; one newline at its end is cut off.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM file of the authorities whose broker is trusted; needed for `mqtts`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the node's own certificate chain.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// How often to say "still here" when nothing else is sent. 60 s.
    #[serde(default = "defaults::keep_alive")]
    pub keep_alive: Span,
    /// How long the broker keeps what it has for a node that is away. 7 days.
    #[serde(default = "defaults::session_expiry")]
    pub session_expiry: Span,
    /// The longest an attempt to connect may take. 20 s.
    #[serde(default = "defaults::connect_timeout")]
    pub connect_timeout: Span,
    /// How long an acknowledgement may be missing before the connection is made anew. 30 s.
    #[serde(default = "defaults::ack_timeout")]
    pub ack_timeout: Span,
    /// The shortest pause between attempts. 1 s.
    #[serde(default = "defaults::reconnect_min")]
    pub reconnect_min: Span,
    /// The longest pause between attempts. 2 min.
    #[serde(default = "defaults::reconnect_max")]
    pub reconnect_max: Span,
    /// The largest message that is accepted, in bytes. 8 MiB; a margin for topic and header is added.
    #[serde(default = "defaults::max_packet_size")]
    pub max_packet_size: u32,
    /// How many messages may be under way to the broker. 16.
    #[serde(default = "defaults::max_inflight")]
    pub max_inflight: u16,
    /// How many received messages may wait to be acknowledged. 16.
    #[serde(default = "defaults::inbound_queue")]
    pub inbound_queue: u16,
    /// The most bytes the outbox keeps. 4 MiB.
    #[serde(default = "defaults::outbox_bytes")]
    pub outbox_bytes: u64,
    /// The most messages the outbox keeps. 4096.
    #[serde(default = "defaults::outbox_entries")]
    pub outbox_entries: u32,
}

/// A text that does not show in logs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text for a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

mod defaults {
    use super::Span;

    pub(super) fn keep_alive() -> Span {
        Span::from_secs(60)
    }
    pub(super) fn session_expiry() -> Span {
        Span::from_secs(7 * 24 * 60 * 60)
    }
    pub(super) fn connect_timeout() -> Span {
        Span::from_secs(20)
    }
    pub(super) fn ack_timeout() -> Span {
        Span::from_secs(30)
    }
    pub(super) fn reconnect_min() -> Span {
        Span::from_secs(1)
    }
    pub(super) fn reconnect_max() -> Span {
        Span::from_secs(120)
    }
    pub(super) fn max_packet_size() -> u32 {
        8 << 20
    }
    pub(super) fn max_inflight() -> u16 {
        16
    }
    pub(super) fn inbound_queue() -> u16 {
        16
    }
    pub(super) fn outbox_bytes() -> u64 {
        4 << 20
    }
    pub(super) fn outbox_entries() -> u32 {
        4096
    }
}

fn default_tenant() -> String {
    "default".to_owned()
}

/// Room for the topic and the properties of a message beside its payload.
const HEADER_MARGIN: u32 = 64 * 1024;

/// Why a configuration cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is not understood.
    #[error("broker.url: {source}")]
    Url {
        /// What is wrong with it.
        source: UrlError,
    },
    /// A name cannot stand in a topic.
    #[error("broker.{field}: {source}")]
    Name {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: TopicError,
    },
    /// One field needs another.
    #[error("broker.{field}: needed {why}")]
    Missing {
        /// Which field is missing.
        field: &'static str,
        /// What needs it.
        why: &'static str,
    },
    /// Two fields exclude each other, or a field has no effect here.
    #[error("broker.{field}: {why}")]
    Pointless {
        /// Which field.
        field: &'static str,
        /// Why it cannot stand.
        why: &'static str,
    },
    /// A number is out of its range.
    #[error("broker.{field}: {value} is out of range; {range} is allowed")]
    Range {
        /// Which field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        range: &'static str,
    },
}

/// A configuration that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) url: BrokerUrl,
    pub(crate) tenant: Name,
    pub(crate) groups: Vec<Name>,
    pub(crate) max_packet_size: u32,
}

impl Config {
    /// The defaults, for a broker at `url`.
    pub fn new(url: impl Into<String>, tenant: impl Into<String>, node: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tenant: tenant.into(),
            node: node.into(),
            groups: Vec::new(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            keep_alive: defaults::keep_alive(),
            session_expiry: defaults::session_expiry(),
            connect_timeout: defaults::connect_timeout(),
            ack_timeout: defaults::ack_timeout(),
            reconnect_min: defaults::reconnect_min(),
            reconnect_max: defaults::reconnect_max(),
            max_packet_size: defaults::max_packet_size(),
            max_inflight: defaults::max_inflight(),
            inbound_queue: defaults::inbound_queue(),
            outbox_bytes: defaults::outbox_bytes(),
            outbox_entries: defaults::outbox_entries(),
        }
    }

    /// Whether this can work for a node; says which field is wrong.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.settings()?;
        self.address().map(drop)
    }

    /// The node's address in every topic.
    ///
    /// # Errors
    /// When `tenant` or `node` is missing or is no name.
    pub fn address(&self) -> Result<Address, ConfigError> {
        if self.node.is_empty() {
            return Err(ConfigError::Missing { field: "node", why: "to name this node's topics" });
        }
        let node = |source| ConfigError::Name { field: "node", source };
        Address::new(name("tenant", &self.tenant)?, self.node.parse().map_err(node)?).map_err(node)
    }

    /// What the outbox may hold.
    pub fn limits(&self) -> Limits {
        Limits { bytes: self.outbox_bytes, entries: self.outbox_entries as usize }
    }

    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let url: BrokerUrl = self.url.parse().map_err(|source| ConfigError::Url { source })?;
        self.check_security(&url)?;
        self.check_ranges()?;
        Ok(Settings {
            url,
            tenant: name("tenant", &self.tenant)?,
            groups: self.groups.iter().map(|g| name("groups", g)).collect::<Result<_, _>>()?,
            max_packet_size: self.max_packet_size.saturating_add(HEADER_MARGIN),
            config: self.clone(),
        })
    }

    fn check_security(&self, url: &BrokerUrl) -> Result<(), ConfigError> {
        use ConfigError::{Missing, Pointless};
        let tls_fields = [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ];
        if let Some((field, _)) = tls_fields.iter().find(|(_, file)| file.is_some() && !url.tls) {
            return Err(Pointless { field, why: "has no effect with mqtt://; use mqtts://" });
        }
        if url.tls && self.ca_file.is_none() {
            let why = "with mqtts:// (for public authorities: /etc/ssl/certs/ca-certificates.crt)";
            return Err(Missing { field: "ca_file", why });
        }
        if self.cert_file.is_some() && self.key_file.is_none() {
            return Err(Missing { field: "key_file", why: "because cert_file is given" });
        }
        if self.key_file.is_some() && self.cert_file.is_none() {
            return Err(Missing { field: "cert_file", why: "because key_file is given" });
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Err(Pointless { field: "password", why: "give this or password_file" });
        }
        let secret = self.password.is_some() || self.password_file.is_some();
        if secret && self.username.is_none() {
            return Err(Missing { field: "username", why: "because a password is given" });
        }
        if self.username.as_ref().is_some_and(|name| name.len() > usize::from(u16::MAX)) {
            return Err(Pointless { field: "username", why: "is longer than 65535 bytes" });
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let short = Duration::from_millis(10);
        let day = Duration::from_secs(24 * 3600);
        span("keep_alive", self.keep_alive, 5 * second, 18 * 3600 * second, "5s to 18h")?;
        span("session_expiry", self.session_expiry, second, 366 * day, "1s to 366d")?;
        span("connect_timeout", self.connect_timeout, second, 600 * second, "1s to 10m")?;
        span("ack_timeout", self.ack_timeout, short, 3600 * second, "10ms to 1h")?;
        span("reconnect_min", self.reconnect_min, short, 3600 * second, "10ms to 1h")?;
        let min = self.reconnect_min.duration();
        span("reconnect_max", self.reconnect_max, min, day, "reconnect_min to 1d")?;
        number("max_packet_size", self.max_packet_size, 1024, 256 << 20, "1024 to 268435456")?;
        number("max_inflight", self.max_inflight, 1, 1024, "1 to 1024")?;
        number("inbound_queue", self.inbound_queue, 1, 1024, "1 to 1024")?;
        number("outbox_bytes", self.outbox_bytes, 1024, 1 << 40, "1024 to 1 TiB")?;
        number("outbox_entries", self.outbox_entries, 1, 10_000_000, "1 to 10000000")
    }
}

fn name(field: &'static str, text: &str) -> Result<Name, ConfigError> {
    text.parse().map_err(|source| ConfigError::Name { field, source })
}

fn span(
    field: &'static str,
    value: Span,
    min: Duration,
    max: Duration,
    range: &'static str,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value.duration()) {
        return Ok(());
    }
    Err(ConfigError::Range { field, value: value.to_string(), range })
}

fn number<N: PartialOrd + fmt::Display>(
    field: &'static str,
    value: N,
    min: N,
    max: N,
    range: &'static str,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range { field, value: value.to_string(), range })
}

#[cfg(test)]
mod tests;
