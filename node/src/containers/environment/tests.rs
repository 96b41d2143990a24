use skerry_core::agent::{EnvFile, Reference};
use skerry_core::desired::RunRef;

use super::super::tests::{image, spec, wanted};
use super::*;

fn secrets() -> (tempfile::TempDir, Secrets) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::below(folder.path());
    let values = [("PASSWORD", &b"hush"[..]), ("FILE", b"B=file\nC='x y'\n"), ("RAW", b"\xff")];
    let values = values.map(|(key, value)| (key.parse().unwrap(), value.to_vec()));
    secrets.set(&"db".parse().unwrap(), &values.into()).unwrap();
    (folder, secrets)
}

fn from(from: Origin, name: &str, key: &str, optional: bool) -> EnvValue {
    let (name, key) = (name.parse().unwrap(), key.parse().unwrap());
    EnvValue::From(Reference { from, name, key, optional })
}

fn made(wanted: &DesiredAgent, secrets: &Secrets) -> Result<Environment, String> {
    let sources = Sources { configs: &wanted.configs, secrets };
    environment(wanted, &image(), "box", &sources).map_err(|error| error.to_string())
}

#[test]
fn the_spec_wins_over_the_image_and_path_is_always_there() {
    let (_folder, secrets) = secrets();
    let mut spec = spec(None, None);
    spec.env.insert("B".into(), "spec".into());
    let mut wanted = wanted(spec);
    wanted.run = Some(RunRef { execution: "a-1".into(), attempts: 0 });
    let made = made(&wanted, &secrets).unwrap();
    for entry in
        ["A=image", "B=spec", "SKERRY_AGENT=a", "SKERRY_NODE=box", "SKERRY_EXECUTION_ID=a-1"]
    {
        assert!(made.plain.contains(&entry.to_owned()), "{entry} in {made:?}");
    }
    assert!(made.plain.iter().any(|e| e.starts_with("PATH=")));
    assert!(made.secret.is_empty());
}

#[test]
fn what_comes_from_a_secret_is_kept_apart() {
    let (_folder, secrets) = secrets();
    let mut spec = spec(None, None);
    spec.env.insert("WORD".into(), from(Origin::Secret, "db", "PASSWORD", false));
    spec.env.insert("LEFT".into(), from(Origin::Secret, "db", "NONE", true));
    let file = |from, name: &str, key: &str, optional| EnvFile {
        from,
        name: name.parse().unwrap(),
        key: key.parse().unwrap(),
        optional,
    };
    spec.env_file.push(file(Origin::Secret, "db", "FILE", false));
    spec.env_file.push(file(Origin::Config, "none", "x", true));
    let made = made(&wanted(spec), &secrets).unwrap();
    assert_eq!(made.secret, ["B=file", "C=x y", "WORD=hush"]);
    assert!(!made.plain.iter().any(|entry| entry.starts_with("B=") || entry.contains("hush")));
}

#[test]
fn what_is_missing_is_told_with_the_field_and_the_way_out() {
    let (_folder, secrets) = secrets();
    let told = |value| {
        let mut spec = spec(None, None);
        spec.env.insert("X".into(), value);
        made(&wanted(spec), &secrets).unwrap_err()
    };
    assert_eq!(
        told(from(Origin::Secret, "other", "K", false)),
        "env.X: secret 'other' is not on this node; set it: skerry secret set other KEY"
    );
    let told_key = told(from(Origin::Secret, "db", "K", false));
    assert!(told_key.ends_with("skerry secret set db K"), "{told_key}");
    assert!(told(from(Origin::Secret, "db", "RAW", false)).contains("is no text"));
    assert!(told(from(Origin::Config, "none", "K", false)).starts_with("env.X: config 'none'"));
}
