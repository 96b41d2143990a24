use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::canonical;

fn text(value: &Value) -> String {
    String::from_utf8(canonical(value).unwrap()).unwrap()
}

#[test]
fn members_are_sorted_and_only_two_characters_escaped() {
    let value = json!({"b": [1, -2, null], "a": {"y": true, "x": "line\n \"q\" \\ é"}});
    assert_eq!(
        text(&value),
        "{\"a\":{\"x\":\"line\n \\\"q\\\" \\\\ é\",\"y\":true},\"b\":[1,-2,null]}"
    );
    assert_eq!(text(&json!(u64::MAX)), "18446744073709551615");
    assert_eq!(text(&json!(i64::MIN)), "-9223372036854775808");
}

#[test]
fn a_name_comes_before_its_continuations() {
    // Sorting the quoted names would put "a!" before "a".
    assert_eq!(text(&json!({"a!": 1, "a": 2, "a b": 3})), "{\"a\":2,\"a b\":3,\"a!\":1}");
}

#[test]
fn fractions_and_exponents_are_refused() {
    for number in ["1.0", "1e3", "-0", "18446744073709551616"] {
        let value: Value = serde_json::from_str(number).unwrap();
        assert!(canonical(&value).is_err(), "{number}");
    }
}

fn plain_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9\\\\\"\n\t\u{1}/]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z0-9_]{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The other implementation sorts and normalises differently outside of these characters.
    #[test]
    fn it_agrees_with_olpc_cjson(value in plain_value()) {
        let mut theirs = Vec::new();
        let formatter = olpc_cjson::CanonicalFormatter::new();
        value
            .serialize(&mut serde_json::Serializer::with_formatter(&mut theirs, formatter))
            .unwrap();
        prop_assert_eq!(canonical(&value).unwrap(), theirs);
    }
}
