use super::*;

#[test]
fn the_boot_loader_names_slot_and_disk() {
    let line = "ro skerry.slot=b skerry.data=5b3e8c1a-0f4d console=ttyS0";
    assert_eq!(word(line, "skerry.slot="), Some("b"));
    assert_eq!(word(line, "skerry.data="), Some("5b3e8c1a-0f4d"));
    assert_eq!(word("ro quiet", "skerry.slot="), None);
    assert_eq!(word("skerry.slot=", "skerry.slot="), None);
}
