//! Names. What the kernel makes of them is shown in `tests/containers`.

use super::*;
use crate::launch::RLIMITS;

#[test]
fn every_resource_has_its_number() {
    for name in RLIMITS {
        assert!(resource(name).is_some(), "{name}");
    }
}

#[test]
fn a_capability_that_there_is_not_is_named() {
    let refused = capability_set(&["CAP_NET_RAW".to_owned(), "CAP_FLY".to_owned()]).unwrap_err();
    assert_eq!(refused.to_string(), "there is no capability 'CAP_FLY'");
}
