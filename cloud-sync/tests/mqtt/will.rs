//! A node that vanishes is seen to have vanished.

use std::process::{Command, Stdio};

use skerry_sync::{MemoryStore, Up};

use crate::broker::Mosquitto;
use crate::parts::{Operator, config, run, up};

/// The process that the next test kills; alone it does nothing.
#[tokio::test]
#[ignore = "another test runs this as its own process"]
async fn child_that_lives_until_it_is_killed() {
    let Ok(url) = std::env::var("SKERRY_SYNC_TEST_URL") else { return };
    let session = run(&config(&url), MemoryStore::default());
    session.task.await.unwrap();
}

#[tokio::test]
async fn the_last_will_of_a_killed_node_is_kept() {
    let broker = Mosquitto::open();
    let config = config(&broker.url());
    let mut operator = Operator::listening(&config).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "will::child_that_lives_until_it_is_killed"])
        .env("SKERRY_SYNC_TEST_URL", broker.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let birth = operator.next().await;
    assert_eq!((birth.topic, &birth.payload[..]), (up(Up::Status), &b"here"[..]));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(&operator.next().await.payload[..], b"lost");
    let mut later = Operator::listening(&config).await;
    let kept = later.next().await;
    assert_eq!((&kept.payload[..], kept.retained), (&b"lost"[..], true));
    let session = run(&config, MemoryStore::default());
    session.connected().await;
    assert_eq!(&operator.next().await.payload[..], b"here", "not born again");
}
