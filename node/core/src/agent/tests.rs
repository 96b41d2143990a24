use super::*;
use crate::units::Memory;

fn named(name: &str) -> AgentSpec {
    AgentSpec::new(name.parse().unwrap(), Digest::of(b"image"))
}

fn parse(json: &str) -> Result<AgentSpec, String> {
    let image = Digest::of(b"image");
    let spec: AgentSpec = serde_json::from_str(&json.replace("IMAGE", &image.to_string()))
        .map_err(|e| e.to_string())?;
    spec.check().map_err(|e| e.to_string())?;
    Ok(spec)
}

#[test]
fn a_full_spec_reads_and_writes_itself() {
    let spec = parse(
        r#"{"name":"sensor","image":"IMAGE","command":["/sensor"],"args":["-v"],
        "workdir":"/data","env":{"INTERVAL":"1s"},
        "resources":{"limits":{"memory":"64Mi","cpu":"500m","pids":32}},
        "restart":"on-failure:5","dependsOn":{"db":"healthy"},"stop":{"grace":"3s"},
        "healthCheck":{"tcp":{"port":80},"interval":"10s","onUnhealthy":"report"}}"#,
    )
    .unwrap();
    assert_eq!(spec.restart, Some(Restart::OnFailure(Some(5))));
    assert_eq!(spec.resources.limits.memory, Some(Memory(64 << 20)));
    let again: AgentSpec = serde_json::from_slice(&serde_json::to_vec(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
    assert_eq!(again.digest(), spec.digest());
}

#[test]
fn what_cannot_work_is_refused_with_its_path() {
    for (json, expected) in [
        (r#"{"name":"a","image":"IMAGE","comand":[]}"#, "unknown field `comand`"),
        (r#"{"name":"a","image":"IMAGE","command":[]}"#, "command: is empty"),
        (r#"{"name":"a","image":"IMAGE","restart":"sometimes"}"#, "not a restart policy"),
        (
            r#"{"name":"a","image":"IMAGE","healthCheck":{}}"#,
            "needs one of http, tcp, command and file",
        ),
        (r#"{"name":"a","image":"IMAGE","workdir":"x"}"#, "absolute path"),
        (r#"{"name":"a","image":"IMAGE","resources":{"limits":{"memory":"1k"}}}"#, "below 1Mi"),
        (r#"{"name":"a","image":"IMAGE","resources":{"limits":{"pids":0}}}"#, "at least 1"),
        (r#"{"name":"a","image":"IMAGE","env":{"A=B":"x"}}"#, "env.A=B"),
        (r#"{"name":"A","image":"IMAGE"}"#, "agent name 'A'"),
        (r#"{"name":"a","image":"latest"}"#, "not a digest"),
    ] {
        let error = parse(json).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn any_change_changes_the_digest() {
    let base = named("a");
    let mut other = base.clone();
    other.env.insert("A".into(), "1".into());
    assert_ne!(base.digest(), other.digest());
    let mut other = base.clone();
    other.restart = Some(Restart::Never);
    assert_ne!(base.digest(), other.digest());
}

#[test]
fn a_circle_of_dependencies_is_shown() {
    let depend = |name: &str, on: &[&str]| {
        let mut spec = named(name);
        spec.depends_on = on.iter().map(|n| (n.parse().unwrap(), Condition::Started)).collect();
        spec
    };
    let fine = [depend("a", &["b", "c"]), depend("b", &["c"]), depend("c", &[])];
    assert_eq!(check_dependencies(&fine), Ok(()));
    let round =
        [depend("z", &["a"]), depend("a", &["b"]), depend("b", &["c"]), depend("c", &["a"])];
    let error = check_dependencies(&round).unwrap_err().to_string();
    assert!(error.contains("a -> b -> c -> a"), "{error}");
    let missing = check_dependencies(&[depend("a", &["ghost"])]).unwrap_err();
    assert!(missing.to_string().contains("dependsOn.ghost"));
}
