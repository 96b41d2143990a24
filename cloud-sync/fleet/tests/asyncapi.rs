//! `cloud-sync/asyncapi.yaml` against the code: its topics, and what must be in its messages.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use skerry_core::audit::Head;
use skerry_core::bundle::{Address, Bundle, FORMAT, Images};
use skerry_core::report::{
    Host, Presence, REFUSED_MAX, Report, TimeSource, TimeState, TrustState, TrustedFiles,
};
use skerry_core::trust::detached::seal;
use skerry_core::trust::enrolment::Enrolment;
use skerry_core::trust::sign::{SignedRelease, SigningKey};
use skerry_core::trust::signed_time::{Question, answer};
use skerry_core::trust::{Freshness, PublicKey};
use skerry_sync::{Down, Topic, Up};

fn described() -> Value {
    serde_saphyr::from_str(include_str!("../../asyncapi.yaml")).unwrap()
}

/// Everything that is required is there, and everything that is there is described.
fn check(api: &Value, schema: &str, value: &Value) {
    let schema = &api["components"]["schemas"][schema];
    let known: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    let said: BTreeSet<_> = value.as_object().unwrap().keys().collect();
    assert!(said.is_subset(&known), "{said:?} are said, {known:?} are described");
    for required in schema["required"].as_array().unwrap() {
        assert!(said.contains(&required.as_str().unwrap().to_owned()), "{required} is not said");
    }
}

#[test]
fn every_topic_is_one_of_ours_and_everything_a_node_does_today_is_described() {
    let api = described();
    let mut found = BTreeMap::new();
    for (name, channel) in api["channels"].as_object().unwrap() {
        let address = channel["address"].as_str().unwrap();
        let topic = address.replace("{tenant}", "t").replace("{node}", "n").replace("{group}", "g");
        let parsed: Topic = topic.parse().unwrap();
        assert_eq!(parsed.to_string(), topic);
        found.insert(name.as_str(), parsed);
    }
    assert_eq!(found.len(), 6);
    assert!(matches!(&found["clock"], Topic::Up(_, Up::Clock)));
    assert!(matches!(&found["time"], Topic::Down(_, Down::Time)));
    let node = |up| matches!(&found[up], Topic::Up(_, Up::Report | Up::Status));
    assert!(node("report") && node("status"));
    assert!(matches!(&found["desired"], Topic::Down(..)));
    assert!(matches!(&found["groupDesired"], Topic::Group { .. }));
}

#[test]
fn messages_are_as_described() {
    let api = described();
    let node: skerry_core::ids::NodeName = "n".parse().unwrap();
    let floor = jiff::Timestamp::UNIX_EPOCH;
    let files = Some(TrustedFiles { root: 1, timestamp: Some(1), expires: floor });
    let (freshness, source) = (Freshness::Unproven, TimeSource::Clock);
    let trust =
        TrustState { time: TimeState { freshness, source, floor }, director: files, images: files };
    let report = Report {
        node: node.clone(),
        public_key: PublicKey::of(&SigningKey::from_bytes(&[1; 32])),
        counter: 1,
        at_ms: 0,
        boot_id: String::new(),
        document: None,
        refused: Vec::new(),
        agents: BTreeMap::new(),
        clashes: Vec::new(),
        troubles: Vec::new(),
        trust: Some(trust),
        audit: Some(Head::start()),
        enrolment: Some(Enrolment { certificate: String::new(), proof: "0".repeat(128) }),
        host: Host::default(),
    };
    let refused = &api["components"]["schemas"]["report"]["properties"]["refused"];
    assert_eq!(refused["maxItems"], json!(REFUSED_MAX));
    check(&api, "report", &serde_json::to_value(&report).unwrap());
    let presence = Presence { node: node.clone(), online: true, boot_id: String::new() };
    check(&api, "presence", &serde_json::to_value(presence).unwrap());
    let sealed = seal(&SigningKey::from_bytes(&[1; 32]), "{}").unwrap();
    check(&api, "envelope", &serde_json::from_slice(&sealed).unwrap());

    let question = Question { nonce: "0".repeat(32) };
    check(&api, "question", &serde_json::to_value(&question).unwrap());
    let key = SigningKey::from_bytes(&[1; 32]);
    let answer = answer(&question.nonce, jiff::Timestamp::UNIX_EPOCH, &[&key]).unwrap();
    check(&api, "answer", &serde_json::from_slice(&answer).unwrap());

    let [timestamp, snapshot, targets] = [const { String::new() }; 3];
    let release = SignedRelease { timestamp, snapshot, targets };
    let images = Images::new(Vec::new(), release.clone());
    let bundle = Bundle::new(Vec::new(), release, images, &Address::Node(node), String::new());
    let bundle = serde_json::to_value(bundle).unwrap();
    check(&api, "bundle", &bundle);
    assert_eq!(api["components"]["schemas"]["bundle"]["properties"]["format"]["const"], FORMAT);
}
