use super::*;

fn read(json: &str) -> Result<Config, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn good() -> Config {
    Config::new("mqtt://broker.example:1883", "acme", "node-1")
}

fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = good();
    change(&mut config);
    config.check().expect_err("was accepted").to_string()
}

#[test]
fn a_short_table_has_the_documented_defaults() {
    let config = read(r#"{"url": "mqtt://10.0.0.1", "tenant": "acme", "node": "node-1"}"#).unwrap();
    assert_eq!(config, Config::new("mqtt://10.0.0.1", "acme", "node-1"));
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.keep_alive.duration(), Duration::from_secs(60));
    assert_eq!(config.max_packet_size, 8 * 1024 * 1024);
    assert_eq!(config.max_inflight, 16);
}

#[test]
fn an_unknown_or_wrong_field_is_named() {
    let wrong = read(r#"{"url": "mqtt://h", "paswort": "x"}"#).unwrap_err();
    assert!(wrong.contains("paswort"), "{wrong}");
    let wrong = read(r#"{"url": "mqtt://h", "keep_alive": "1 minute"}"#).unwrap_err();
    assert!(wrong.contains("1 minute") && wrong.contains("60s"), "{wrong}");
}

#[test]
fn what_cannot_work_is_refused_by_the_name_of_its_field() {
    let missing_ca = refused(|c| c.url = "mqtts://h".into());
    assert!(missing_ca.starts_with("broker.ca_file: needed with mqtts://"), "{missing_ca}");
    for (message, field) in [
        (refused(|c| c.url = "http://h".into()), "broker.url"),
        (refused(|c| c.url = "mqtt://user:pw@h".into()), "broker.url"),
        (refused(|c| c.tenant = "a/b".into()), "broker.tenant"),
        (refused(|c| c.node = String::new()), "broker.node"),
        (refused(|c| c.node = "group".into()), "broker.node"),
        (refused(|c| c.node = "+".into()), "broker.node"),
        (refused(|c| c.groups = vec!["#".into()]), "broker.groups"),
        (refused(|c| c.ca_file = Some("/ca".into())), "broker.ca_file"),
        (refused(|c| c.password = Some(Secret::new("x"))), "broker.username"),
        (refused(|c| c.keep_alive = Span::from_secs(1)), "broker.keep_alive"),
        (refused(|c| c.reconnect_max = Span::from_millis(1)), "broker.reconnect_max"),
        (refused(|c| c.max_inflight = 0), "broker.max_inflight"),
        (
            refused(|c| {
                c.url = "mqtts://h".into();
                c.ca_file = Some("/ca".into());
                c.cert_file = Some("/cert".into());
            }),
            "broker.key_file",
        ),
    ] {
        assert!(message.starts_with(field), "{message} does not name {field}");
    }
}

#[test]
fn addresses_are_read() {
    let read = |text: &str| text.parse::<BrokerUrl>().map(|url| (url.tls, url.to_string()));
    assert_eq!(read("mqtt://h"), Ok((false, "h:1883".into())));
    assert_eq!(read("mqtts://h/"), Ok((true, "h:8883".into())));
    assert_eq!(read("mqtt://[::1]:99"), Ok((false, "[::1]:99".into())));
    for text in [
        "",
        "mqtt://",
        "mqtt://:1",
        "mqtt://h:0",
        "mqtt://h:70000",
        "mqtt://h:1:2",
        "mqtt://h/x",
        "mqtt://::1",
        "mqtt://[::1",
        "mqtt://[zz]:1",
        "mqtt://a b",
        "mqtts://[::1]:99",
    ] {
        assert!(read(text).is_err(), "{text:?} was taken for an address");
    }
}

#[test]
fn a_password_does_not_show() {
    let mut config = good();
    config.username = Some("u".into());
    config.password = Some(Secret::new("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}
