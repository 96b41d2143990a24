use proptest::prelude::*;

use super::*;
use crate::agent::{EnvValue, Volume};

const IMAGE: [u8; 32] = [7; 32];

/// As `skerry apply` does: a digest, or a name that stands for one.
fn resolve(image: &str) -> Result<Digest, String> {
    match image {
        "ghost" => Err("there is no image 'ghost'".to_owned()),
        other => Ok(other.parse().unwrap_or_else(|_| Digest::from_bytes(IMAGE))),
    }
}

fn parse(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    manifest.read("a.yaml", text, &mut resolve);
    manifest
}

fn agents(text: &str) -> Vec<AgentSpec> {
    parse(text).finish().unwrap().0
}

fn names(text: &str) -> Vec<String> {
    agents(text).into_iter().map(|spec| spec.name.to_string()).collect()
}

fn told(text: &str) -> String {
    let mut manifest = parse(text);
    manifest.check(None);
    manifest.finish().unwrap_err().to_string()
}

#[test]
fn one_agent_a_list_and_a_stream_are_read() {
    let one = "name: a\nimage: sensor\n";
    let list =
        "# two\napiVersion: skerry/v1\nagents:\n- {name: b, image: x}\n- name: c\n  image: y\n";
    assert_eq!(names(one), ["a"]);
    assert_eq!(names(&format!("apiVersion: skerry/v1\n{one}")), ["a"]);
    assert_eq!(names(list), ["b", "c"]);
    assert_eq!(
        names(&format!("---\n{one}---\n# nothing\n--- # more\n{list}---\n")),
        ["a", "b", "c"]
    );
    assert_eq!(names(&format!("{one}...\n---\n{list}")), ["a", "b", "c"]);
    assert_eq!(names("configs: {c: {k: v}}\n"), [] as [&str; 0]);
}

#[test]
fn json_is_read_too() {
    assert_eq!(names(r#"{"name": "a", "image": "x"}"#), ["a"]);
    assert_eq!(names("{\n\t\"agents\": [\n\t\t{\"name\": \"a\", \"image\": \"x\"}\n\t]\n}"), ["a"]);
    let spec = agents(r#"{"name":"a","image":"x","env":{"A":"\u00e9\/\n\ud834\udd1e"}}"#).remove(0);
    assert_eq!(spec.env["A"], EnvValue::from("é/\n𝄞"));
}

#[test]
fn configs_are_read_beside_agents() {
    let text = "
configs:
  app: {mode: fast, port: 8080, debug: true, empty: ''}
  more: {file.ini: \"a=1\\nb=2\\n\"}
agents:
- {name: a, image: x}
";
    let (agents, configs) = parse(text).finish().unwrap();
    assert_eq!(agents.len(), 1);
    let app = &configs[&"app".parse().unwrap()];
    assert_eq!(app[&"port".parse().unwrap()], "8080");
    assert_eq!(app[&"debug".parse().unwrap()], "true");
    for (text, expected) in [
        ("configs: {a: {k: 1.5}}", "a.yaml:1:18: configs.a.k: must be a string, not floating"),
        ("configs: {A: {k: v}}", "a.yaml:1:11: configs.A: name of a config or secret 'A'"),
        ("configs: {a: v}", "a.yaml:1:14: configs.a: must be a map, not string"),
        ("configs: {a: {..x: v}}", "a.yaml:1:15: configs.a...x: key '..x'"),
        ("configs: {a: {k: v}}\n---\nconfigs: {a: {k: v}}", "a.yaml:3:11: configs.a: has the name"),
    ] {
        assert!(told(text).starts_with(expected), "{text}: {}", told(text));
    }
    let large = format!("configs:\n  small: {{k: v}}\n  large: {{k: {}}}\n", "x".repeat(600_000));
    assert!(told(&large).starts_with("a.yaml:3:3: configs.large"), "{}", &told(&large)[..80]);
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
    assert!(told(text).starts_with("a.yaml:3:1: ports: there is no field 'ports'; bridged"));
    let text = "agents: []\nagnets: []\n";
    assert_eq!(
        told(text),
        "a.yaml:2:1: agnets: there is no field 'agnets'; did you mean 'agents'?"
    );
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    assert!(
        told(text).contains("a.yaml:1:13: apiVersion: 'v1' is none of skerry/v1"),
        "{}",
        told(text)
    );
    assert!(
        told(text).contains("a.yaml:2:1: kind: there is no field 'kind'; this is not Kubernetes")
    );
}

#[test]
fn wrong_values_are_told_in_plain_words() {
    for (text, expected) in [
        ("name: A_b\nimage: x", "a.yaml:1:7: name: agent name 'A_b' may hold only a-z"),
        ("name: a", "a.yaml:1:1: the field 'image' is missing"),
        ("name: a\nimage: ghost", "a.yaml:2:8: image: there is no image 'ghost'"),
        ("agents:\n- name: a\n  image: ghost", "a.yaml:3:10: agents[0].image: there is no image"),
        ("name: a\nimage: [x]", "a.yaml:2:1: image: must be a digest, not sequence"),
        (
            "name: a\nimage: x\nresources: {limits: {memory: 64MB}}",
            "a.yaml:3:30: resources.limits.memory: '64MB' is not an amount of memory",
        ),
        ("name: a\nimage: x\nname: b", "a.yaml:3:1: 'name' stands here already, at 1:1"),
        (
            "name: a\nimage: x\ninit: yes",
            "a.yaml:3:7: init: must be a boolean, not string \"yes\"; write true",
        ),
        ("name: [", "a.yaml:"),
        ("- name: a", "a.yaml:1:1: must be one agent, or a list of agents"),
        ("just words", "a.yaml:1:1: must be one agent"),
        ("", "a.yaml: holds no agent"),
        ("# nothing\n---\n", "a.yaml: holds no agent"),
        ("agents: {a: 1}", "a.yaml:1:9: agents: must be a list"),
        // Found by the checks, after everything was read.
        ("name: a\nimage: x\nworkdir: data", "a.yaml:3:10: workdir: must be an absolute path"),
        (
            "agents:\n- name: a\n  image: x\n  env:\n    a.b: x\n    A=B: x\n",
            "a.yaml:6:10: agents[0].env.A=B: is not the name of a variable",
        ),
        (
            "agents:\n- name: a\n  image: x\n  healthCheck:\n    interval: 1s\n",
            "a.yaml:4:3: agents[0].healthCheck: needs one of http",
        ),
        (
            "agents:\n- {name: a, image: x}\n- name: b\n  image: x\n  dependsOn: {c: started}\n",
            "a.yaml:5:18: agents[1].dependsOn.c: no agent has this name",
        ),
        (
            "agents:\n- {name: a, image: x}\n- {name: a, image: x}\n",
            "a.yaml:3:10: agents[1].name: two agents have the name 'a'",
        ),
    ] {
        let told = told(text);
        assert!(told.starts_with(expected), "{text}:\n  {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn every_agent_s_problem_is_told() {
    let text = "agents:\n- {name: a, image: x, imag: y}\n- {name: b, image: x}\n\
                - {name: c, image: x, workdir: y}\n- {name: D, image: ghost}\n";
    let manifest = parse(text);
    let places: Vec<_> = manifest.problems.iter().map(|p| (p.line.unwrap(), &*p.path)).collect();
    assert_eq!(
        places,
        [
            (2, "agents[0].imag"),
            (4, "agents[2].workdir"),
            (5, "agents[3].image"),
            (5, "agents[3].name")
        ]
    );
    assert_eq!(manifest.agents.len(), 2);
}

#[test]
fn what_does_not_fit_a_node_is_told() {
    let profile = r#"{"budget":{"memory":"100Mi"},"tiers":{"small":{"limits":{"memory":"8Mi"}}}}"#;
    let profile: Profile = reading::read(profile.as_bytes()).unwrap();
    let told = |more: &str| {
        let mut manifest = parse(&format!(
            "agents:\n- {{name: a, image: x, resources: {{requests: {{memory: 90Mi}}}}}}\n\
             - name: b\n  image: x\n{more}"
        ));
        manifest.check(Some(&profile));
        manifest.finish().map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(told("  resources: {tier: small}\n"), Ok(()));
    for (more, expected) in [
        (
            "  resources: {tier: huge}\n",
            "a.yaml:5:21: agents[1].resources.tier: 'huge' is unknown; this node has small",
        ),
        (
            "  security: {privileged: true}\n",
            "a.yaml:5:26: agents[1].security.privileged: this node's policy",
        ),
        (
            "  resources: {requests: {memory: 20Mi}}\n",
            "a.yaml:5:15: agents[1].resources.requests: agent 'b' requests memory 20Mi; 10Mi",
        ),
    ] {
        let told = told(more).unwrap_err();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn texts_need_no_quotes_where_all_readers_agree() {
    let text = "
name: a
image: x
args: [--port, 8080, -5, true, no, 1.2.3, 10:30, 2020-01-01, ~x, .5x, '0640', \"1.10\"]
env: {A: yes, B: 8080, C: false, D: '', E: 'null', F: 0, G: -1, H: 1_000}
labels: {1: 2}
security: {sysctls: {net.core.somaxconn: 512}}
resources: {limits: {memory: 1048576, cpu: 0.5, cpuset: 0}}
stop: {signal: 15, grace: 2s}
healthCheck: {http: {port: 80, status: 204}}
";
    let spec = agents(text).remove(0);
    assert_eq!(
        spec.args.unwrap(),
        [
            "--port",
            "8080",
            "-5",
            "true",
            "no",
            "1.2.3",
            "10:30",
            "2020-01-01",
            "~x",
            ".5x",
            "0640",
            "1.10"
        ]
    );
    for (name, value) in [
        ("A", "yes"),
        ("B", "8080"),
        ("C", "false"),
        ("D", ""),
        ("E", "null"),
        ("F", "0"),
        ("H", "1_000"),
    ] {
        assert_eq!(spec.env[name], EnvValue::from(value), "{name}");
    }
    assert_eq!(spec.labels["1"], "2");
    assert_eq!(spec.resources.limits.cpu.unwrap().millis, 500);
    assert_eq!(spec.resources.limits.cpuset.unwrap().to_string(), "0");
    assert_eq!(spec.stop.signal.unwrap().0, 15);
}

#[test]
fn what_readers_of_yaml_disagree_about_is_refused() {
    let agent = "name: a\nimage: x\n";
    for (more, expected) in [
        ("env: {VERSION: 1.10}", "a.yaml:3:16: env.VERSION: must be a text, { value: … }"),
        (
            "args: [1.5]",
            "a.yaml:3:8: args[0]: must be a text (put numbers with a point into quotes), not floating point `1.5`",
        ),
        ("env: {A: 0640}", "a.yaml:3:10: some read 0640 as an octal"),
        ("env: {A: 0x1F}", "a.yaml:3:10: some read 0x1F as an octal or hexadecimal"),
        ("env: {A: 0o17}", "a.yaml:3:10: some read 0o17"),
        ("env: {A: .inf}", "a.yaml:3:10: .inf has no meaning here"),
        ("env: {A: ~}", "a.yaml:3:10: env.A: must be a text"),
        (
            "volumes:\n- {type: tmpfs, target: /t, mode: 0640}",
            "a.yaml:4:35: some read 0640 as an octal",
        ),
        (
            "volumes:\n- {type: tmpfs, target: /t, mode: 640}",
            "a.yaml:4:35: volumes[0].mode: must be a mode in octal and in quotes, such as \"0640\", not integer `640`",
        ),
        ("env: {A: !!binary aGk=}", "a.yaml:3:"),
        ("env: !custom {A: b}", "a.yaml:3:"),
        ("env: {[a]: b}", "a.yaml:3:7: a key must be a text"),
        ("env: {1.5: b}", "a.yaml:3:7: put this key into quotes"),
        ("env: {~: b}", "a.yaml:3:7: a key is missing here"),
        ("env:\n\tA: b", "a.yaml:4:"),
        ("env: {A: \"\\0\"}", "a.yaml:3:10: env.A: has a NUL"),
        ("env: {A: *none}", "a.yaml:3:10: "),
        ("env: &e {A: *e}", "a.yaml:3:13: this alias stands within"),
    ] {
        let told = told(&format!("{agent}{more}\n"));
        assert!(told.starts_with(expected), "{more}:\n  {told}");
    }
    assert!(!told("name: a\nimage: x\nenv: {A: b\0}").is_empty());
    let spec = agents(&format!("{agent}env: {{A: !!str 0640, B: !!str 1.5}}")).remove(0);
    assert_eq!(spec.env["A"], EnvValue::from("0640"));
}

#[test]
fn aliases_and_merge_keys_work() {
    let text = "
agents:
- &base
  name: a
  image: x
  env: &env {A: '1', B: '2'}
  volumes: [&tmp {type: tmpfs, target: /t}]
- <<: *base
  name: b
  env: {<<: *env, B: '3'}
- <<: [{name: c}, *base]
  volumes: [*tmp]
";
    let all = agents(text);
    let shown: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.env["B"].clone())).collect();
    assert_eq!(shown, [("a", "2".into()), ("b", "3".into()), ("c", "2".into())]);
    assert_eq!(all[1].env["A"], EnvValue::from("1"));
    assert!(all.iter().all(|spec: &AgentSpec| spec.volumes.len() == 1));
    let _: &Volume = &all[2].volumes[0];
    assert!(told("name: a\n<<: b").contains("after <<, a map or a list of maps must stand"));
}

#[test]
fn line_ends_and_marks_of_other_systems_are_read() {
    assert_eq!(names("\u{feff}name: a\r\nimage: x\r\n---\r\nname: b\r\nimage: x\r\n"), ["a", "b"]);
    assert!(told("name: a\r\nimage: x\r\nimag: y\r\n").starts_with("a.yaml:3:1: imag"));
}

#[test]
fn what_is_too_much_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(8);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
    }
    assert!(told(&bomb).contains("too large once its aliases are copied"));
    let text = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(1000));
    assert!(told(&text).contains("too large once its aliases are copied"));
    for deep in
        ["[".repeat(10_000), "{a: ".repeat(10_000), "- ".repeat(10_000), "? ".repeat(10_000)]
    {
        let told = told(&deep);
        assert!(told.len() < 300, "{told}");
    }
    let many = format!("a: [{}]", "1,".repeat(1_000_000));
    assert!(told(&many).contains("too large"));
    assert!(told(&"x".repeat(FILE_MAX + 1)).contains("has more than 4194304 bytes"));
    let long = "k".repeat(100_000);
    assert!(told(&format!("name: a\nimage: x\n? {long}\n: 1\n")).len() < 2000);
}

#[test]
fn what_was_written_can_be_read_again() {
    let spec =
        agents("name: a\nimage: x\nhealthCheck: {tcp: {port: 1}}\njob: {schedule: '@daily'}")
            .remove(0);
    let text = serde_json::to_string_pretty(&spec).unwrap();
    assert_eq!(agents(&text), [spec]);
}

#[test]
fn configs_that_must_be_on_the_node_are_named() {
    let text = "configs: {here: {k: v}}\nagents:\n- name: a\n  image: x\n  env:\n    \
                A: {from: config, name: here, key: k}\n    B: {from: config, name: there, key: k}\n    \
                C: {from: secret, name: pin, key: k}\n";
    let missing = parse(text).missing_configs();
    assert_eq!(missing.len(), 1);
    assert_eq!(
        missing[0].to_string(),
        "a.yaml:7:5: agents[0].env.B: the config 'there' is not in these files"
    );
}

/// Pieces from which most of YAML's grammar can be put together.
const PIECES: &[&str] = &[
    "a",
    "name",
    "image",
    "agents",
    "configs",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\n    ",
    " ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&x ",
    "*x",
    "<<",
    "!!str ",
    "!t ",
    "| ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "#",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "~",
    "null",
    "true",
    "0640",
    "1.5",
    "-1",
    "é",
    "\u{feff}",
    "\0",
    "\r\n",
    "@",
    "`",
    "env",
    "x: y\n",
];

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = parse(&text).finish();
    }

    #[test]
    fn no_grammar_makes_it_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.into_iter().map(|index| PIECES[index]).collect();
        let mut manifest = parse(&text);
        manifest.check(None);
        for problem in &manifest.problems {
            prop_assert_eq!(problem.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn json_and_the_reader_agree(
        texts in prop::collection::btree_map("[A-Z]{1,8}", "\\PC{0,20}", 0..8)
    ) {
        let json = serde_json::json!({"name": "a", "image": "x", "env": texts}).to_string();
        let spec = agents(&json).remove(0);
        let read: Vec<_> = spec.env.into_values().collect();
        let wrote: Vec<_> = texts.into_values().map(EnvValue::from).collect();
        prop_assert_eq!(read, wrote);
    }
}
