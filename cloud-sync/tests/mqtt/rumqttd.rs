//! The broker that is embedded in the operator's tool.

use std::collections::HashMap;

use rumqttd::{Broker, Config as BrokerConfig, ConnectionSettings, RouterConfig, ServerSettings};
use skerry_sync::{Down, MemoryStore, Outgoing, Up};

use crate::broker::free_port;
use crate::parts::{Operator, config, down, run, up};

fn broker() -> String {
    let port = free_port();
    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: 16 << 20,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "v5".into(),
        listen: ([127, 0, 0, 1], port).into(),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 100 << 20,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let servers = Some(HashMap::from([("1".to_owned(), server)]));
    let config = BrokerConfig { router, v5: servers, ..BrokerConfig::default() };
    std::thread::spawn(move || Broker::new(config).start().unwrap());
    format!("mqtt://127.0.0.1:{port}")
}

#[tokio::test]
async fn the_embedded_broker_serves_both_sides() {
    let config = config(&broker());
    let mut session = run(&config, MemoryStore::default());
    session.connected().await;
    let mut operator = Operator::listening(&config).await;
    let status = operator.next().await;
    assert_eq!((status.topic, &status.payload[..]), (up(Up::Status), &b"here"[..]));
    operator.publish(&down(Down::Desired), "document", true).await;
    let document = session.next().await;
    assert_eq!((&document.topic, &document.payload[..]), (&Down::Desired, &b"document"[..]));
    document.ack.give();
    for number in 0..100 {
        session.link.send(Outgoing::new(Up::Event, number.to_string())).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(operator.next_event().await, number.to_string());
    }
    session.link.close(Some("stopped".into())).await;
    while operator.next().await.payload != "stopped" {}
    let mut session = run(&config, MemoryStore::default());
    session.connected().await;
    operator.publish(&down(Down::Desired), "newer", true).await;
    while session.next().await.payload != "newer" {}
}
