use super::*;

fn name(text: &str) -> String {
    text.parse::<ImageName>().unwrap_or_else(|e| panic!("{e}")).to_string()
}

#[test]
fn a_tag_is_latest_unless_said() {
    assert_eq!(name("sensor"), "sensor:latest");
    assert_eq!(name("localhost:5000/sensor"), "localhost:5000/sensor:latest");
    assert_eq!(name("localhost:5000/sensor:1.0"), "localhost:5000/sensor:1.0");
}

#[test]
fn only_dockers_own_registry_is_shortened() {
    assert_eq!(name("docker.io/library/busybox:1.36"), "busybox:1.36");
    assert_eq!(name("index.docker.io/library/busybox"), "busybox:latest");
    assert_eq!(name("library/busybox"), "busybox:latest");
    assert_eq!(name("docker.io/grafana/loki"), "grafana/loki:latest");
    assert_eq!(name("ghcr.io/library/busybox"), "ghcr.io/library/busybox:latest");
    assert_eq!(name("quay.io/busybox"), "quay.io/busybox:latest");
}

#[test]
fn nonsense_is_refused_with_an_example() {
    for text in ["", "Sensor", "a//b", "../etc", "/a", "a:", "a:b:c", "a b", "-a", "a/", "a\n"] {
        let error = text.parse::<ImageName>().unwrap_err().to_string();
        assert!(error.contains("sensor:1.0"), "{text}: {error}");
    }
    assert!("a".repeat(256).parse::<ImageName>().is_err());
}
