//! The broker's address: reads `mqtt://host:port` and `mqtts://host:port`, and nothing more.
//!
//! Pure; resolves no name. User names and passwords do not belong into an address, since addresses
//! are logged. Next: [`super::Config`].

use std::fmt;
use std::str::FromStr;

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port; 1883, or 8883 with TLS, when the text names none.
    pub port: u16,
}

/// Why a text is no broker's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not begin with a known scheme.
    #[error("'{0}' must begin with mqtt:// or mqtts://")]
    Scheme(String),
    /// The host is missing or holds strange characters.
    #[error("'{0}' names no host; expected mqtt://host:port")]
    Host(String),
    /// The port is no number from 1 to 65535.
    #[error("'{0}' has a port that is no number from 1 to 65535")]
    Port(String),
    /// There is something after the port.
    #[error("'{0}' must end after the port")]
    Rest(String),
    /// User and password stand in the address.
    #[error(
        "user name and password do not belong into the address; use username and password_file"
    )]
    UserInfo,
    /// TLS to an IPv6 literal.
    #[error("'{0}': mqtts:// to an IPv6 address is not supported; give the broker a host name")]
    TlsToIpv6(String),
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let shown = || text.chars().take(200).collect::<String>();
        let (tls, rest) = match (text.strip_prefix("mqtt://"), text.strip_prefix("mqtts://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(UrlError::Scheme(shown())),
        };
        if rest.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(UrlError::Rest(shown()));
        }
        let (host, port) = split_port(rest).ok_or_else(|| UrlError::Host(shown()))?;
        let port = match port {
            None => 1883 + 7000 * u16::from(tls),
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(UrlError::Port(shown())),
            },
        };
        let ipv6 = rest.starts_with('[');
        if ipv6 && host.parse::<std::net::Ipv6Addr>().is_err() || !host_is_plain(host) {
            return Err(UrlError::Host(shown()));
        }
        if ipv6 && tls {
            return Err(UrlError::TlsToIpv6(shown()));
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

/// Host and port, with the brackets of an IPv6 address taken off.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port {
            "" => Some((host, None)),
            port => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
    }
}

fn host_is_plain(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    (1..=253).contains(&host.len()) && host.bytes().all(plain)
}

impl BrokerUrl {
    /// The host as it stands before a port: an IPv6 address in brackets.
    pub fn host_in_address(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Host and port, as a person writes them.
impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host_in_address(), self.port)
    }
}
