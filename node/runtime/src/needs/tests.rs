use super::*;

#[test]
fn every_need_has_one_place() {
    let mut sorted = Need::ALL.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), Need::ALL.len());
    assert_eq!(sorted, Need::ALL.to_vec(), "in the order of their declaration");
}
