use super::*;

#[test]
fn the_boot_loader_names_the_slot() {
    assert_eq!(slot("ro skerry.slot=b console=ttyS0"), "b");
    assert_eq!(slot("ro quiet"), "a");
    assert_eq!(slot("skerry.slot="), "a");
}
