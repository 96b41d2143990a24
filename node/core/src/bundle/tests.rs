use proptest::prelude::*;

use super::*;
use crate::trust::tests::repository::{DOCUMENT, Holding, PATH, Repository, bend, now, time};
use crate::trust::{Freshness, Role, Roots, TrustStore};

fn audience(node: &str) -> Audience {
    Audience { node: node.parse().unwrap(), groups: vec!["boxes".parse().unwrap()] }
}

fn box_17() -> Address {
    Address::Node("box-17".parse().unwrap())
}

fn images() -> &'static Images {
    static IMAGES: std::sync::OnceLock<Images> = std::sync::OnceLock::new();
    IMAGES.get_or_init(|| Repository::of_images(Vec::new()).images())
}

fn bundle_of(repo: &Repository, roots: Vec<String>) -> Bundle {
    Bundle::new(roots, repo.release(), images().clone(), &box_17(), DOCUMENT.to_owned())
}

fn bytes_of(repo: &Repository) -> Vec<u8> {
    bundle_of(repo, vec![repo.root_file()]).to_bytes().unwrap()
}

fn store_of(repo: &Repository) -> Repositories {
    Roots::new(repo.root_file(), Repository::of_images(Vec::new()).root_file()).into()
}

/// As a node does it, with the time that tests are at.
fn verify(trust: &Repositories, bundle: &[u8], audience: &Audience, clock: Clock) -> Outcome {
    super::verify(trust, bundle, audience, clock.into())
}

fn refusal(outcome: Outcome) -> BundleError {
    outcome.result.unwrap_err()
}

#[test]
fn an_honest_bundle_gives_its_document_once_and_again() {
    let repo = Repository::new();
    let first = verify(&store_of(&repo), &bytes_of(&repo), &audience("box-17"), now());
    let document = first.result.unwrap().document;
    assert_eq!(document.value(), DOCUMENT.as_bytes());
    assert_eq!(document.proof().path, "nodes/box-17/desired.json");
    assert_eq!(document.proof().freshness, Freshness::Proven);

    let kept: Repositories =
        serde_json::from_str(&serde_json::to_string(&first.trust).unwrap()).unwrap();
    assert_eq!(kept, first.trust);
    let again = verify(&kept, &bytes_of(&repo), &audience("box-17"), now());
    assert!(again.result.is_ok());
    assert_eq!(again.trust, kept, "the same bundle changes nothing");
}

#[test]
fn the_proof_stays_with_the_parsed_form() {
    let repo = Repository::new();
    let outcome = verify(&store_of(&repo), &bytes_of(&repo), &audience("box-17"), now());
    let document = outcome.result.unwrap().document;
    let parsed =
        document.parse(|bytes| serde_json::from_slice::<serde_json::Value>(bytes)).unwrap();
    assert_eq!(parsed.value()["version"], 1);
    assert_eq!(parsed.proof(), document.proof());
}

#[test]
fn a_bundle_for_another_node_is_refused_by_name() {
    let repo = Repository::new();
    let bundle = Bundle::new(
        Vec::new(),
        repo.release(),
        images().clone(),
        &Address::Node("box-18".parse().unwrap()),
        DOCUMENT.to_owned(),
    );
    let outcome = verify(&store_of(&repo), &bundle.to_bytes().unwrap(), &audience("box-17"), now());
    let error = refusal(outcome);
    assert_eq!(error.to_string(), "this bundle is for node 'box-18', not for node 'box-17'");
    assert_eq!(error.rule(), "audience");
}

#[test]
fn a_document_signed_for_another_node_cannot_be_relabelled() {
    let repo = Repository::new();
    let bundle = Bundle::new(
        Vec::new(),
        repo.release(),
        images().clone(),
        &Address::Node("box-18".parse().unwrap()),
        DOCUMENT.to_owned(),
    );
    let outcome = verify(&store_of(&repo), &bundle.to_bytes().unwrap(), &audience("box-18"), now());
    let error = refusal(outcome);
    let words = "director: targets version 1 does not list 'nodes/box-18/desired.json'";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_bundle_for_a_group_serves_its_members_only() {
    let mut repo = Repository::new();
    let group = Address::Group("boxes".parse().unwrap());
    repo.documents.insert(group.path(), DOCUMENT.as_bytes().to_vec());
    let bundle =
        Bundle::new(Vec::new(), repo.release(), images().clone(), &group, DOCUMENT.to_owned());
    let bytes = bundle.to_bytes().unwrap();
    let outcome = verify(&store_of(&repo), &bytes, &audience("box-17"), now());
    assert_eq!(outcome.result.unwrap().document.proof().path, "groups/boxes/desired.json");
    let loner = Audience { groups: Vec::new(), ..audience("box-17") };
    let error = refusal(verify(&store_of(&repo), &bytes, &loner, now()));
    assert_eq!(error.to_string(), "this bundle is for group 'boxes', not for node 'box-17'");
}

#[test]
fn a_document_tampered_by_one_byte_is_refused() {
    let repo = Repository::new();
    let mut bundle = bundle_of(&repo, Vec::new());
    let changed = DOCUMENT.replace('1', "2");
    bundle.director.targets.insert(PATH.to_owned(), changed);
    let outcome = verify(&store_of(&repo), &bundle.to_bytes().unwrap(), &audience("box-17"), now());
    let error = refusal(outcome);
    assert!(matches!(error, BundleError::Trust { source: TrustError::Hash { .. }, .. }), "{error}");
}

#[test]
fn targets_that_list_another_hash_length_or_no_known_hash_are_refused() {
    let repo = Repository::new();
    let honest = repo.targets_metadata();
    let refused_with = |change: &dyn Fn(&mut crate::trust::metadata::TargetMeta)| {
        let mut targets = honest.clone();
        change(targets.targets.get_mut(PATH).unwrap());
        let file = crate::trust::sign::sign(&targets, &repo.targets.refs()).unwrap();
        let release = repo.release_of(file);
        let bundle =
            Bundle::new(Vec::new(), release, images().clone(), &box_17(), DOCUMENT.to_owned());
        let bytes = bundle.to_bytes().unwrap();
        match refusal(verify(&store_of(&repo), &bytes, &audience("box-17"), now())) {
            BundleError::Trust { source, .. } => source,
            other => panic!("{other}"),
        }
    };
    let sha256 = |meta: &mut crate::trust::metadata::TargetMeta| {
        meta.hashes.insert("sha256".to_owned(), "00".repeat(32));
    };
    assert!(matches!(refused_with(&sha256), TrustError::Hash { algorithm: "sha256", .. }));
    let sha512 = |meta: &mut crate::trust::metadata::TargetMeta| {
        meta.hashes.insert("sha512".to_owned(), "00".repeat(64));
    };
    assert!(matches!(refused_with(&sha512), TrustError::Hash { algorithm: "sha512", .. }));
    assert!(matches!(refused_with(&|meta| meta.length += 1), TrustError::Length { .. }));
    assert!(matches!(refused_with(&|meta| meta.hashes.clear()), TrustError::NoKnownHash { .. }));
}

#[test]
fn a_newer_root_is_kept_even_when_it_has_expired_and_the_bundle_fails() {
    let mut repo = Repository::new();
    let store = store_of(&repo);
    let root = repo.rotate(|repo| repo.root_expires = time("2026-05-01T00:00:00Z"));
    let bytes = bundle_of(&repo, vec![root.clone()]).to_bytes().unwrap();
    let outcome = verify(&store, &bytes, &audience("box-17"), now());
    assert_eq!(outcome.trust.director.root, root);
    let error = refusal(outcome);
    assert!(matches!(
        error,
        BundleError::Trust { source: TrustError::Expired { role: Role::Root, .. }, .. }
    ));
}

#[test]
fn a_bundle_that_takes_the_timestamp_key_away_is_judged_without_what_that_key_signed() {
    let mut repo = Repository::new();
    let trust = store_of(&repo);
    let far = time("2026-12-31T00:00:00Z");
    repo.timestamp_expires = time("2026-07-01T00:00:00Z");
    let floor = Floor::new(time("2026-01-01T00:00:00Z")).with_signed(far, true).with_saved(far);
    let pushed = Now { floor, shown: far, wall: now().now };
    let judge = |repo: &Repository, roots| {
        let bytes = bundle_of(repo, roots).to_bytes().unwrap();
        super::verify(&trust, &bytes, &audience("box-17"), pushed)
    };
    assert_eq!(refusal(judge(&repo, Vec::new())).rule(), "expired");
    let root = repo.rotate(|repo| repo.timestamp = Holding::one(12));
    let outcome = judge(&repo, vec![root]);
    assert_eq!(outcome.floor, Floor::new(floor.built), "nothing of it is left");
    assert_eq!(outcome.result.unwrap().document.proof().freshness, Freshness::Proven);
}

#[test]
fn roots_that_a_node_has_already_are_not_counted_and_too_many_new_ones_come_bundle_by_bundle() {
    let mut repo = Repository::new();
    let trust = store_of(&repo);
    let mut chain = vec![repo.root_file()];
    chain.extend((0..300).map(|_| repo.rotate(|_| ())));
    let bytes = bundle_of(&repo, chain).to_bytes().unwrap();
    let first = verify(&trust, &bytes, &audience("box-17"), now());
    let second = verify(&first.trust, &bytes, &audience("box-17"), now());
    let error = refusal(first);
    assert!(error.to_string().contains("root version 257 is trusted now"), "{error}");
    assert!(second.result.is_ok(), "256 of them are passed over");
    assert!(verify(&second.trust, &bytes, &audience("box-17"), now()).result.is_ok());
}

#[test]
fn what_passed_before_the_refusal_is_kept() {
    let mut repo = Repository::new();
    let before = verify(&store_of(&repo), &bytes_of(&repo), &audience("box-17"), now()).trust;
    repo.advance();
    let mut bundle = bundle_of(&repo, Vec::new());
    bundle.director.metadata.targets.push(' ');
    let outcome = verify(&before, &bundle.to_bytes().unwrap(), &audience("box-17"), now());
    let files = repo.release();
    assert_eq!(outcome.trust.director.timestamp, Some(files.timestamp));
    assert_eq!(outcome.trust.director.snapshot, Some(files.snapshot));
    assert_eq!(outcome.trust.director.targets, before.director.targets);
    assert_eq!(refusal(outcome).rule(), "mismatch");
}

#[test]
fn an_older_bundle_is_refused_after_a_newer_one() {
    let mut repo = Repository::new();
    let older = bytes_of(&repo);
    repo.advance();
    let store = verify(&store_of(&repo), &bytes_of(&repo), &audience("box-17"), now()).trust;
    let outcome = verify(&store, &older, &audience("box-17"), now());
    assert_eq!(outcome.trust, store);
    let words = "director: timestamp version 1 is older than the trusted 2";
    assert_eq!(refusal(outcome).to_string(), words);
}

#[test]
fn a_bundle_has_bounds() {
    let repo = Repository::new();
    let refused =
        |bytes: &[u8]| refusal(verify(&store_of(&repo), bytes, &audience("box-17"), now()));
    assert!(matches!(refused(&vec![b' '; BUNDLE_MAX + 1]), BundleError::TooLarge { .. }));
    let mut two = bundle_of(&repo, Vec::new());
    two.director.targets.insert("nodes/box-18/desired.json".to_owned(), "{}".to_owned());
    let error = refused(&two.to_bytes().unwrap());
    assert!(matches!(error, BundleError::NotOneDocument { actual: 2 }), "{error}");
    two.director.targets.clear();
    let error = refused(&two.to_bytes().unwrap());
    assert!(matches!(error, BundleError::NotOneDocument { actual: 0 }), "{error}");
}

#[test]
fn another_format_is_named_and_unknown_members_are_tolerated() {
    let repo = Repository::new();
    let later = br#"{"format":"skerry-bundle/3","more":[]}"#;
    let error = refusal(verify(&store_of(&repo), later, &audience("box-17"), now()));
    assert!(matches!(&error, BundleError::Format { found } if found == "skerry-bundle/3"));
    let extended = bend(&String::from_utf8(bytes_of(&repo)).unwrap(), |bundle| {
        bundle["archive"] = serde_json::json!([]);
    });
    let outcome = verify(&store_of(&repo), extended.as_bytes(), &audience("box-17"), now());
    assert!(outcome.result.is_ok());
}

#[test]
fn a_path_names_an_address_or_nothing() {
    assert_eq!(Address::of_path(PATH), Some(box_17()));
    for path in ["nodes/../desired.json", "nodes/a/b/desired.json", "x/a/desired.json", ""] {
        assert_eq!(Address::of_path(path), None, "{path}");
    }
}

#[test]
fn a_broken_store_refuses_and_stays_as_it_is() {
    let repo = Repository::new();
    let store = Repositories { director: TrustStore::new("{}".to_owned()), ..store_of(&repo) };
    let outcome = verify(&store, &bytes_of(&repo), &audience("box-17"), now());
    assert_eq!(outcome.trust, store);
    assert!(matches!(
        refusal(outcome),
        BundleError::Kept(RootsError::Root { source: TrustError::Malformed { .. }, .. })
    ));
}

/// Made once: signing is what the tests below would spend their time on.
fn honest() -> &'static (Repositories, Vec<u8>) {
    static HONEST: std::sync::OnceLock<(Repositories, Vec<u8>)> = std::sync::OnceLock::new();
    HONEST.get_or_init(|| {
        let repo = Repository::new();
        (store_of(&repo), bytes_of(&repo))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_flipped_byte_ever_changes_the_document(
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let (store, mut bytes) = honest().clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let outcome = verify(&store, &bytes, &audience("box-17"), now());
        if let Ok(document) = outcome.result {
            prop_assert_eq!(document.document.value(), DOCUMENT.as_bytes());
        }
    }

    #[test]
    fn a_bundle_cut_short_or_made_of_noise_is_refused(
        keep in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let (store, mut bytes) = honest().clone();
        bytes.truncate(keep.index(bytes.len()));
        bytes.extend(noise);
        if bytes != honest().1 {
            let outcome = verify(&store, &bytes, &audience("box-17"), now());
            prop_assert!(outcome.result.is_err());
        }
    }
}
