//! Brokers that die and processes that are killed: what was promised arrives all the same.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use skerry_sync::config::Span;
use skerry_sync::reason::Kind;
use skerry_sync::{Down, LinkState, MemoryStore, Outgoing, Up};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::broker::{Mosquitto, free_port};
use crate::parts::{FileStore, Operator, PATIENCE, config, down, run, up};

fn event(text: String) -> Outgoing {
    Outgoing::new(Up::Event, text)
}

#[tokio::test]
async fn without_a_broker_nothing_waits() {
    let session =
        run(&config(&format!("mqtt://127.0.0.1:{}", free_port())), MemoryStore::default());
    let reason = session.offline().await;
    assert_eq!(reason.kind(), Kind::Refused);
    assert!(reason.to_string().starts_with("connection refused by 127.0.0.1:"), "{reason}");
    assert!(session.link.send(event("x".into())).await.unwrap().durable);
    session.link.close(Some("bye".into())).await;
    session.task.await.unwrap();
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let session = run(&config("mqtt://no-such-host.invalid"), MemoryStore::default());
    let reason = session.offline().await;
    assert!(reason.to_string().contains("no-such-host.invalid"), "{reason}");
}

#[tokio::test]
async fn a_broker_that_forgets_everything_gets_everything() {
    let mut broker = Mosquitto::open();
    let config = config(&broker.url());
    let mut session = run(&config, MemoryStore::default());
    let mut heard = BTreeSet::new();
    for round in 0..3 {
        let mut operator = Operator::listening(&config).await;
        assert!(!session.connected().await, "the broker forgot nothing");
        operator.publish(&down(Down::Desired), &format!("document {round}"), true).await;
        let document = session.next().await;
        assert_eq!(document.payload, format!("document {round}"), "not subscribed again");
        document.ack.give();
        for number in 0..200 {
            session.link.send(event(format!("{round}/{number}"))).await.unwrap();
        }
        while heard.len() < round * 200 + 50 {
            heard.insert(operator.next_event().await);
        }
        // Some are at the broker, some are under way, some have not been sent.
        broker.kill();
        while let Ok(message) = operator.messages.try_recv() {
            heard.insert(String::from_utf8(message.payload.to_vec()).unwrap());
        }
        session.until("offline", |s| !matches!(s, LinkState::Connected { .. })).await;
        broker.restart();
    }
    session.connected().await;
    session.drained().await;
    let stats = session.link.stats().borrow().clone();
    assert_eq!(stats.delivered, 600, "{stats:?}");
    assert_eq!(stats.losses, Default::default());
}

/// The process that the next test kills; alone it does nothing.
#[tokio::test]
#[ignore = "another test runs this as its own process"]
async fn child_that_sends_until_it_is_killed() {
    let Ok(url) = std::env::var("SKERRY_SYNC_TEST_URL") else { return };
    let folder = std::env::var("SKERRY_SYNC_TEST_FOLDER").unwrap();
    let session = run(&config(&url), FileStore::new(folder.as_ref()));
    let begin: u64 = std::env::var("SKERRY_SYNC_TEST_BEGIN").unwrap().parse().unwrap();
    for number in begin.. {
        if session.link.send(event(number.to_string())).await.is_ok() {
            println!("\npromised {number}");
        }
    }
}

#[tokio::test]
async fn what_a_killed_process_promised_arrives() {
    let broker = Mosquitto::open();
    let config = config(&broker.url());
    let mut operator = Operator::listening(&config).await;
    let folder = tempfile::tempdir().unwrap();
    let mut promised = BTreeSet::new();
    for round in 0_u64..10 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--nocapture", "--exact"])
            .arg("outage::child_that_sends_until_it_is_killed")
            .env("SKERRY_SYNC_TEST_URL", broker.url())
            .env("SKERRY_SYNC_TEST_FOLDER", folder.path())
            .env("SKERRY_SYNC_TEST_BEGIN", (round * 100_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut numbers = lines.filter_map(|line| Some(line.strip_prefix("promised ")?.to_owned()));
        promised.extend(numbers.by_ref().take(20 + 7 * usize::try_from(round).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        promised.extend(numbers);
    }
    assert!(promised.len() >= 500);
    let session = run(&config, FileStore::new(folder.path()));
    session.drained().await;
    session.link.send(event("end".into())).await.unwrap();
    let mut heard = BTreeSet::new();
    while !heard.contains("end") {
        heard.insert(operator.next_event().await);
    }
    let lost: Vec<_> = promised.difference(&heard).collect();
    assert!(lost.is_empty(), "promised, and lost: {lost:?}");
}

#[tokio::test]
async fn a_broker_that_acknowledges_nothing_is_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let mut config = config(&url);
    config.ack_timeout = Span::from_millis(300);
    let connections = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            assert!(socket.read(&mut bytes).await.unwrap() > 0);
            // CONNACK: accepted, no session, no properties. And not a word more.
            socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
            while socket.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        }
    });
    let session = run(&config, MemoryStore::default());
    let reason = session.offline().await;
    assert_eq!(reason.kind(), Kind::NoAnswer, "{reason}");
    tokio::time::timeout(PATIENCE, connections).await.expect("it did not come again").unwrap();
}

#[tokio::test]
async fn a_hostile_broker_is_left_and_ends_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let answers: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        // No CONNACK, but a publish.
        &[0x30, 5, 0, 1, b'a', 0, b'x'],
        // CONNACK, then a length that never ends.
        &[0x20, 3, 0, 0, 0, 0x30, 0xff, 0xff, 0xff, 0xff, 0xff],
        // CONNACK, then an acknowledgement of nothing.
        &[0x20, 3, 0, 0, 0, 0x40, 2, 0x12, 0x34],
        // CONNACK, then a message under a topic alias.
        &[0x20, 3, 0, 0, 0, 0x30, 7, 0, 0, 3, 0x23, 0, 1, b'x'],
    ];
    let connections = tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            assert!(socket.read(&mut bytes).await.unwrap() > 0);
            socket.write_all(answer).await.unwrap();
            while socket.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        }
    });
    let session = run(&config(&url), MemoryStore::default());
    let all = tokio::time::timeout(PATIENCE, connections).await;
    all.expect("it did not come again").unwrap();
    assert!(session.link.send(event("still here".into())).await.unwrap().durable);
}

#[tokio::test]
async fn a_farewell_is_the_last_word() {
    let broker = Mosquitto::open();
    let config = config(&broker.url());
    let session = run(&config, MemoryStore::default());
    session.connected().await;
    session.link.send(event("before".into())).await.unwrap();
    session.link.close(Some("stopped".into())).await;
    tokio::time::timeout(Duration::from_secs(5), session.task).await.unwrap().unwrap();
    let mut operator = Operator::listening(&config).await;
    let status = operator.next().await;
    assert_eq!((status.topic, &status.payload[..]), (up(Up::Status), &b"stopped"[..]));
}
