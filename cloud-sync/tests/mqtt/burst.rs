//! Twenty thousand messages at once cost no more memory than the outbox may have.

use skerry_sync::{MemoryStore, Outgoing, Up};

use crate::broker::Mosquitto;
use crate::parts::{config, run};

const MESSAGES: usize = 20_000;

/// What this process has in memory, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn event() -> Outgoing {
    Outgoing { durable: false, ..Outgoing::new(Up::Event, vec![7; 1000]) }
}

#[tokio::test]
async fn a_burst_does_not_grow_memory() {
    let mut broker = Mosquitto::open();
    let mut config = config(&broker.url());
    config.outbox_bytes = 2 << 20;
    broker.kill();
    let session = run(&config, MemoryStore::default());
    session.offline().await;
    let before = resident();
    for _ in 0..MESSAGES {
        session.link.send(event()).await.unwrap();
    }
    let kept = session.link.stats().borrow().queued;
    let evicted = session.link.stats().borrow().losses.evicted[1];
    assert_eq!(u64::try_from(MESSAGES - kept).unwrap(), evicted);
    assert!((1800..1900).contains(&kept), "{kept} messages of 1 KiB fill 2 MiB");
    let grown = resident().saturating_sub(before);
    println!("without a broker: {grown} KiB for {kept} messages");
    assert!(grown < 6 * 1024, "{grown} KiB");
    broker.restart();
    session.drained().await;
    for _ in 0..MESSAGES {
        session.link.send(event()).await.unwrap();
        let mut stats = session.link.stats();
        stats.wait_for(|stats| stats.queued < 1000).await.unwrap();
    }
    session.drained().await;
    let stats = session.link.stats().borrow().clone();
    assert_eq!(stats.delivered, u64::try_from(kept + MESSAGES).unwrap());
    let grown = resident().saturating_sub(before);
    println!("with a broker: {grown} KiB after {} messages", stats.delivered);
    assert!(grown < 8 * 1024, "{grown} KiB");
}
