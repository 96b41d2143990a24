use super::*;
use crate::accept::Accepted;
use crate::desired::{LocalWish, Wishes};
use crate::document::{ApiVersion, Document};
use crate::ids::Digest;

fn agent(text: &str, memory: u64, cpu: u32) -> AgentSpec {
    let mut spec = AgentSpec::new(text.parse().unwrap(), Digest::of(b"image"));
    spec.resources.requests.memory = Some(Memory(memory << 20));
    spec.resources.requests.cpu = Some(Cpu { millis: cpu });
    spec
}

fn node() -> Profile {
    Profile {
        budget: Budget { memory: Some(Memory(100 << 20)), cpu: Some(Cpu { millis: 1000 }) },
        cpus: 2,
        ..Profile::default()
    }
}

#[test]
fn a_refusal_says_who_takes_what() {
    let fits = [agent("a", 60, 500), agent("b", 40, 500)];
    assert_eq!(check(&fits, [], &node()), Ok(()));
    let more = agent("c", 1, 0);
    let error = check([&more], &fits, &node()).unwrap_err().to_string();
    assert_eq!(
        error,
        "agent 'c' requests memory 1Mi; 0 of this node's 100Mi is left: taken by a 60Mi, b 40Mi"
    );
    let busy = agent("c", 0, 100);
    let error = check([&busy], &fits, &node()).unwrap_err().to_string();
    assert!(error.contains("requests cpu 100m; 0m of this node's 1000m"), "{error}");
}

#[test]
fn replicas_count_each_and_who_asks_for_nothing_always_fits() {
    let mut many = agent("many", 30, 0);
    many.replicas = Some(4);
    assert!(check([&many], [], &node()).is_err());
    many.replicas = Some(3);
    assert_eq!(check([&many], [], &node()), Ok(()));
    let full = [agent("full", 100, 1000)];
    let nothing = AgentSpec::new("nothing".parse().unwrap(), Digest::of(b"image"));
    assert_eq!(check([&nothing], &full, &node()), Ok(()));
}

#[test]
fn the_policy_and_the_machine_have_the_last_word() {
    let mut strong = agent("strong", 1, 1);
    strong.security.privileged = true;
    assert!(matches!(check([&strong], [], &node()), Err(AdmitError::Privileged(_))));
    assert_eq!(check([&strong], [], &Profile { privileged: true, ..node() }), Ok(()));
    let mut far = agent("far", 1, 1);
    far.resources.limits.cpuset = Some("1-2".parse().unwrap());
    let error = check([&far], [], &node()).unwrap_err().to_string();
    assert!(error.contains("names processor 2; this node has 2, from 0"), "{error}");
    let mut sized = agent("sized", 1, 1);
    sized.resources.tier = Some("large".parse().unwrap());
    assert!(matches!(check([&sized], [], &node()), Err(AdmitError::Tier { .. })));
}

#[test]
fn a_tier_fills_in_what_the_agent_does_not_say() {
    let tier: Tier = serde_json::from_str(
        r#"{"requests":{"memory":"80Mi"},"limits":{"memory":"90Mi","pids":10}}"#,
    )
    .unwrap();
    let profile = Profile { tiers: [("large".parse().unwrap(), tier)].into(), ..node() };
    let mut sized = AgentSpec::new("sized".parse().unwrap(), Digest::of(b"image"));
    sized.resources.tier = Some("large".parse().unwrap());
    sized.resources.limits.pids = Some(5);
    assert!(check([&sized, &agent("b", 30, 0)], [], &profile).is_err());
    let wish = LocalWish { spec: sized, stopped: false, generation: 0 };
    let desired = Desired::merge(Wishes { local: &[wish], ..Wishes::default() }, &profile);
    let limits = &desired.agents.values().next().unwrap().spec.resources.limits;
    assert_eq!((limits.memory, limits.pids), (Some(Memory(90 << 20)), Some(5)));
}

#[test]
fn a_tier_must_not_give_requests_over_the_agents_own_limits_nor_the_other_way_round() {
    let tier = |text| serde_json::from_str::<Tier>(text).unwrap();
    let large = tier(r#"{"requests":{"memory":"80Mi","cpu":"500m"}}"#);
    let small = tier(r#"{"limits":{"memory":"8Mi"}}"#);
    let tiers = [("large".parse().unwrap(), large), ("small".parse().unwrap(), small)].into();
    let profile = Profile { tiers, ..node() };
    let sized = |name: &str, change: &dyn Fn(&mut crate::agent::Resources)| {
        let mut spec = AgentSpec::new("sized".parse().unwrap(), Digest::of(b"image"));
        spec.resources.tier = Some(name.parse().unwrap());
        change(&mut spec.resources);
        spec
    };
    let low = sized("large", &|own| own.limits.memory = Some(Memory(16 << 20)));
    let error = check([&low], [], &profile).unwrap_err();
    assert_eq!(error.at().1, "resources.tier");
    assert_eq!(
        error.to_string(),
        "agent 'sized': resources.tier: with 'large', requests.memory is 80Mi, over limits.memory, \
         which is 16Mi"
    );
    let slow = sized("large", &|own| own.limits.cpu = Some(Cpu { millis: 100 }));
    let error = check([&slow], [], &profile).unwrap_err().to_string();
    assert!(error.contains("requests.cpu is 500m, over limits.cpu, which is 100m"), "{error}");
    let greedy = sized("small", &|own| own.requests.memory = Some(Memory(9 << 20)));
    let error = check([&greedy], [], &profile).unwrap_err().to_string();
    assert!(error.contains("'small'") && error.contains("9Mi") && error.contains("8Mi"), "{error}");
    let fits = sized("large", &|own| own.limits.memory = Some(Memory(80 << 20)));
    assert_eq!(check([&fits], [], &profile), Ok(()));

    // A tier that changes later holds the agent up, and says why.
    let wish = LocalWish { spec: low, stopped: false, generation: 0 };
    let desired = Desired::merge(Wishes { local: &[wish], ..Wishes::default() }, &profile);
    let obstacle = desired.agents.values().next().unwrap().obstacle.clone().unwrap();
    assert!(obstacle.contains("'large'") && obstacle.contains("80Mi"), "{obstacle}");
}

#[test]
fn the_fleet_goes_before_local_wishes_and_the_sum_never_passes_the_budget() {
    let document = Accepted::for_tests(Document {
        api_version: ApiVersion::V1,
        version: 1,
        audience: crate::bundle::Address::Node("box-1".parse().unwrap()),
        configs: Default::default(),
        agents: vec![agent("fleet", 70, 0)],
    });
    let wish = |text, memory, priority| {
        let mut spec = agent(text, memory, 0);
        spec.priority = priority;
        LocalWish { spec, stopped: false, generation: 0 }
    };
    use crate::agent::Priority::{High, Low};
    let local = [wish("a", 20, Low), wish("b", 20, High), wish("c", 10, Low)];
    let wishes = Wishes { document: Some(&document), local: &local, local_configs: None };
    let desired = Desired::merge(wishes, &node());
    let blocked: Vec<_> = desired
        .agents
        .iter()
        .filter(|(_, agent)| agent.obstacle.is_some())
        .map(|(name, agent)| (name.as_str(), agent.halt))
        .collect();
    assert_eq!(blocked, [("a", Some(Why::NotAdmitted))]);
}
