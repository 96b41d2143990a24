use super::*;
use crate::images::{self, Manifest};
use crate::init::{InitArgs, make};
use crate::workspace::Overrides;

const DIGEST: &str = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

fn agents(text: &str) -> Result<Vec<AgentSpec>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agents.yaml");
    std::fs::write(&file, text).unwrap();
    let folder = format!("{}/", folder.path().display());
    let told = |error: anyhow::Error| error.to_string().replace(&folder, "");
    read(&file, &Names::default()).map(|wanted| wanted.agents).map_err(told)
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = format!(
        "agents:\n- name: sensor\n  image: {DIGEST}\n  env: {{ MODE: \"1\" }}\n  \
         resources:\n    limits: {{ memory: 64Mi, cpu: 250m, pids: 32 }}\n"
    );
    let json = format!(
        r#"{{"agents": [{{"name": "sensor", "image": "{DIGEST}", "env": {{"MODE": "1"}},
            "resources": {{"limits": {{"memory": "64Mi", "cpu": "250m", "pids": 32}}}}}}]}}"#
    );
    let (yaml, json) = (agents(&yaml).unwrap(), agents(&json).unwrap());
    assert_eq!(yaml, json);
    assert_eq!(yaml[0].resources.limits.pids, Some(32));
}

#[test]
fn mistakes_are_told_with_their_path() {
    for (text, path, problem) in [
        ("agents:\n- name: a\n  image: sensor\n", "agents[0].image", "'sensor' is not a digest"),
        ("agents:\n- name: A b\n", "agents[0].name", "agent name 'A b'"),
        ("agents: []\nagent: 1\n", "2:1: agent", "did you mean 'agents'?"),
        ("configs: {a: {b: 1.5}}\nagents: []\n", "1:18: configs.a.b", "must be a string"),
        ("agents:\n- name: [\n", "", "agents.yaml"),
    ] {
        let error = agents(text).unwrap_err();
        assert!(error.starts_with("agents.yaml:"), "{error}");
        assert!(error.contains(path) && error.contains(problem), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

/// Nothing else is on the node that an agent of a document could read.
#[test]
fn a_config_that_is_not_in_the_file_is_missed() {
    let agent =
        format!("- name: a\n  image: {DIGEST}\n  env: {{A: {{from: config, name: c, key: k}}}}");
    let error = agents(&format!("agents:\n{agent}\n")).unwrap_err();
    assert!(error.contains("agents[0].env.A: the config 'c' is not in these files"), "{error}");
    assert!(agents(&format!("configs: {{c: {{k: v}}}}\nagents:\n{agent}\n")).is_ok());
}

fn args(file: &Path, version: Option<u64>, output: Option<PathBuf>) -> SignArgs {
    let audience = Audience { node: Some("box-1".parse().unwrap()), group: None };
    SignArgs { file: file.to_owned(), audience, version, output }
}

#[test]
fn versions_only_grow_and_a_refused_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let address = Address::Node("box-1".parse().unwrap());
    let last = || release::document(&workspace, &address).unwrap().unwrap().0;
    let file = folder.path().join("agents.yaml");
    std::fs::write(&file, format!("agents:\n- name: a\n  image: {DIGEST}\n")).unwrap();

    let error = sign(&workspace, &args(&file, None, None)).unwrap_err().to_string();
    assert!(error.contains("agents.yaml: agent 'a' names image sha256:2d71"), "{error}");
    assert!(error.contains("skerry-fleet images add"), "{error}");
    assert!(release::document(&workspace, &address).unwrap().is_none(), "nothing is kept of it");
    let image = Manifest { digest: DIGEST.parse().unwrap(), size: 7 };
    images::genuine(&workspace, &[image], &Default::default()).unwrap();
    sign(&workspace, &args(&file, None, None)).unwrap();
    assert_eq!(last().version, 1);
    sign(&workspace, &args(&file, Some(5), None)).unwrap();
    sign(&workspace, &args(&file, None, None)).unwrap();
    assert_eq!(last().version, 6);
    for offered in [6, 1] {
        let error = sign(&workspace, &args(&file, Some(offered), None)).unwrap_err().to_string();
        assert!(error.contains("not newer than version 6"), "{error}");
    }
    let two = format!("agents:\n- name: a\n  image: {DIGEST}\n  dependsOn: {{ b: started }}\n");
    std::fs::write(&file, two).unwrap();
    let error = sign(&workspace, &args(&file, None, None)).unwrap_err().to_string();
    assert!(error.contains("agents.yaml:4:19: agents[0].dependsOn.b: no agent"), "{error}");
    assert_eq!(
        (last().version, release::version(&workspace, Repository::Director).unwrap()),
        (6, 3)
    );
}

#[test]
fn a_bundle_for_a_stick_is_the_same_as_the_one_that_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let (file, stick) = (folder.path().join("a.yaml"), folder.path().join("a.bundle"));
    std::fs::write(&file, "agents: []\n").unwrap();
    sign(&workspace, &args(&file, None, Some(stick.clone()))).unwrap();
    let address = Address::Node("box-1".parse().unwrap());
    let ready = release::bundle(&workspace, &address, Timestamp::now()).unwrap();
    assert_eq!(std::fs::read(stick).unwrap(), ready.bytes);
}
