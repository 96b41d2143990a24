//! What goes up arrives, in the documented order, and survives what it must.

use std::time::Duration;

use skerry_sync::{MemoryStore, Outgoing, Priority, SendError, Up};

use crate::broker::Mosquitto;
use crate::parts::{Operator, config, name, run, up};

fn event(text: &str) -> Outgoing {
    Outgoing::new(Up::Event, text.as_bytes().to_vec())
}

#[tokio::test]
async fn every_kind_of_message_arrives_on_its_topic() {
    let broker = Mosquitto::open();
    let session = run(&config(&broker.url()), MemoryStore::default());
    let mut operator = Operator::listening(&config(&broker.url())).await;
    session.connected().await;
    let birth = operator.next().await;
    assert_eq!((birth.topic, &birth.payload[..]), (up(Up::Status), &b"here"[..]));
    let kinds = [
        Up::Report,
        Up::Event,
        Up::Telemetry { agent: name("cam"), channel: name("frames") },
        Up::Log { agent: name("cam") },
        Up::Reply { id: name("42") },
    ];
    for kind in kinds {
        session.link.send(Outgoing::new(kind.clone(), "x")).await.unwrap();
        assert_eq!(operator.next().await.topic, up(kind));
    }
    session.drained().await;
    assert_eq!(session.link.stats().borrow().delivered, 5);
}

#[tokio::test]
async fn a_retained_report_is_there_for_those_who_come_later() {
    let broker = Mosquitto::open();
    let session = run(&config(&broker.url()), MemoryStore::default());
    let report = |text: &str| Outgoing {
        retain: true,
        latest_wins: true,
        ..Outgoing::new(Up::Report, text.to_owned())
    };
    for text in ["1", "2", "3"] {
        session.link.send(report(text)).await.unwrap();
    }
    session.drained().await;
    let mut operator = Operator::listening(&config(&broker.url())).await;
    let mut seen = [operator.next().await, operator.next().await];
    seen.sort_by_key(|message| message.topic.to_string());
    assert_eq!((&seen[0].payload[..], seen[0].retained), (&b"3"[..], true));
    assert_eq!((&seen[1].payload[..], seen[1].retained), (&b"here"[..], true));
}

#[tokio::test]
async fn what_waited_for_a_broker_comes_in_order_of_priority() {
    let mut broker = Mosquitto::open();
    broker.kill();
    let mut config = config(&broker.url());
    config.outbox_entries = 4;
    let store = MemoryStore::default();
    let session = run(&config, store.clone());
    session.offline().await;
    for (text, priority) in [
        ("low 1", Priority::Low),
        ("normal 1", Priority::Normal),
        ("low 2", Priority::Low),
        ("normal 2", Priority::Normal),
        ("vital", Priority::Vital),
        ("normal 3", Priority::Normal),
    ] {
        let receipt = session.link.send(Outgoing { priority, ..event(text) }).await.unwrap();
        assert!(receipt.durable);
    }
    let low = Outgoing { priority: Priority::Low, ..event("low 3") };
    assert_eq!(session.link.send(low).await, Err(SendError::NoRoom));
    assert_eq!(store.len(), 4);
    assert_eq!(session.link.stats().borrow().losses.evicted, [3, 0, 0, 0]);
    broker.restart();
    // The operator has to be there before the node, or it hears nothing of what is not retained.
    session.abort().await;
    let mut operator = Operator::listening(&config).await;
    let session = run(&config, store.clone());
    for expected in ["vital", "normal 1", "normal 2", "normal 3"] {
        assert_eq!(operator.next_event().await, expected);
    }
    session.drained().await;
    assert!(store.is_empty());
}

#[tokio::test]
async fn the_broker_is_told_when_a_message_expires() {
    let broker = Mosquitto::open();
    let session = run(&config(&broker.url()), MemoryStore::default());
    session.connected().await;
    let short = Outgoing { ttl: Some(Duration::from_secs(1)), retain: true, ..event("short") };
    session.link.send(short).await.unwrap();
    session
        .link
        .send(Outgoing { retain: true, ..Outgoing::new(Up::Report, "long") })
        .await
        .unwrap();
    session.drained().await;
    // Mosquitto forgets an expired message when somebody asks for it.
    let until = tokio::time::Instant::now() + crate::parts::PATIENCE;
    loop {
        let mut operator = Operator::listening(&config(&broker.url())).await;
        let mut seen = Vec::new();
        while seen.last().is_none_or(|text| text != "long") && seen.len() < 3 {
            seen.push(operator.next_event().await);
            if seen.contains(&"long".to_owned()) {
                break;
            }
        }
        if !seen.contains(&"short".to_owned()) {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "it never expired");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_message_larger_than_the_broker_takes_does_not_stop_the_others() {
    let broker = Mosquitto::start("allow_anonymous true\nmax_packet_size 2000\n");
    let session = run(&config(&broker.url()), MemoryStore::default());
    let mut operator = Operator::listening(&config(&broker.url())).await;
    session.link.send(event(&"x".repeat(3000))).await.unwrap();
    session.link.send(event("small")).await.unwrap();
    assert_eq!(operator.next_event().await, "small");
    session.drained().await;
    assert_eq!(session.link.stats().borrow().losses.rejected, [0, 1, 0, 0]);
}

#[tokio::test]
async fn a_message_that_makes_the_broker_hang_up_is_given_up() {
    // Mosquitto answers with a code that PUBACK cannot carry, or hangs up.
    let broker = Mosquitto::start("allow_anonymous true\nmessage_size_limit 1000\n");
    let session = run(&config(&broker.url()), MemoryStore::default());
    let mut operator = Operator::listening(&config(&broker.url())).await;
    session.link.send(event("before")).await.unwrap();
    session.link.send(event(&"x".repeat(3000))).await.unwrap();
    session.link.send(event("after")).await.unwrap();
    let mut heard = vec![operator.next_event().await];
    while heard.last().unwrap() != "after" {
        heard.push(operator.next_event().await);
    }
    heard.dedup();
    assert_eq!(heard, ["before", "after"]);
    session.drained().await;
    assert_eq!(session.link.stats().borrow().losses.rejected, [0, 1, 0, 0]);
}
