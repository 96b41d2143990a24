use super::*;

#[test]
fn a_configuration_is_written_as_set() {
    let scratch = Scratch::new();
    let setup = Node::setup_of("/bin/false".into(), &scratch, "box-1")
        .broker("mqtt://127.0.0.1:1")
        .root(Path::new("/keys/root.json"))
        .set("groups", vec!["coast"]);
    let (status, _log) = setup.start_refused();
    assert_eq!(status.code(), Some(1));

    let place = scratch.path().join("box-1");
    let text = fs::read_to_string(place.join("skerry.toml")).expect("a configuration");
    let config: Table = text.parse().expect("TOML");
    assert_eq!(config["node"].as_str(), Some("box-1"));
    assert_eq!(config["state_dir"].as_str(), place.join("state").to_str());
    assert_eq!(config["cgroup"].as_str(), Some(&*format!("{}/box-1", scratch.cgroup())));
    assert_eq!(config["broker"]["url"].as_str(), Some("mqtt://127.0.0.1:1"));
    assert_eq!(config["trust"]["root"].as_str(), Some("/keys/root.json"));
    assert_eq!(config["groups"].as_array().map(Vec::len), Some(1));
}

#[test]
#[should_panic(expected = "node ended at its start")]
fn a_node_that_ends_at_once_is_told() {
    let scratch = Scratch::new();
    let _ = Node::setup_of("/bin/false".into(), &scratch, "box-1").start();
}

#[test]
fn a_node_gets_what_its_broker_asks_for() {
    let scratch = Scratch::new();
    let broker = Mosquitto::start_with(Access::ClientCertificate);
    let setup = Node::setup_of("/bin/false".into(), &scratch, "box-1").connect(&broker);
    let section = setup.config["broker"].as_table().expect("a section");
    for key in ["ca_file", "cert_file", "key_file"] {
        let file = section[key].as_str().expect("a path");
        assert!(Path::new(file).is_file(), "{key}: {file}");
    }
    assert_eq!(section["url"].as_str(), Some(&*broker.url()));
}
