use super::*;

fn card(sys: &Path, name: &str, parts: &[&str]) {
    let place = sys.join("class/net").join(name);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("type"), "1\n").unwrap();
    parts.iter().for_each(|part| fs::create_dir_all(place.join(part)).unwrap());
}

#[test]
fn only_wired_cards_are_ours() {
    let sys = tempfile::tempdir().unwrap();
    card(sys.path(), "eth1", &["device"]);
    card(sys.path(), "eth0", &["device"]);
    card(sys.path(), "veth3", &[]);
    card(sys.path(), "wlan0", &["device", "phy80211"]);
    assert_eq!(wired(sys.path()), ["eth0", "eth1"]);
    assert!(!is_wired(sys.path(), "gone"));
}

#[test]
fn a_fixed_address_goes_to_one_interface() {
    let mut network = Network { address: Some("10.0.0.2/24".to_owned()), ..Network::default() };
    assert!(is_fixed("eth0", 0, &network));
    assert!(!is_fixed("eth1", 1, &network));
    network.interface = Some("eth1".to_owned());
    assert!(!is_fixed("eth0", 0, &network));
    assert!(is_fixed("eth1", 1, &network));
    assert!(!is_fixed("eth0", 0, &Network::default()));
    assert!(fixed("eth0", &Network::default()).is_none());
}
