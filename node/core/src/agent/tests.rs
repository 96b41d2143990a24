//! Tests of the spec. `fields` has each field and what changes with it; `refused` each rule, `bounds`
//! each limit of a list.

mod bounds;
mod fields;
mod refused;

use super::*;
use crate::manifest::Manifest;
use crate::units::Memory;

/// Reads agents as people write them; what is wrong comes without file, line and column.
fn read(yaml: &str) -> Result<Vec<AgentSpec>, Vec<String>> {
    let mut manifest = Manifest::default();
    manifest.read("a.yaml", yaml, &mut |image| Ok(Digest::of(image.as_bytes())));
    manifest.check(None);
    let told = |problem: crate::manifest::Problem| format!("{}: {}", problem.path, problem.problem);
    match manifest.finish() {
        Ok((agents, _)) => Ok(agents),
        Err(problems) => Err(problems.0.into_iter().map(told).collect()),
    }
}

/// One agent with these fields.
fn agent(yaml: &str) -> Result<AgentSpec, String> {
    match read(&format!("name: a\nimage: x\n{yaml}\n")) {
        Ok(mut agents) => Ok(agents.remove(0)),
        Err(problems) => Err(problems.join("\n")),
    }
}

#[test]
fn a_full_spec_reads_and_writes_itself() {
    let spec = agent(
        "command: [/sensor]\nargs: [-v]\nworkdir: /data\nenv: {INTERVAL: 1s}\n\
         resources: {limits: {memory: 64Mi, cpu: 500m, pids: 32}}\nrestart: on-failure:5\n\
         healthCheck: {tcp: {port: 80}, interval: 10s, onUnhealthy: report}\nstop: {grace: 3s}",
    )
    .unwrap();
    assert_eq!(spec.restart(), Restart::OnFailure(Some(5)));
    assert_eq!(spec.resources.limits.memory, Some(Memory(64 << 20)));
    let again: AgentSpec = serde_json::from_slice(&serde_json::to_vec(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
    assert_eq!(again.digest(), spec.digest());
}

/// What is the default is not written, so that a later default can't change what was signed for now
/// without being seen, and documents stay short.
#[test]
fn a_spec_of_nothing_but_a_name_is_short() {
    let spec = agent("").unwrap();
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(text, format!(r#"{{"name":"a","image":"{}"}}"#, Digest::of(b"x")));
}

#[test]
fn a_job_restarts_by_its_retries() {
    assert_eq!(agent("job: {retries: 3}").unwrap().restart(), Restart::OnFailure(Some(3)));
    assert_eq!(agent("").unwrap().restart(), Restart::Always);
}

#[test]
fn what_a_spec_reads_is_named() {
    let spec = agent(
        "env: {A: {from: config, name: c1, key: k}, B: x}\n\
         envFile: [{from: secret, name: s1, key: env}]\n\
         volumes: [{type: config, source: c2, target: /c}, {type: secret, source: s2, target: /s}]",
    )
    .unwrap();
    let named: Vec<_> = spec.references().map(|(kind, name)| format!("{kind} {name}")).collect();
    assert_eq!(named, ["config c1", "secret s1", "config c2", "secret s2"]);
}

#[test]
fn a_tier_fills_in_what_is_not_said() {
    let spec = agent("resources: {tier: s, requests: {cpu: 100m}, limits: {memory: 8Mi}}").unwrap();
    let tier = r#"{"requests":{"memory":"4Mi","cpu":"1"},
        "limits":{"memory":"64Mi","cpu":"500m","pids":9,"swap":"1Mi","cpuset":"0","io":{"weight":7}}}"#;
    let tier: Tier = serde_json::from_str(tier).unwrap();
    let both = serde_json::to_string(&spec.resources.over(&tier)).unwrap();
    assert_eq!(
        both,
        r#"{"requests":{"memory":"4Mi","cpu":"100m"},"limits":{"memory":"8Mi","cpu":"500m","pids":9,"swap":"1Mi","cpuset":"0","io":{"weight":7}}}"#
    );
}

#[test]
fn capabilities_are_added_to_none() {
    let granted = |yaml: &str| {
        let spec = agent(&format!("security: {{capabilities: {yaml}}}")).unwrap();
        spec.security.capabilities.granted()
    };
    assert!(granted("{}").is_empty());
    assert!(granted("{drop: [ALL]}").is_empty());
    assert_eq!(granted("{drop: [ALL], add: [net_raw, CAP_CHOWN]}"), ["CHOWN", "NET_RAW"]);
    assert_eq!(granted("{add: [net_raw, CAP_CHOWN]}"), ["CHOWN", "NET_RAW"]);
    assert_eq!(granted("{add: [ALL], drop: [SYS_ADMIN]}").len(), 40);
}

#[test]
fn env_files_are_lines_of_name_and_value() {
    let text = "# note\n\nA=1\n B = two words \nC=\"q\"\nD='q'\nE=\nF=a=b\n";
    let expected =
        [("A", "1"), ("B", "two words"), ("C", "q"), ("D", "q"), ("E", ""), ("F", "a=b")];
    assert_eq!(env::parse_file(text), Ok(expected.to_vec()));
    assert_eq!(env::parse_file("A=1\nnothing\n"), Err(2));
    assert_eq!(env::parse_file("=1\n"), Err(1));
    assert_eq!(env::parse_file(&"A=1\n".repeat(2000)), Err(1025));
}

#[test]
fn a_circle_of_dependencies_is_shown() {
    let list = |on: &[(&str, &str)]| {
        let agents = on
            .iter()
            .map(|(name, on)| format!("- {{name: {name}, image: x, dependsOn: {{{on}}}}}\n"));
        read(&format!("agents:\n{}", agents.collect::<String>()))
    };
    assert!(list(&[("a", "b: started, c: started"), ("b", "c: started"), ("c", "")]).is_ok());
    let round =
        [("z", "a: started"), ("a", "b: started"), ("b", "c: started"), ("c", "a: started")];
    assert_eq!(
        list(&round).unwrap_err(),
        ["agents[1].dependsOn.b: dependsOn goes round in a circle: a -> b -> c -> a"]
    );
    let own = list(&[("a", "a: started")]).unwrap_err();
    assert_eq!(own, ["agents[0].dependsOn.a: dependsOn goes round in a circle: a -> a"]);
}
