//! Searches through delegations, and the lies that delegated roles may tell.

use super::repository::*;
use super::server::*;
use crate::bundle::{Address, Audience, Bundle, verify};
use crate::trust::metadata::RoleKeys;
use crate::trust::sign::SignedRelease;
use crate::trust::{DelegationFault, KeysFault, Role, Roots, TrustError};

const WANTED: &str = "a/file";

fn refused(server: &Server) -> TrustError {
    server.node().find(server, WANTED).unwrap_err()
}

/// The delegated roles that were asked, in order.
fn asked(node: &Node) -> Vec<String> {
    let files = node.asked.iter().filter_map(|name| name.strip_suffix(".json")?.split_once('.'));
    let top = ["root", "snapshot", "targets"];
    files.map(|(_, role)| role.to_owned()).filter(|role| !top.contains(&role.as_str())).collect()
}

#[test]
fn roles_are_asked_in_pre_order_and_each_once() {
    let mut server = Server::new();
    for (parent, role) in [("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D"), ("B", "C")] {
        server.delegate(parent, role, &["*/*"]);
    }
    server.delegate("D", "A", &["*/*"]);
    server.delegate("targets", "E", &["*.py"]);
    server.advance();
    let mut node = server.node();
    let error = node.find(&server, WANTED).unwrap_err();
    assert!(matches!(error, TrustError::NotListed { .. }), "{error}");
    assert_eq!(asked(&node), ["A", "C", "D", "B"]);
    // What was kept is not fetched again.
    node.find(&server, WANTED).unwrap_err();
    assert!(asked(&node).is_empty(), "{:?}", node.asked);
}

#[test]
fn the_first_role_that_lists_a_path_speaks_for_it() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["*/*"]);
    server.delegate("targets", "B", &["*/*"]);
    server.list_target("A", WANTED, b"of A");
    server.list_target("B", WANTED, b"of B");
    server.advance();
    let mut node = server.node();
    let found = node.find(&server, WANTED).unwrap();
    assert_eq!(found.role(), "A");
    assert!(found.check(b"of A").is_ok() && found.check(b"of B").is_err());
    assert_eq!(asked(&node), ["A"], "lazily: B is never asked");
    let verified = found.verify(b"of A").unwrap();
    assert_eq!(verified.proof().targets_version, 1);
    assert_eq!(verified.proof().signed_by.len(), 1);
}

#[test]
fn a_terminating_delegation_is_not_bypassed() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["*/*"]);
    server.delegate("A", "C", &["*/*"]).terminating = true;
    server.delegate("A", "D", &["*/*"]);
    server.delegate("targets", "B", &["*/*"]);
    server.list_target("D", WANTED, b"of D");
    server.list_target("B", WANTED, b"of B");
    server.advance();
    let mut node = server.node();
    let error = node.find(&server, WANTED).unwrap_err();
    assert!(matches!(error, TrustError::NotListed { .. }), "{error}");
    assert_eq!(asked(&node), ["A", "C"]);
}

#[test]
fn a_terminating_delegation_that_was_asked_before_ends_the_search_all_the_same() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["*/*"]);
    server.delegate("targets", "B", &["*/*"]);
    server.delegate("B", "A", &["*/*"]).terminating = true;
    server.delegate("targets", "C", &["*/*"]);
    server.list_target("C", WANTED, b"of C");
    server.advance();
    let mut node = server.node();
    assert!(node.find(&server, WANTED).is_err());
    assert_eq!(asked(&node), ["A", "B"]);
}

#[test]
fn a_role_speaks_for_no_path_that_it_was_not_given() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["b/*", "a/*/*", "*"]);
    let by_hash = server.delegate("targets", "B", &[]);
    by_hash.paths = None;
    // No SHA-256 begins with this many zeros by chance.
    by_hash.path_hash_prefixes = Some(vec!["0".repeat(64)]);
    for role in ["A", "B"] {
        server.list_target(role, WANTED, b"a lie");
    }
    server.advance();
    let mut node = server.node();
    assert!(matches!(node.find(&server, WANTED), Err(TrustError::NotListed { .. })));
    assert!(asked(&node).is_empty());
}

#[test]
fn a_role_is_found_by_the_hash_of_the_path() {
    use sha2::Digest as _;
    let hash = hex::encode(sha2::Sha256::digest(WANTED));
    let mut server = Server::new();
    let by_hash = server.delegate("targets", "B", &[]);
    by_hash.paths = None;
    by_hash.path_hash_prefixes = Some(vec!["ffffffff".to_owned(), hash[..8].to_owned()]);
    server.list_target("B", WANTED, b"found");
    server.advance();
    assert_eq!(server.node().find(&server, WANTED).unwrap().role(), "B");
}

#[test]
fn delegation_loops_end() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["*/*"]);
    server.delegate("A", "B", &["*/*"]);
    server.delegate("B", "A", &["*/*"]);
    server.delegate("B", "B", &["*/*"]);
    server.advance();
    let mut node = server.node();
    assert!(node.find(&server, WANTED).is_err());
    assert_eq!(asked(&node), ["A", "B"]);
}

#[test]
fn a_role_that_waits_is_not_asked_again_when_another_led_to_it_first() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["*/*"]);
    server.delegate("targets", "C", &["*/*"]);
    server.delegate("A", "C", &["*/*"]);
    server.advance();
    let mut node = server.node();
    let error = node.find(&server, WANTED).unwrap_err();
    assert!(matches!(error, TrustError::NotListed { .. }), "{error}");
    assert_eq!(asked(&node), ["A", "C"]);
    let mut client = node.client(&server);
    client.find(WANTED).unwrap();
    let mut visits = 0;
    while let crate::trust::client::Next::Want(want) = client.next() {
        visits += 1;
        client.give(crate::trust::client::Answer::File(&node.kept[&want.file])).unwrap();
    }
    assert_eq!(visits, 2, "each role once");
}

#[test]
fn a_search_asks_32_delegated_roles_and_no_more() {
    for (depth, found) in [(31, true), (32, false)] {
        let mut server = Server::new();
        let mut parent = "targets".to_owned();
        for number in 0..=depth {
            let role = format!("role{number}");
            server.delegate(&parent, &role, &["*/*"]);
            parent = role;
        }
        server.list_target(&parent, WANTED, b"deep");
        server.advance();
        let mut node = server.node();
        let result = node.find(&server, WANTED);
        assert_eq!(asked(&node).len(), 32);
        match result {
            Ok(_) => assert!(found),
            Err(why) => assert!(!found && matches!(why, TrustError::TooManyDelegations { .. })),
        }
    }
}

#[test]
fn a_wide_file_of_delegations_is_asked_32_times_and_no_more() {
    let mut server = Server::new();
    for number in 0..60 {
        server.delegate("targets", &format!("role{number}"), &["*/*"]);
    }
    server.list_target("role59", WANTED, b"far");
    server.advance();
    let mut node = server.node();
    let error = node.find(&server, WANTED).unwrap_err();
    assert!(matches!(error, TrustError::TooManyDelegations { limit: 32, .. }), "{error}");
    assert_eq!(asked(&node).len(), 32);
}

#[test]
fn a_delegated_file_is_held_to_every_rule() {
    let base = || {
        let mut server = Server::new();
        server.delegate("targets", "A", &["*/*"]);
        server.delegate("targets", "B", &["*/*"]);
        server.list_target("A", WANTED, b"of A");
        server.list_target("B", WANTED, b"of B");
        server.advance();
        server
    };
    assert!(base().node().find(&base(), WANTED).is_ok());
    let why = |server: &Server| match refused(server) {
        TrustError::Delegated { name, source } if name == "A" => *source,
        other => panic!("{other}"),
    };

    let mut expired = base();
    expired.role("A").expires = time("2026-01-02T00:00:00Z");
    expired.advance();
    assert!(matches!(why(&expired), TrustError::Expired { .. }));

    let mut stranger = base();
    stranger.delegated.get_mut("A").unwrap().keys = vec![key(200)];
    stranger.advance();
    assert!(matches!(why(&stranger), TrustError::Threshold { by: Role::Targets, .. }));

    let mut top = base();
    top.delegated.get_mut("A").unwrap().keys = top.repo.targets.keys.clone();
    top.advance();
    assert!(
        matches!(why(&top), TrustError::Threshold { .. }),
        "the delegator's keys are no substitute"
    );

    let mut version = base();
    version.bend("1.A.json", |_| {});
    let other = version.files["1.A.json"].clone();
    version.role("A").version = 2;
    version.advance();
    version.files.insert("2.A.json".to_owned(), other);
    assert!(matches!(why(&version), TrustError::ListedVersion { .. }));

    let mut hash = base();
    hash.hashes = true;
    hash.advance();
    hash.files.get_mut("1.A.json").unwrap().push(b' ');
    assert!(matches!(why(&hash), TrustError::Length { .. }));

    let mut missing = base();
    missing.files.remove("1.A.json");
    assert!(matches!(refused(&missing), TrustError::Missing { .. }), "B must not speak for A");
}

#[test]
fn a_delegated_threshold_counts_distinct_keys() {
    let mut server = Server::new();
    server.delegate("targets", "A", &["*/*"]).threshold = 2;
    server.list_target("A", WANTED, b"of A");
    server.advance();
    assert!(matches!(refused(&server), TrustError::Delegated { .. }));
    let second = key(150);
    let public = crate::trust::PublicKey::of(&second);
    let delegations = server.delegations("targets");
    delegations.keys.insert(public.id(), public.to_metadata());
    delegations.roles[0].keyids.push(public.id());
    server.delegated.get_mut("A").unwrap().keys.push(second);
    server.advance();
    assert!(server.node().find(&server, WANTED).is_ok());
}

#[test]
fn names_that_would_take_the_place_of_a_trusted_file_are_refused() {
    for name in ["root", "timestamp", "snapshot", "targets", ""] {
        let mut server = Server::new();
        server.delegate("targets", "A", &["*/*"]).name = name.to_owned();
        server.advance();
        let mut node = server.node();
        let error = node.update(&server).unwrap_err();
        let fault = DelegationFault::Name;
        assert!(matches!(error, TrustError::Delegation { fault: f, .. } if f == fault), "'{name}'");
    }
}

#[test]
fn names_cannot_leave_the_folder_they_are_kept_in() {
    for (name, file) in [
        ("../delegated", "..%2Fdelegated.json"),
        ("/etc/passwd", "%2Fetc%2Fpasswd.json"),
        ("?", "%3F.json"),
        ("a b", "a%20b.json"),
        ("%2F", "%252F.json"),
    ] {
        let mut server = Server::new();
        server.delegate("targets", name, &["*/*"]);
        server.list_target(name, WANTED, b"x");
        server.advance();
        let mut node = server.node();
        node.find(&server, WANTED).unwrap();
        assert!(node.kept.contains_key(file), "{:?}", node.kept.keys());
    }
}

#[test]
fn delegations_that_cannot_be_followed_are_refused() {
    let fault = |change: &dyn Fn(&mut Server)| {
        let mut server = Server::new();
        server.delegate("targets", "A", &["*/*"]);
        change(&mut server);
        server.advance();
        match server.node().update(&server).unwrap_err() {
            TrustError::Delegation { fault, .. } => fault,
            other => panic!("{other}"),
        }
    };
    let first = |server: &mut Server| server.delegations("targets").roles[0].clone();
    let both = fault(&|server| {
        server.delegations("targets").roles[0].path_hash_prefixes = Some(Vec::new());
    });
    assert_eq!(both, DelegationFault::Paths);
    assert_eq!(fault(&|s| s.delegations("targets").roles[0].paths = None), DelegationFault::Paths);
    let twice = fault(&|server| {
        let again = first(server);
        server.delegations("targets").roles.push(again);
    });
    assert_eq!(twice, DelegationFault::Twice);
    let zero = fault(&|server| server.delegations("targets").roles[0].threshold = 0);
    assert_eq!(zero, DelegationFault::Keys(KeysFault::ZeroThreshold));
    let listed_twice = fault(&|server| {
        let RoleKeys { keyids, .. } = RoleKeys { keyids: first(server).keyids, threshold: 1 };
        server.delegations("targets").roles[0].keyids.extend(keyids);
    });
    assert!(matches!(listed_twice, DelegationFault::Keys(KeysFault::DuplicateKeyId(_))));
    let weak = fault(&|server| {
        let id = first(server).keyids[0].clone();
        let key = server.delegations("targets").keys.get_mut(&id).unwrap();
        key.keyval.insert("public".to_owned(), format!("01{}", "00".repeat(31)).into());
    });
    assert!(matches!(weak, DelegationFault::Keys(KeysFault::Key(_))));
}

#[test]
fn a_bundle_may_carry_the_roles_on_the_way_to_its_document() {
    let mut server = Server::new();
    server.targets.targets.clear();
    server.delegate("targets", "boxes", &["nodes/*/*"]);
    server.list_target("boxes", PATH, DOCUMENT.as_bytes());
    server.advance();
    let text = |name: &str| String::from_utf8(server.files[name].clone()).unwrap();
    let release = SignedRelease {
        timestamp: text("timestamp.json"),
        snapshot: text("2.snapshot.json"),
        targets: text("2.targets.json"),
    };
    let node: crate::ids::NodeName = "box-17".parse().unwrap();
    let audience = Audience { node: node.clone(), groups: Vec::new() };
    let (address, images) = (Address::Node(node), Repository::of_images(Vec::new()));
    let mut bundle = Bundle::new(vec![], release, images.images(), &address, DOCUMENT.to_owned());
    let store = Roots::new(text("1.root.json"), images.root_file()).into();
    let verify = |bundle: &Bundle| {
        verify(&store, &bundle.to_bytes().unwrap(), &audience, now().into()).result
    };
    let refused = verify(&bundle).unwrap_err();
    assert!(refused.to_string().contains("'boxes', whose file did not come along"), "{refused}");
    bundle.director.metadata.delegated.insert("boxes".to_owned(), text("1.boxes.json"));
    let accepted = verify(&bundle).unwrap();
    assert_eq!(accepted.document.value(), DOCUMENT.as_bytes());
}
