use jiff::Timestamp;

use super::*;

#[test]
fn a_zone_is_what_its_file_says() {
    let zone = find("Europe/Oslo").expect("this machine has tzdata: apt-get install tzdata");
    let summer: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
    let winter: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(zone.to_offset(summer).seconds(), 2 * 3600);
    assert_eq!(zone.to_offset(winter).seconds(), 3600);
    assert_eq!(find("UTC"), Some(TimeZone::UTC));
}

#[test]
fn no_name_leads_out_of_the_folder_and_no_other_file_is_a_zone() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("zones");
    std::fs::create_dir(&inside).unwrap();
    let oslo = std::fs::read("/usr/share/zoneinfo/Europe/Oslo").unwrap();
    std::fs::write(folder.path().join("outside"), &oslo).unwrap();
    std::fs::write(inside.join("Known"), &oslo).unwrap();
    std::fs::write(inside.join("Broken"), &oslo[..oslo.len() / 2]).unwrap();
    std::fs::write(inside.join("Text"), "no zone").unwrap();
    assert!(read(&inside, "Known").is_some());
    for name in ["../outside", "a/../../outside", "/outside", "", ".", "Broken", "Text", "Absent"] {
        assert!(read(&inside, name).is_none(), "{name}");
    }
}
