//! Variables from configs, secrets and files of them; and that a secret is written down nowhere.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use skerry_tests::{Node, Scratch};

const AGENT: &str = r#"
apiVersion: skerry/v1
configs:
  app: { LEVEL: debug, vars: "FROM_FILE='of the config'\n# a remark\nWINS=file\n" }
agents:
  - name: one
    image: sensor
    envFile:
      - { from: config, name: app, key: vars }
      - { from: secret, name: db, key: vars }
    env:
      PLAIN: text
      WINS: env
      LEVEL: { from: config, name: app, key: LEVEL }
      PASSWORD: { from: secret, name: db, key: PASSWORD }
      LEFT_OUT: { from: secret, name: nowhere, key: NOTHING, optional: true }
"#;

/// Unlike anything else, so that it can be looked for.
const HUSH: &str = "hush-7f1c2a9e";

#[test]
fn variables_come_from_configs_and_secrets_and_secrets_stay_secret() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(AGENT);
    let missing = node.until_agent("one", "lacks its secret", |agent| {
        agent["detail"].as_str().is_some_and(|detail| detail.contains("secret 'db'"))
    });
    let detail = missing["detail"].as_str().unwrap();
    assert!(detail.contains("envFile[1]") && detail.contains("skerry secret set db"), "{detail}");

    let file = scratch.file("vars", "OF_SECRET=s\n");
    let from_file = format!("vars={}", file.display());
    let word = format!("PASSWORD={HUSH}");
    let _ = node.cli(["secret", "set", "db", &word, "--from-file", &from_file]).ok();
    let _ = node.until_state("one", "running");
    let said = |name: &str| node.inside("one", &format!("echo \"${{{name}-none}}\""));
    for (name, value) in [
        ("PLAIN", "text"),
        ("FROM_FILE", "of the config"),
        ("OF_SECRET", "s"),
        ("WINS", "env"),
        ("LEVEL", "debug"),
        ("PASSWORD", HUSH),
        ("LEFT_OUT", "none"),
        ("SKERRY_AGENT", "one"),
        ("SKERRY_NODE", "box"),
    ] {
        assert_eq!(said(name), value, "{name}");
    }
    let pid = node.pid_of("one");
    let environ = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(environ.contains(HUSH), "the program itself has it: {environ}");

    let holders = holders(node.folder(), HUSH);
    let of_run = "run/agents/one/handed.env";
    assert_eq!(holders, [of_run.to_owned(), "state/secrets/db/PASSWORD".to_owned()]);
    for file in &holders {
        let mode = fs::metadata(node.folder().join(file)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    for words in [&["inspect", "one"][..], &["secret", "ls", "--format", "json"], &["ps", "-a"]] {
        assert!(!node.cli(words).ok().stdout.contains(HUSH), "{words:?}");
    }
    let listed = node.cli(["secret", "ls", "--format", "json"]).ok().json();
    assert_eq!(listed["db"]["keys"], serde_json::json!(["PASSWORD", "vars"]));
    assert_eq!(listed["db"]["agents"], serde_json::json!(["one"]));
}

/// The files below a folder that hold a text, from there.
fn holders(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let content = fs::read(&path).unwrap_or_default();
                if content.windows(text.len()).any(|part| part == text.as_bytes()) {
                    let inner = path.strip_prefix(folder).unwrap();
                    found.push(inner.to_string_lossy().into_owned());
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_config_that_changes_runs_its_readers_anew_and_no_others() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "agents:\n- {name: a, image: sensor, env: {X: {from: config, name: app, key: K}}}\n\
         - {name: b, image: sensor}",
    );
    let blocked = node.until_state("a", "blocked");
    assert!(blocked["detail"].as_str().unwrap().contains("skerry config set app"), "{blocked}");
    let _ = node.cli(["config", "set", "app", "K=1"]).ok();
    let _ = node.until_state("a", "running");
    let _ = node.until_state("b", "running");
    assert_eq!(node.inside("a", "echo $X"), "1");
    let (a, b) = (node.pid_of("a"), node.pid_of("b"));

    let _ = node.cli(["config", "set", "app", "OTHER=2", "K=3"]).ok();
    let _ = node.until_agent("a", "runs anew", |agent| {
        agent["state"] == "running" && agent["pid"].as_u64().is_some_and(|pid| pid != a)
    });
    assert_eq!(node.inside("a", "echo $X"), "3");
    assert_eq!(node.pid_of("b"), b, "who does not read it is left alone");

    let shown = node.cli(["config", "show", "app"]).ok().json();
    assert_eq!(shown, serde_json::json!({ "K": "3", "OTHER": "2" }));
    assert_eq!(node.cli(["config", "show", "app", "K"]).ok().stdout, "3");
    assert!(node.cli(["config", "show", "none"]).refused().stderr.contains("config 'none'"));
}

#[test]
fn what_agents_read_is_not_taken_away_from_them() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["config", "set", "site", "A=1"]).ok();
    let _ = node.cli(["secret", "set", "word", "B=2"]).ok();
    node.apply(
        "{name: reader, image: sensor, envFile: [], volumes: [{type: secret, source: word, target: /w}], \
         env: {A: {from: config, name: site, key: A}}}",
    );
    let _ = node.until_state("reader", "running");
    for (kind, name) in [("config", "site"), ("secret", "word")] {
        let said = node.cli([kind, "rm", name]).refused();
        let wanted = format!("{kind} '{name}' is used by reader; remove that first: skerry rm");
        assert!(said.stderr.contains(&wanted), "{said}");
    }
    let _ = node.cli(["rm", "-f", "reader"]).ok();
    for (kind, name) in [("config", "site"), ("secret", "word")] {
        let _ = node.cli([kind, "rm", name]).ok();
    }
}

#[test]
fn a_value_comes_from_standard_input_and_a_key_goes_alone() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    let _ = node.cli_with_input(["secret", "set", "db", "A=-", "B=2"], b"word\n").ok();
    let kept = |key: &str| fs::read(node.folder().join("state/secrets/db").join(key));
    assert_eq!(kept("A").unwrap(), b"word");
    let _ = node.cli(["secret", "rm", "db", "A"]).ok();
    assert!(kept("A").is_err() && kept("B").is_ok());
    let _ = node.cli(["secret", "rm", "db"]).ok();
    let gone = node.cli(["secret", "rm", "db"]).refused();
    assert!(gone.stderr.contains("secret 'db' is not on this node"), "{gone}");
    let bad = node.cli(["secret", "set", "db", "no value"]).refused();
    assert!(bad.stderr.contains("key"), "{bad}");
}

#[test]
fn a_variable_of_run_is_taken_from_a_secret_and_not_written_down() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli_with_input(["secret", "set", "db", "pw=-"], b"s3cret-word").ok();
    let _ = node.cli(["run", "--name", "one", "--env-secret", "PASSWORD=db:pw", "sensor"]).ok();
    assert_eq!(node.inside("one", "echo $PASSWORD"), "s3cret-word");
    assert!(!node.cli(["inspect", "one"]).ok().stdout.contains("s3cret-word"));
}
