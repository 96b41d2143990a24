use proptest::prelude::*;
use serde_json::{Value, json};

use super::indented;

#[test]
fn it_is_what_the_pretty_printer_writes() {
    let value = json!({
        "empty": {}, "none": [], "text": "a \"quoted\" \\ {[,:]} \u{1}", "end": "\\",
        "list": [1, -2.5, true, null, {"deep": [[], [{}]]}],
    });
    assert_eq!(indented(&value.to_string()), serde_json::to_string_pretty(&value).unwrap());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn for_any_value(value in any_value()) {
        prop_assert_eq!(indented(&value.to_string()), serde_json::to_string_pretty(&value).unwrap());
    }
}
