//! Why the broker cannot be reached, in plain words: decides what an error means.
//!
//! Pure. Error texts of libraries are shown only where nothing better is known. Next:
//! [`crate::session::LinkState`], which carries a [`Reason`].

use std::error::Error;
use std::fmt;
use std::io;

use rumqttc::TlsError;
use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode as Connack, DisconnectReasonCode as Bye};
use rumqttc::v5::{ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};

use crate::config::{BrokerUrl, Config};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody listens at that address.
    Refused,
    /// The host name is not known.
    HostNotFound,
    /// No way to that address.
    Unreachable,
    /// No answer in time.
    NoAnswer,
    /// The broker closed the connection.
    Closed,
    /// Unknown user, wrong password, or not allowed.
    NotAuthorised,
    /// One of the certificates is not good.
    Certificate,
    /// A file that the configuration names cannot be used.
    LocalFile,
    /// Another client connected under this node's name.
    TakenOver,
    /// The broker is overloaded or going down.
    Busy,
    /// The broker speaks otherwise than it should.
    Protocol,
    /// The session was closed by its owner.
    Stopped,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    kind: Kind,
    text: String,
}

impl Reason {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a connection that broke may have broken on a message that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// No.
    Network,
    /// The broker just closed the connection.
    Perhaps,
    /// The broker said so.
    Message,
}

pub(crate) fn blame(error: &ConnectionError) -> Blame {
    let ConnectionError::MqttState(error) = error else { return Blame::Network };
    match error {
        StateError::ConnectionAborted => Blame::Perhaps,
        StateError::OutgoingPacketTooLarge { .. } => Blame::Message,
        // An acknowledgement with a code that rumqttc does not know, such as Mosquitto's for a message
        // over its message_size_limit.
        StateError::Deserialization(
            PacketError::OutgoingPacketTooLarge { .. }
            | PacketError::InvalidReason(_)
            | PacketError::InvalidConnectReturnCode(_),
        ) => Blame::Message,
        StateError::ServerDisconnect { reason_code, .. } => match reason_code {
            Bye::MalformedPacket
            | Bye::ProtocolError
            | Bye::TopicNameInvalid
            | Bye::PacketTooLarge
            | Bye::PayloadFormatInvalid
            | Bye::RetainNotSupported => Blame::Message,
            Bye::NotAuthorized | Bye::QuotaExceeded | Bye::UnspecifiedError => Blame::Perhaps,
            _ => Blame::Network,
        },
        _ => Blame::Network,
    }
}

/// What an error of the connection means.
pub(crate) fn explain(error: &ConnectionError, broker: &BrokerUrl, config: &Config) -> Reason {
    match error {
        ConnectionError::ConnectionRefused(code) => connack(*code, broker, config),
        ConnectionError::Timeout(_) => no_answer(broker, config),
        ConnectionError::Io(error) => io_error(error, broker, config),
        ConnectionError::Tls(TlsError::Io(error)) => io_error(error, broker, config),
        ConnectionError::Tls(TlsError::TLS(error)) => tls_error(error, broker),
        ConnectionError::MqttState(error) => state_error(error, broker, config),
        other => Reason::new(Kind::Protocol, format!("connection to {broker} failed: {other}")),
    }
}

fn no_answer(broker: &BrokerUrl, config: &Config) -> Reason {
    Reason::new(Kind::NoAnswer, format!("no answer from {broker} in {}", config.connect_timeout))
}

fn connack(code: Connack, broker: &BrokerUrl, config: &Config) -> Reason {
    let user = match &config.username {
        Some(name) => format!("user '{name}'"),
        None => "a client without user name".to_owned(),
    };
    let (kind, text) = match code {
        Connack::BadUserNamePassword | Connack::NotAuthorized => (
            Kind::NotAuthorised,
            format!("not authorised: {broker} refused {user} (wrong password, or not allowed)"),
        ),
        Connack::Banned => (Kind::NotAuthorised, format!("not authorised: {broker} banned {user}")),
        Connack::BadAuthenticationMethod => {
            (Kind::NotAuthorised, format!("not authorised: {broker} wants another authentication"))
        }
        Connack::ServerBusy
        | Connack::ServerUnavailable
        | Connack::ServiceUnavailable
        | Connack::ConnectionRateExceeded
        | Connack::QuotaExceeded => (Kind::Busy, format!("{broker} is overloaded ({code:?})")),
        Connack::UnsupportedProtocolVersion | Connack::RefusedProtocolVersion => {
            (Kind::Protocol, format!("{broker} does not speak MQTT 5"))
        }
        other => (Kind::Protocol, format!("{broker} refused the connection ({other:?})")),
    };
    Reason::new(kind, text)
}

fn state_error(error: &StateError, broker: &BrokerUrl, config: &Config) -> Reason {
    match error {
        StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => {
            io_error(error, broker, config)
        }
        StateError::ConnFail { reason } => connack(*reason, broker, config),
        StateError::ConnectionAborted => {
            Reason::new(Kind::Closed, format!("{broker} closed the connection"))
        }
        StateError::AwaitPingResp | StateError::CollisionTimeout => {
            Reason::new(Kind::NoAnswer, format!("{broker} no longer answers"))
        }
        StateError::ServerDisconnect { reason_code, reason_string } => {
            goodbye(*reason_code, reason_string.as_deref(), broker)
        }
        StateError::Deserialization(PacketError::PayloadSizeLimitExceeded { pkt_size, max }) => {
            let text = format!(
                "{broker} sent a message of {pkt_size} bytes; broker.max_packet_size allows {max}"
            );
            Reason::new(Kind::Protocol, text)
        }
        other => Reason::new(Kind::Protocol, format!("{broker} broke the protocol: {other}")),
    }
}

fn goodbye(code: Bye, said: Option<&str>, broker: &BrokerUrl) -> Reason {
    let (kind, text) = match code {
        Bye::SessionTakenOver => (
            Kind::TakenOver,
            "another client connected under this node's name; names must be unique".to_owned(),
        ),
        Bye::NotAuthorized | Bye::AdministrativeAction => {
            (Kind::NotAuthorised, format!("not authorised: {broker} ended the connection"))
        }
        Bye::ServerBusy | Bye::ServerShuttingDown | Bye::ConnectionRateExceeded => {
            (Kind::Busy, format!("{broker} is busy or shutting down"))
        }
        Bye::KeepAliveTimeout => (Kind::NoAnswer, format!("{broker} heard nothing from here")),
        other => (Kind::Closed, format!("{broker} ended the connection ({other:?})")),
    };
    match said {
        Some(said) => {
            let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
            Reason::new(kind, format!("{text}: \"{said}\""))
        }
        None => Reason::new(kind, text),
    }
}

fn io_error(error: &io::Error, broker: &BrokerUrl, config: &Config) -> Reason {
    if let Some(error) = rustls_error(error) {
        return tls_error(error, broker);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Reason::new(Kind::Refused, format!("connection refused by {broker}"))
        }
        io::ErrorKind::TimedOut => no_answer(broker, config),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Reason::new(Kind::Unreachable, format!("no way to {broker}: {error}"))
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => {
            Reason::new(Kind::Closed, format!("{broker} closed the connection"))
        }
        // The standard library gives no kind to a failed look-up; its text is all there is.
        _ if error.to_string().contains("lookup address") => {
            Reason::new(Kind::HostNotFound, format!("host '{}' is not known", broker.host))
        }
        _ => Reason::new(Kind::Unreachable, format!("connection to {broker} failed: {error}")),
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.get_ref()?);
    // An io::Error's source is the source of what it wraps, so look inside those by hand.
    for _ in 0..8 {
        let this = cause?;
        if let Some(found) = this.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        cause = match this.downcast_ref::<io::Error>() {
            Some(inner) => Some(inner.get_ref()?),
            None => this.source(),
        };
    }
    None
}

fn tls_error(error: &rustls::Error, broker: &BrokerUrl) -> Reason {
    use CertificateError as Bad;
    let text = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => {
                format!("certificate expired: that of {broker} (or this clock is wrong)")
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                format!("certificate of {broker} is not valid yet (or this clock is wrong)")
            }
            Bad::UnknownIssuer | Bad::BadSignature => {
                format!("certificate of {broker} is not signed by an authority in broker.ca_file")
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                format!("certificate of {broker} is for another name than '{}'", broker.host)
            }
            Bad::Revoked => format!("certificate of {broker} is revoked"),
            other => format!("certificate of {broker} is not good: {other}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                format!("{broker} wants a client certificate (broker.cert_file, broker.key_file)")
            }
            AlertDescription::CertificateExpired => {
                "certificate expired: broker.cert_file".to_owned()
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied => {
                format!("{broker} does not accept the certificate in broker.cert_file ({alert:?})")
            }
            other => format!("{broker} ended the TLS handshake ({other:?})"),
        },
        rustls::Error::InvalidMessage(_) => format!("{broker} does not speak TLS"),
        other => {
            return Reason::new(Kind::Protocol, format!("TLS with {broker} failed: {other}"));
        }
    };
    Reason::new(Kind::Certificate, text)
}

#[cfg(test)]
mod tests;
