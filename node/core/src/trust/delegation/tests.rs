//! Which paths fall under which patterns, hashes and bins.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn patterns_stay_within_one_folder() {
    let table = [
        ("*.tgz", "foo.tgz", true),
        ("*.tgz", "targets/foo.tgz", false),
        ("targets/*.tgz", "targets/foo.tgz", true),
        ("targets/*.tgz", "targets/a/foo.tgz", false),
        ("foo-version-?.tgz", "foo-version-2.tgz", true),
        ("foo-version-?.tgz", "foo-version-22.tgz", false),
        ("*", "", true),
        ("*", "a/b", false),
        ("**", "a/b", false),
        ("a*b*c", "aXbXbXc", true),
        ("a*b*c", "aXbXbX", false),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[]]x", "]x", true),
        ("[x", "[x", true),
        ("[a/b]", "a", false),
        ("?", "ü", true),
        ("A", "a", false),
    ];
    for (pattern, path, wanted) in table {
        assert_eq!(matches(pattern, path), wanted, "{pattern} on {path}");
    }
}

#[test]
fn a_pattern_of_many_stars_takes_no_long_time() {
    let pattern = "*a".repeat(2_000);
    let path = "a".repeat(1_999) + &"b".repeat(2_000);
    assert!(!matches(&pattern, &path));
}

proptest! {
    #[test]
    fn every_path_is_under_its_own_name_and_no_pattern_fails(path in ".{0,20}", pattern in ".{0,20}") {
        let _ = matches(&pattern, &path);
        let plain: String = path.chars().filter(|c| !"*?[]".contains(*c)).collect();
        prop_assert!(matches(&plain, &plain));
    }
}

fn delegations(value: serde_json::Value) -> Delegations {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_path_falls_into_the_role_of_its_hash_and_into_one_bin() {
    let path = "nodes/box-17/desired.json";
    let hash = hex::encode(Sha256::digest(path));
    let (right, wrong) = (&hash[..3], if hash.starts_with('0') { "1" } else { "0" });
    let names = |prefixes: &[&str]| {
        let all = delegations(json!({"keys": {}, "roles": [{
            "name": "hashed", "keyids": [], "threshold": 1, "terminating": false,
            "path_hash_prefixes": prefixes
        }]}));
        all.of_path(path).count()
    };
    assert_eq!(names(&[wrong, right]), 1);
    assert_eq!(names(&[wrong]), 0);
    assert_eq!(names(&[]), 0);

    let bins = delegations(json!({"keys": {}, "succinct_roles": {
        "keyids": [], "threshold": 1, "bit_length": 10, "name_prefix": "bin"
    }}));
    let chosen: Vec<_> = bins.of_path(path).map(|role| (role.name, role.terminating)).collect();
    let number = u32::from_str_radix(&hash[..4], 16).unwrap() >> 6;
    assert_eq!(chosen, [(Cow::Owned(format!("bin-{number:03x}")), true)]);
}
