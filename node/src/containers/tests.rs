use std::sync::Arc;

use skerry_core::desired::Source;
use skerry_images::ImageConfig;

use super::*;

pub(super) fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["default".into()],
        env: vec!["A=image".into(), "B=image".into()],
        ..ImageConfig::default()
    }
}

pub(super) fn spec(command: Option<&[&str]>, args: Option<&[&str]>) -> AgentSpec {
    let words = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect();
    let mut spec = AgentSpec::new("a".parse().unwrap(), Digest::of(b""));
    (spec.command, spec.args) = (command.map(words), args.map(words));
    spec
}

pub(super) fn wanted(spec: AgentSpec) -> DesiredAgent {
    DesiredAgent {
        of: spec.name.clone(),
        instance: spec.digest(),
        spec: Arc::new(spec),
        source: Source::Local,
        halt: None,
        obstacle: None,
        run: None,
        configs: Arc::default(),
    }
}

#[test]
fn what_the_runtime_refuses_is_told_by_the_field_of_the_spec() {
    let field = "limits.memory_bytes";
    let refused = LaunchError::Field { agent: "a".into(), field, why: "is below 1 MiB".into() };
    let told = ContainerError::from(SpawnError::Launch(refused)).to_string();
    assert_eq!(told, "resources.limits.memory: is below 1 MiB");
}
