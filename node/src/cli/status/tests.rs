use skerry_core::ids::Digest;
use skerry_core::report::{TimeState, TrustedFiles};

use super::*;
use crate::api::{DocumentInForce, RefusedDocument, Trouble};

#[test]
fn the_text_says_what_is_in_force_and_what_was_refused() {
    let digest = Digest::of(b"x");
    let status = NodeStatus {
        node: "pump-7".into(),
        version: "0.1.0".into(),
        pid: 42,
        public_key: "00ff".into(),
        key_id: "abcd".into(),
        document: Some(DocumentInForce { version: 12, digest, audience: "node 'pump-7'".into() }),
        trust: Some(std::sync::Arc::new(TrustState {
            time: TimeState {
                freshness: Freshness::Unproven,
                source: TimeSource::Clock,
                floor: "2026-11-01T00:00:00Z".parse().unwrap(),
            },
            director: Some(TrustedFiles {
                root: 2,
                timestamp: Some(7),
                expires: "2026-12-01T00:00:00Z".parse().unwrap(),
            }),
            images: None,
        })),
        refused: vec![RefusedDocument {
            digest,
            reason: "version 11 is older than 12".into(),
            at_ms: 1,
            count: 2,
        }],
        link: "connected".into(),
        outbox: 3,
        agents: [("running".to_owned(), 2), ("blocked".to_owned(), 1)].into(),
        cgroup: "hybrid".into(),
        store_notice: None,
        troubles: vec![Trouble {
            kind: "disk-full".into(),
            what: "the disk of /state is full".into(),
            since_ms: 1,
            next: "make room".into(),
        }],
        local_wishes: false,
        down: false,
    };
    let short = digest.short();
    assert_eq!(
        text(&status),
        format!(
            "Node:       pump-7\n\
             Version:    0.1.0, pid 42\n\
             Key id:     abcd\n\
             Public key: 00ff\n\
             Document:   version 12, for node 'pump-7', {short}\n\
             Trust:      director: root 2, release 7, until 2026-12-01T00:00:00Z\n\
             Time:       this device's clock, which is behind what has certainly passed \
             (2026-11-01T00:00:00Z): whether documents are current is unproven; agents are not touched\n\
             Agents:     1 blocked, 2 running\n\
             Link:       connected\n\
             Outbox:     3 waiting\n\
             Cgroups:    hybrid\n\
             Local:      run and apply are not allowed\n\
             Trouble:    the disk of /state is full\n\
             \x20 next:     make room\n\
             Refused:    {short} (2 times): version 11 is older than 12"
        )
    );
}
