use super::*;
use crate::device::Device;

fn settings(hostname: Option<&str>, node: Option<&str>) -> Settings {
    let device = Device { hostname: hostname.map(str::to_owned), ..Device::default() };
    Settings { device, node: node.map(str::to_owned), problems: Vec::new() }
}

fn card(sys: &Path, name: &str, address: &str, kind: &str) {
    let place = sys.join("class/net").join(name);
    fs::create_dir_all(place.join("device")).unwrap();
    fs::write(place.join("address"), format!("{address}\n")).unwrap();
    fs::write(place.join("addr_assign_type"), format!("{kind}\n")).unwrap();
}

#[test]
fn what_a_person_wrote_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, sys) = (folder.path().join("name"), folder.path());
    fs::write(&kept, "skerry-0badcafe\n").unwrap();
    assert_eq!(choose(&settings(Some("Pole-1"), Some("box")), &kept, sys), "pole-1");
    assert_eq!(choose(&settings(None, Some("box")), &kept, sys), "box");
    assert_eq!(choose(&settings(Some("a b"), Some("box")), &kept, sys), "box");
    assert_eq!(choose(&settings(None, None), &kept, sys), "skerry-0badcafe");
}

#[test]
fn a_made_name_is_kept_when_the_card_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, sys) = (folder.path().join("name"), folder.path());
    card(sys, "eth0", "52:54:00:12:34:56", "0");
    card(sys, "eth1", "02:00:00:00:00:01", "1");
    assert!(is_missing(&settings(None, None), &kept));
    let first = choose(&settings(None, None), &kept, sys);
    assert!(first.starts_with("skerry-") && first.len() == 15, "{first}");
    assert!(!is_missing(&settings(None, None), &kept));
    card(sys, "eth0", "52:54:00:99:99:99", "0");
    assert_eq!(choose(&settings(None, None), &kept, sys), first);
}

#[test]
fn two_devices_of_one_maker_differ() {
    let names: Vec<String> = ["52:54:00:12:34:56", "52:54:00:12:34:57"]
        .iter()
        .map(|text| made_of(parse_address(text).unwrap()))
        .collect();
    assert_ne!(names[0], names[1]);
    assert_eq!(parse_address("00:00:00:00:00:00"), None);
    assert_eq!(parse_address("52:54"), None);
}
