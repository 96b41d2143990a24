use super::*;

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["default".into()],
        env: vec!["A=image".into(), "B=image".into()],
        ..ImageConfig::default()
    }
}

fn spec(command: Option<&[&str]>, args: Option<&[&str]>) -> AgentSpec {
    let words = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect();
    let mut spec = AgentSpec::new("a".parse().unwrap(), Digest::of(b""));
    (spec.command, spec.args) = (command.map(words), args.map(words));
    spec
}

#[test]
fn command_and_args_combine_as_in_kubernetes() {
    let run = |c, a| program(&spec(c, a), &image()).unwrap().join(" ");
    assert_eq!(run(None, None), "/entry default");
    assert_eq!(run(None, Some(&["x"])), "/entry x");
    assert_eq!(run(Some(&["/other"]), None), "/other");
    assert_eq!(run(Some(&["/other"]), Some(&["x"])), "/other x");
    assert!(program(&spec(None, None), &ImageConfig::default()).is_err());
}

#[test]
fn the_spec_wins_over_the_image_and_path_is_always_there() {
    let mut spec = spec(None, None);
    spec.env.insert("B".into(), "spec".into());
    let env = environment(&spec, &image());
    assert!(env.contains(&"A=image".to_owned()) && env.contains(&"B=spec".to_owned()));
    assert!(env.iter().any(|e| e.starts_with("PATH=")));
}

#[test]
fn users_are_numbers() {
    assert_eq!(user(Some("1000:100")).unwrap().gid, 100);
    assert_eq!(user(Some("root")).unwrap().uid, 0);
    assert!(user(Some("nobody")).is_err());
}
