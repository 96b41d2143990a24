use super::*;

fn explained(error: ConnectionError) -> (Kind, String) {
    let config = Config::new("mqtt://10.0.0.1:8883", "t", "n");
    let reason = explain(&error, &config.url.parse().unwrap(), &config);
    (reason.kind(), reason.to_string())
}

#[test]
fn reasons_are_plain_words() {
    let io = |kind: io::ErrorKind| ConnectionError::Io(kind.into());
    assert_eq!(
        explained(io(io::ErrorKind::ConnectionRefused)),
        (Kind::Refused, "connection refused by 10.0.0.1:8883".into())
    );
    assert_eq!(explained(io(io::ErrorKind::TimedOut)).1, "no answer from 10.0.0.1:8883 in 20s");
    let (kind, text) = explained(ConnectionError::ConnectionRefused(Connack::NotAuthorized));
    assert_eq!(kind, Kind::NotAuthorised);
    assert!(text.starts_with("not authorised"), "{text}");
}

#[test]
fn a_certificate_error_is_found_however_deep_it_lies() {
    let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
    let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, expired));
    let (kind, text) = explained(ConnectionError::MqttState(StateError::Io(wrapped)));
    assert_eq!(kind, Kind::Certificate);
    assert!(text.starts_with("certificate expired"), "{text}");
}

#[test]
fn what_a_broker_says_cannot_draw_on_a_terminal() {
    let said = StateError::ServerDisconnect {
        reason_code: Bye::UnspecifiedError,
        reason_string: Some(format!("\u{1b}[2J{}", "x".repeat(1000))),
    };
    let (_, text) = explained(ConnectionError::MqttState(said));
    assert!(!text.contains('\u{1b}') && text.len() < 400, "{text}");
}

#[test]
fn only_the_brokers_word_blames_a_message() {
    let bye = |reason_code| {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string: None,
        })
    };
    assert_eq!(blame(&bye(Bye::PacketTooLarge)), Blame::Message);
    assert_eq!(blame(&bye(Bye::ServerShuttingDown)), Blame::Network);
    assert_eq!(blame(&ConnectionError::MqttState(StateError::ConnectionAborted)), Blame::Perhaps);
    assert_eq!(blame(&ConnectionError::Io(io::ErrorKind::ConnectionReset.into())), Blame::Network);
}
