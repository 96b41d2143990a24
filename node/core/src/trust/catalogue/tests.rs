use super::*;
use crate::trust::sign::sign;
use crate::trust::tests::repository::*;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn open(repo: &Repository) -> Catalogue {
    Catalogue::new(repo.node(), BTreeMap::new(), now()).unwrap()
}

#[test]
fn what_is_listed_is_genuine_and_nothing_else_is() {
    let catalogue = open(&Repository::of_images(vec![digest("a"), digest("b")]));
    assert!(catalogue.check(&digest("a")).is_ok() && catalogue.check(&digest("b")).is_ok());
    let error = catalogue.check(&digest("c")).unwrap_err();
    assert!(matches!(error, TrustError::NotListed { version: 1, .. }), "{error}");
}

#[test]
fn the_hash_counts_and_not_the_path() {
    let repo = Repository::of_images(vec![digest("a"), digest("b")]);
    let mut targets = repo.targets_metadata();
    let other = targets.targets[&image_path(&digest("b"))].clone();
    targets.targets.insert(image_path(&digest("a")), other);
    targets.targets.get_mut(&image_path(&digest("b"))).unwrap().hashes.clear();
    let release = repo.release_of(sign(&targets, &repo.targets.refs()).unwrap());
    let mut set = repo.fresh_node();
    take(&mut set, &release).unwrap();
    let catalogue = Catalogue::new(set, BTreeMap::new(), now()).unwrap();
    assert!(matches!(catalogue.check(&digest("a")), Err(TrustError::Hash { .. })));
    assert!(matches!(catalogue.check(&digest("b")), Err(TrustError::NoKnownHash { .. })));
}

#[test]
fn a_list_that_has_ended_vouches_for_nothing() {
    let repo = Repository::of_images(vec![digest("a")]);
    let late = Clock { now: time("2028-01-01T00:00:00Z"), ..now() };
    let error = Catalogue::new(repo.node(), BTreeMap::new(), late).unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
}
