use super::*;
use crate::init::{InitArgs, make};
use crate::workspace::Overrides;
use skerry_core::document::ApiVersion;
use skerry_core::trust::{Clock, Repositories};
use std::path::Path;

fn workspace(folder: &Path) -> Workspace {
    make(&folder.join("fleet"), &Overrides::default(), &InitArgs::plain()).unwrap()
}

fn node(name: &str) -> Address {
    Address::Node(name.parse().unwrap())
}

fn put(workspace: &Workspace, address: &Address, version: u64) {
    let document = Document {
        api_version: ApiVersion::V1,
        version,
        audience: address.clone(),
        configs: Default::default(),
        agents: Vec::new(),
    };
    workspace.put_document(address, &serde_json::to_string(&document).unwrap()).unwrap();
}

#[test]
fn a_node_that_has_the_root_takes_every_bundle_of_one_release_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path());
    let now = Timestamp::now();
    let group = Address::Group("cellar".parse().unwrap());
    let root = std::fs::read_to_string(workspace.root_path()).unwrap();
    let mut trust: Repositories = Roots::parse(&root).unwrap().into();
    let asking =
        Audience { node: "box-1".parse().unwrap(), groups: vec!["cellar".parse().unwrap()] };
    for release in 1..4 {
        put(&workspace, &node("box-1"), release);
        put(&workspace, &group, 7);
        assert_eq!(next(&workspace, now).unwrap(), release);
        for address in [&node("box-1"), &group] {
            let ready = bundle(&workspace, address, now).unwrap();
            assert_eq!(ready.release, release);
            let clock = Clock { now, floor: now };
            let outcome = bundle::verify(&trust, &ready.bytes, &asking, clock.into());
            assert_eq!(outcome.result.unwrap().document.proof().digest, ready.digest);
            trust = outcome.trust;
        }
    }
}

#[test]
fn expiry_is_found_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path());
    put(&workspace, &node("box-1"), 1);
    let now = Timestamp::now();
    next(&workspace, now).unwrap();
    let day = 24 * 3600;
    let later = now.checked_add(SignedDuration::from_secs(29 * day)).unwrap();
    assert!(bundle(&workspace, &node("box-1"), later).is_ok());
    let later = now.checked_add(SignedDuration::from_secs(31 * day)).unwrap();
    let error = bundle(&workspace, &node("box-1"), later).unwrap_err().to_string();
    assert!(error.contains("timestamp") && error.contains("expired"), "{error}");
    next(&workspace, later).unwrap();
    assert!(bundle(&workspace, &node("box-1"), later).is_ok(), "signed anew, it holds again");
}

#[test]
fn what_was_never_signed_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path());
    let error = bundle(&workspace, &node("box-9"), Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("skerry-fleet sign -f agents.yaml --node box-9"), "{error}");
}
