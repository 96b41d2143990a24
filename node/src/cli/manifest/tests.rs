use super::*;

fn names(text: &str) -> Vec<String> {
    let forms = parse("a.yaml", text).unwrap();
    forms.into_iter().map(|form| form.spec(Digest::of(b"x")).name.to_string()).collect()
}

fn told(text: &str) -> String {
    parse("a.yaml", text).unwrap_err().to_string()
}

#[test]
fn one_agent_a_list_and_a_stream_are_read() {
    let one = "name: a\nimage: sensor\n";
    let list =
        "# two\napiVersion: skerry/v1\nagents:\n- {name: b, image: x}\n- name: c\n  image: y\n";
    assert_eq!(names(one), ["a"]);
    assert_eq!(names(list), ["b", "c"]);
    assert_eq!(
        names(&format!("---\n{one}---\n# nothing\n--- # more\n{list}---\n")),
        ["a", "b", "c"]
    );
}

#[test]
fn json_is_read_too() {
    assert_eq!(names(r#"{"name": "a", "image": "x"}"#), ["a"]);
    assert_eq!(names(r#"{"agents": [{"name": "a", "image": "x"}]}"#), ["a"]);
}

#[test]
fn every_field_reaches_the_spec() {
    let text = "
name: cam
image: cam:1
command: [/bin/cam]
args: [--port, 8080]
workdir: /data
env: {VERSION: 1.10, DEBUG: yes}
resources: {limits: {memory: 64Mi, cpu: 0.5, pids: 32}}
restart: on-failure:3
healthCheck: {tcp: {port: 8080}, interval: 2s}
dependsOn: {db: healthy}
stop: {grace: 5s}
";
    let form = parse("a.yaml", text).unwrap().remove(0);
    assert_eq!(form.image, "cam:1");
    let spec = form.spec(Digest::of(b"x"));
    assert!(spec.check().is_ok());
    assert_eq!(spec.args.unwrap(), ["--port", "8080"]);
    assert_eq!(spec.env["VERSION"], "1.10".into());
    assert_eq!(spec.resources.limits.cpu.unwrap().millis, 500);
    assert_eq!(spec.stop.grace.millis, 5000);
    assert_eq!(spec.depends_on.len(), 1);
}

/// What a document carries can be applied as it is: both know the same fields.
#[test]
fn the_form_knows_the_fields_of_the_spec() {
    let spec = parse("a", "name: a\nimage: b\nhealthCheck: {tcp: {port: 1}}").unwrap().remove(0);
    let mut spec = spec.spec(Digest::of(b"x"));
    spec.workdir = Some("/".into());
    spec.env.insert("A".into(), "b".into());
    spec.resources.limits.pids = Some(1);
    spec.depends_on.insert("c".parse().unwrap(), Condition::Started);
    spec.stop.grace.millis = 1;
    spec.command = Some(vec!["a".into()]);
    spec.args = Some(vec!["b".into()]);
    let text = serde_json::to_string_pretty(&spec).unwrap();
    let again = parse("a.json", &text).unwrap().remove(0).spec(spec.image);
    assert_eq!(again, spec);
}

#[test]
fn a_slip_is_told_with_place_path_and_what_was_meant() {
    let text =
        "name: a\nimage: x\n---\nagents:\n- name: b\n  image: x\n  resources:\n    limts: {}\n";
    assert_eq!(
        told(text),
        "a.yaml:8:5: agents[0].resources.limts: there is no field 'limts'; did you mean 'limits'?"
    );
    let text = "name: a\nimage: x\nports: [80]\n";
    assert!(
        told(text).contains("there is no field 'ports'; known are name, image"),
        "{}",
        told(text)
    );
}

#[test]
fn wrong_values_are_told_in_plain_words() {
    for (text, parts) in [
        ("name: A_b\nimage: x", &["a.yaml:1:7: name:", "may hold only a-z"][..]),
        ("name: a", &["a.yaml:", "image"]),
        (
            "name: a\nimage: x\nresources: {limits: {memory: 64MB}}",
            &["resources.limits.memory", "64Mi"],
        ),
        ("name: a\nimage: x\nname: b", &["a.yaml:3:1", "name"]),
        ("name: [", &["a.yaml:"]),
        ("- name: a", &["a.yaml:1:1"]),
        ("", &["a.yaml: holds no agent"]),
        ("agents: []", &["a.yaml: holds no agent"]),
    ] {
        let told = told(text);
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        text.push_str(&format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"));
    }
    assert!(!told(&text).is_empty());
}
