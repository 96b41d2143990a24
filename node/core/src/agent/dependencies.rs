//! What holds between agents: dependencies that exist, can be met, and do not go round; what the agents of a pod share.

use std::collections::BTreeMap;

use super::{AgentSpec, Condition, Restart, SpecError};
use crate::ids::{AgentName, PodName};

/// Agents of one pod share the kernel settings of their namespaces, so that they cannot want different ones.
///
/// # Errors
/// The setting that an agent wants otherwise than one before it.
pub fn check_pods(specs: &[AgentSpec]) -> Result<(), SpecError> {
    let mut settings: BTreeMap<(&PodName, &str), (&AgentName, &str)> = BTreeMap::new();
    for spec in specs {
        let Some(pod) = &spec.pod else { continue };
        for (name, value) in &spec.security.sysctls {
            let (other, said) = *settings.entry((pod, name)).or_insert((&spec.name, value));
            if said != value {
                return Err(SpecError::Field {
                    agent: spec.name.clone(),
                    field: format!("security.sysctls.{name}"),
                    problem: format!("is {value}, but agent '{other}' of pod '{pod}' has {said}, and they share it").into(),
                });
            }
        }
    }
    Ok(())
}

/// The first circle among the dependencies, if there is one.
///
/// # Errors
/// A dependency that no spec has, or the circle as a list that begins and ends with one name.
pub fn check_dependencies(specs: &[AgentSpec]) -> Result<(), SpecError> {
    let by_name: BTreeMap<_, _> = specs.iter().map(|s| (&s.name, s)).collect();
    for spec in specs {
        if let Some(on) = spec.depends_on.keys().find(|on| !by_name.contains_key(on)) {
            return Err(SpecError::NoSuchDependency { agent: spec.name.clone(), on: on.clone() });
        }
        let elsewhere = spec.depends_on.keys().find(|on| {
            let narrower = |on: &&AgentSpec| !on.is_for(&spec.node_selector);
            by_name.get(on).is_some_and(narrower)
        });
        if let Some(on) = elsewhere {
            return Err(SpecError::Elsewhere { agent: spec.name.clone(), on: on.clone() });
        }
        let endless = spec.depends_on.iter().find(|(on, condition)| {
            let always =
                |on: &AgentSpec| matches!(on.restart(), Restart::Always | Restart::UnlessStopped);
            **condition == Condition::Completed && by_name.get(on).is_some_and(|on| always(on))
        });
        if let Some((on, _)) = endless {
            return Err(SpecError::NeverCompletes { agent: spec.name.clone(), on: on.clone() });
        }
        let unchecked = spec.depends_on.iter().find(|(on, condition)| {
            **condition == Condition::Healthy
                && by_name.get(on).is_some_and(|dependency| {
                    dependency.health_check.is_none() && dependency.readiness.is_none()
                })
        });
        if let Some((on, _)) = unchecked {
            return Err(SpecError::NoHealthCheck { agent: spec.name.clone(), on: on.clone() });
        }
    }
    // Take away, again and again, who depends on nobody that is left: what stays is in a circle or
    // behind one.
    let mut left = by_name;
    loop {
        let free: Vec<_> = left
            .values()
            .filter(|s| s.depends_on.keys().all(|on| !left.contains_key(on)))
            .map(|s| &s.name)
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    match left.keys().next() {
        None => Ok(()),
        Some(first) => Err(SpecError::Cycle(walk_circle(&left, first))),
    }
}

fn walk_circle(left: &BTreeMap<&AgentName, &AgentSpec>, first: &AgentName) -> Vec<AgentName> {
    let mut path: Vec<AgentName> = vec![first.clone()];
    while let Some(spec) = path.last().and_then(|name| left.get(name)) {
        let Some(next) = spec.depends_on.keys().find(|on| left.contains_key(on)) else { break };
        if let Some(start) = path.iter().position(|seen| seen == next) {
            path.push(next.clone());
            return path.split_off(start);
        }
        path.push(next.clone());
    }
    path
}
