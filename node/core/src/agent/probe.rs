//! Probes: how it is found out whether an agent has started, can serve, and works.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, fault};
use super::text::{self, path_problem, words_problem};
use crate::as_text::as_text;
use crate::units::Span;

/// How something is found out about an agent, how often, and what follows. Exactly one of `http`,
/// `tcp`, `command` and `file` is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Run in the agent's container; exit code 0 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::words")]
    #[cfg_attr(test, schemars(with = "Option<Vec<crate::schema::Text>>"))]
    pub command: Option<Vec<String>>,
    /// Connect to this port in the agent's network namespace; a connection is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// Ask for a page in the agent's network namespace; an expected status is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// Look at a file in the agent's file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileProbe>,
    /// The time between two probes.
    #[serde(default = "interval")]
    pub interval: Span,
    /// A probe that takes longer has failed.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// So many failures in a row are one too many.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Failures this soon after the start do not count.
    #[serde(default = "no_time")]
    pub start_period: Span,
    /// What is done then; `restart` by default. For `healthCheck` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unhealthy: Option<OnUnhealthy>,
}

fn interval() -> Span {
    Span::seconds(30)
}
fn timeout() -> Span {
    Span::seconds(5)
}
fn retries() -> u32 {
    3
}
fn no_time() -> Span {
    Span::seconds(0)
}

/// Where a tcp probe connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpProbe {
    /// The port on the agent's own loopback interface.
    pub port: u16,
}

/// What an http probe asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// The port on the agent's own loopback interface.
    pub port: u16,
    /// The path and query.
    #[serde(default = "root")]
    pub path: String,
    /// With TLS or without. A certificate is not judged: the probe never leaves the machine.
    #[serde(default)]
    pub scheme: Scheme,
    /// What statuses are a success.
    #[serde(default)]
    pub status: StatusRange,
    /// Further headers; `Host` is `localhost` unless said here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "text::map")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, crate::schema::Text>"))]
    pub headers: BTreeMap<String, String>,
}

fn root() -> String {
    "/".to_owned()
}

/// With TLS or without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Without.
    #[default]
    Http,
    /// With.
    Https,
}

/// Statuses of HTTP from one to another, such as `200-399`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The first that is a success.
    pub first: u16,
    /// The last.
    pub last: u16,
}

as_text!(StatusRange, "a range of statuses, such as 200-399 or 204", or a number);

impl Default for StatusRange {
    fn default() -> Self {
        Self { first: 200, last: 399 }
    }
}

impl StatusRange {
    /// Whether a status is a success.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl FromStr for StatusRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last))
                if (100..=599).contains(&first) && (first..=599).contains(&last) =>
            {
                Ok(Self { first, last })
            }
            _ => Err(format!("'{text}' is not a range of statuses; write such as 200-399 or 204")),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        Ok(())
    }
}

/// What is wanted of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileProbe {
    /// Its path in the agent's file system; it must exist.
    pub path: String,
    /// It must have been changed this recently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
}

/// What is done with an unhealthy agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnUnhealthy {
    /// It is stopped, and started again after the back-off.
    #[default]
    Restart,
    /// It is only reported.
    Report,
}

impl HealthCheck {
    /// A check by command, with defaults for the rest.
    pub fn by_command(words: Vec<String>) -> Self {
        Self { command: Some(words), ..Self::nothing() }
    }

    /// A check by tcp, with defaults for the rest.
    pub fn by_tcp(port: u16) -> Self {
        Self { tcp: Some(TcpProbe { port }), ..Self::nothing() }
    }

    /// A check by HTTP, with defaults for the rest.
    pub fn by_http(port: u16, path: &str) -> Self {
        let (scheme, status) = (Scheme::default(), StatusRange::default());
        let http =
            HttpProbe { port, path: path.to_owned(), scheme, status, headers: BTreeMap::new() };
        Self { http: Some(http), ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            command: None,
            tcp: None,
            http: None,
            file: None,
            interval: interval(),
            timeout: timeout(),
            retries: retries(),
            start_period: no_time(),
            on_unhealthy: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        let kinds =
            [self.command.is_some(), self.tcp.is_some(), self.http.is_some(), self.file.is_some()];
        match kinds.into_iter().filter(|said| *said).count() {
            1 => {}
            0 => return fault("", "needs one of http, tcp, command and file"),
            _ => return fault("", "has several of http, tcp, command and file; use one"),
        }
        if let Some(words) = &self.command {
            if words.is_empty() {
                return fault("command", "is empty");
            }
            if let Some(problem) = words_problem(words) {
                return fault("command", problem);
            }
        }
        if self.tcp.as_ref().is_some_and(|t| t.port == 0) {
            return fault("tcp.port", "is 0");
        }
        if let Some(http) = &self.http {
            http.check().map_err(Fault::below("http"))?;
        }
        if let Some(problem) = self.file.as_ref().and_then(|file| path_problem(&file.path)) {
            return fault("file.path", problem);
        }
        if self.file.as_ref().is_some_and(|file| file.max_age == Some(no_time())) {
            return fault("file.maxAge", "is 0s; no file is that fresh");
        }
        if self.interval.millis < 100 || self.interval > Span::seconds(86_400) {
            return fault("interval", "must be at least 100ms and at most 24h");
        }
        if self.start_period > Span::seconds(86_400) {
            return fault("startPeriod", "is over 24h");
        }
        if self.timeout.millis == 0 || self.timeout.millis > 3_600_000 {
            return fault("timeout", "must be above 0s and at most 1h");
        }
        if self.retries == 0 {
            return fault("retries", "is 0; at least 1 is needed");
        }
        Ok(())
    }
}

impl HttpProbe {
    fn check(&self) -> Result<(), Fault> {
        if self.port == 0 {
            return fault("port", "is 0");
        }
        let plain = |text: &str| text.bytes().all(|b| (0x21..0x7f).contains(&b));
        if !self.path.starts_with('/') || self.path.len() > 2048 || !plain(&self.path) {
            return fault("path", "must begin with / and hold no blanks; escape others with %");
        }
        if self.headers.len() > 32 {
            return fault("headers", "has more than 32 entries");
        }
        for (name, value) in &self.headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let fits = |b: u8| (0x20..0x7f).contains(&b);
            if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(fits) {
                return fault(format!("headers.{name}"), "is not a header of HTTP");
            }
        }
        Ok(())
    }
}
