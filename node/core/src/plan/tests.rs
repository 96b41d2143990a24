//! The planner against a small world that obeys its steps: examples first, then properties.

use proptest::prelude::*;

use super::*;
use crate::accept::Accepted;
use crate::admit::Profile;
use crate::agent::{AgentSpec, Condition, HealthCheck, Restart};
use crate::bundle::Address;
use crate::desired::{LocalWish, Wishes};
use crate::document::{ApiVersion, Document};
use crate::ids::Digest;
use crate::observed::{Exit, ObservedAgent};

mod ends;

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn spec(text: &str) -> AgentSpec {
    AgentSpec::new(name(text), Digest::of(b"image"))
}

fn exit(code: i32) -> Exit {
    Exit { code: Some(code), signal: None, oom_killed: false, ran_ms: 10, finished_at_ms: 0 }
}

/// A machine that carries out steps, with a clock of its own.
#[derive(Clone)]
struct World {
    desired: Desired,
    observed: Observed,
    memory: Memory,
    book: Book,
    now: Tick,
    /// Programs that do not react to the polite signal.
    stubborn: bool,
    /// Whether programs pass their health check.
    healthy: bool,
    log: Vec<String>,
}

impl World {
    fn new(specs: &[AgentSpec]) -> Self {
        let mut world = Self {
            desired: Desired::default(),
            observed: Observed::default(),
            memory: Memory::default(),
            book: Book::default(),
            now: Tick(1000),
            stubborn: false,
            healthy: true,
            log: Vec::new(),
        };
        world.observed.images.insert(Digest::of(b"image"));
        world.want(specs);
        world
    }

    fn want(&mut self, specs: &[AgentSpec]) {
        let document = Document {
            api_version: ApiVersion::V1,
            version: 1,
            audience: Address::Node("box-1".parse().unwrap()),
            configs: BTreeMap::new(),
            agents: specs.to_vec(),
        };
        document.check().unwrap();
        let accepted = Accepted::for_tests(document);
        let wishes = Wishes { document: Some(&accepted), ..Wishes::default() };
        self.desired = Desired::merge(wishes, &Profile::default());
    }

    fn plan(&mut self) -> Plan {
        self.memory.learn(&self.desired, &self.observed, self.now, || 0);
        plan(&self.desired, &self.observed, &self.memory, &self.book, self.now)
    }

    /// Does the steps of one plan, after checking what must hold of each.
    fn obey(&mut self, plan: &Plan) {
        for step in &plan.steps {
            self.check(step);
            self.log.push(format!("{step:?}"));
            let agent = step.agent().clone();
            match step {
                Step::Start { .. } => {
                    let wanted = &self.desired.agents[&agent];
                    assert!(!self.observed.agents.contains_key(&agent), "started over traces");
                    let seen = ObservedAgent {
                        instance: wanted.instance,
                        spec: wanted.spec.clone(),
                        phase: Phase::Starting,
                    };
                    self.observed.agents.insert(agent, seen);
                }
                Step::Terminate { .. } if self.stubborn => {}
                Step::Terminate { .. } | Step::Kill { .. } => self.end(&agent, exit(143)),
                Step::Clean { .. } => {
                    let gone = self.observed.agents.remove(&agent);
                    assert!(gone.is_none_or(|g| !g.phase.is_live()), "cleaned what lives");
                }
                Step::Probe { .. } => {}
                Step::Adjust { .. } => {
                    let wanted = self.desired.agents[&agent].spec.clone();
                    self.observed.agents.get_mut(&agent).unwrap().spec = wanted;
                }
            }
            self.memory.note(step, self.now);
            if let Step::Probe { agent, check } = step {
                let seen = self.observed.agents[agent].clone();
                let result = if self.healthy { Ok(()) } else { Err("ill".to_owned()) };
                self.memory.probed(agent, &seen, *check, self.now, result);
            }
        }
    }

    /// What must hold of every step, whatever happened before.
    fn check(&self, step: &Step) {
        let agent = step.agent();
        let (wanted, seen) = (self.desired.agents.get(agent), self.observed.agents.get(agent));
        let stopping = self.memory.of(agent).is_some_and(|m| m.stop.is_some());
        match step {
            Step::Start { .. } => {
                let wanted = wanted.expect("started what nobody wants");
                for (on, condition) in &wanted.spec.depends_on {
                    let phase = &self.observed.agents[on].phase;
                    let holds = match condition {
                        Condition::Started => matches!(
                            phase,
                            Phase::Running { .. } | Phase::Exited(_) | Phase::Lost { .. }
                        ),
                        Condition::Healthy => matches!(phase, Phase::Running { .. }),
                        Condition::Completed => {
                            matches!(phase, Phase::Exited(e) if e.is_success())
                        }
                    };
                    assert!(holds, "{agent} started before {on} was {condition}");
                }
            }
            Step::Terminate { why, .. } | Step::Kill { why, .. } => {
                let same = wanted.zip(seen).is_some_and(|(w, s)| w.instance == s.instance);
                let halted = wanted.is_some_and(|w| w.halt == Some(*why));
                let fine = matches!(why, Why::Unhealthy | Why::Lost) || halted || stopping;
                assert!(!same || fine, "{agent} did not change, and was stopped: {why}");
            }
            Step::Adjust { .. } => {
                let same = wanted.zip(seen).is_some_and(|(w, s)| w.instance == s.instance);
                assert!(same, "{agent} was adjusted to what needs another container");
            }
            Step::Clean { .. } | Step::Probe { .. } => {}
        }
    }

    fn end(&mut self, agent: &AgentName, exit: Exit) {
        if let Some(seen) = self.observed.agents.get_mut(agent) {
            seen.phase = Phase::Exited(exit);
        }
    }

    fn run_starting(&mut self) {
        let now = self.now;
        for seen in self.observed.agents.values_mut() {
            if seen.phase == Phase::Starting {
                seen.phase = Phase::Running { pid: 7, since: now };
            }
        }
    }

    /// Runs until nothing but health probes is left to do; returns the last plan.
    fn settle(&mut self) -> Plan {
        for _ in 0..2000 {
            let plan = self.plan();
            self.obey(&plan);
            let waits = self.observed.agents.values().any(|a| a.phase == Phase::Starting);
            self.run_starting();
            let only_probes = plan.steps.iter().all(|s| matches!(s, Step::Probe { .. }));
            if only_probes && !waits && self.at_rest(&plan) {
                return plan;
            }
            self.now = match plan.wake_at {
                Some(at) if plan.steps.is_empty() => at.max(self.now),
                _ => Tick(self.now.0 + 1),
            };
        }
        panic!("no end in sight: {:#?}", self.log.iter().rev().take(20).collect::<Vec<_>>());
    }

    fn at_rest(&self, plan: &Plan) -> bool {
        plan.status.values().all(|s| {
            matches!(
                s.state,
                State::Running
                    | State::Completed
                    | State::Failed
                    | State::GaveUp
                    | State::Stopped
                    | State::Blocked
            ) || (s.state == State::Waiting && !self.healthy)
        }) && self.observed.agents.values().all(|seen| {
            let probed = seen.spec.health_check.is_some() && self.healthy;
            !probed
                || self.memory.of(&seen.spec.name).is_some_and(|m| {
                    m.checks.serves(&seen.spec) || !matches!(seen.phase, Phase::Running { .. })
                })
        })
    }

    fn starting(&self) -> bool {
        self.observed.agents.values().any(|a| a.phase == Phase::Starting)
    }

    fn states(&mut self) -> Vec<(String, State)> {
        self.plan().status.iter().map(|(n, s)| (n.to_string(), s.state)).collect()
    }

    fn running(&self, text: &str) -> bool {
        matches!(
            self.observed.agents.get(&name(text)).map(|a| &a.phase),
            Some(Phase::Running { .. })
        )
    }
}

#[test]
fn dependents_start_after_and_stop_before() {
    let mut app = spec("app");
    app.depends_on.insert(name("db"), Condition::Started);
    let mut world = World::new(&[app, spec("db")]);
    world.settle();
    assert!(world.running("app") && world.running("db"));
    assert_eq!(
        world.log,
        ["Start { agent: AgentName(\"db\") }", "Start { agent: AgentName(\"app\") }"]
    );
    world.log.clear();
    world.want(&[]);
    world.settle();
    let stops: Vec<_> = world.log.iter().filter(|l| l.starts_with("Terminate")).collect();
    assert!(stops[0].contains("app") && stops[1].contains("db"), "{stops:?}");
    assert!(world.observed.agents.is_empty());
}

#[test]
fn one_changed_spec_touches_one_agent() {
    let mut world = World::new(&[spec("a"), spec("b")]);
    world.settle();
    world.log.clear();
    let mut changed = spec("b");
    changed.env.insert("X".into(), "1".into());
    world.want(&[spec("a"), changed]);
    world.settle();
    assert!(world.log.iter().all(|line| line.contains("\"b\"")), "{:?}", world.log);
    assert!(world.running("b"));
}

#[test]
fn what_runs_is_kept_while_the_new_image_is_missing() {
    let mut world = World::new(&[spec("a")]);
    world.settle();
    world.log.clear();
    let mut next = spec("a");
    next.image = Digest::of(b"not here");
    world.want(&[next]);
    world.settle();
    assert!(world.running("a") && world.log.is_empty(), "{:?}", world.log);
    world.observed.images.insert(Digest::of(b"not here"));
    world.settle();
    assert_eq!(world.observed.agents[&name("a")].spec.image, Digest::of(b"not here"));
}

#[test]
fn a_program_deaf_to_the_signal_is_killed_after_its_grace() {
    let mut world = World::new(&[spec("a")]);
    world.settle();
    world.stubborn = true;
    world.want(&[]);
    let first = world.plan();
    world.obey(&first);
    let asked = world.now;
    world.settle();
    assert!(world.log.iter().any(|l| l.starts_with("Kill")), "{:?}", world.log);
    assert!(world.now >= asked.after(Span::seconds(10)), "killed before its grace was over");
}

#[test]
fn back_off_waits_and_the_status_says_so() {
    let mut world = World::new(&[spec("a")]);
    world.settle();
    world.end(&name("a"), exit(1));
    let plan = world.plan();
    assert!(plan.steps.is_empty());
    assert_eq!(plan.wake_at, Some(world.now.after(crate::agent::Backoff::default().initial)));
    assert_eq!(plan.status[&name("a")].state, State::BackOff);
    assert_eq!(plan.status[&name("a")].detail.as_deref(), Some("exit code 1"));
    world.settle();
    assert!(world.running("a"));
    assert_eq!(world.plan().status[&name("a")].restarts, 1);
}

#[test]
fn policies_end_where_they_say() {
    let mut once = spec("once");
    once.restart = Some(Restart::Never);
    let mut few = spec("few");
    few.restart = Some(Restart::OnFailure(Some(2)));
    let mut world = World::new(&[once, few]);
    world.settle();
    world.end(&name("once"), exit(3));
    for _ in 0..3 {
        world.end(&name("few"), exit(1));
        world.settle();
    }
    let expected = [("few".to_owned(), State::GaveUp), ("once".to_owned(), State::Failed)];
    assert_eq!(world.states(), expected);
}

#[test]
fn an_unhealthy_agent_is_restarted_and_counts_as_failed() {
    let mut ill = spec("ill");
    ill.health_check =
        Some(serde_json::from_str(r#"{"tcp":{"port":1},"interval":"1s","retries":2}"#).unwrap());
    let mut world = World::new(&[ill]);
    world.healthy = false;
    for _ in 0..40 {
        let plan = world.plan();
        world.obey(&plan);
        // It is looked at while it starts, too: the illness of the last run must not end this one.
        let starting = world.plan();
        assert!(
            starting.steps.iter().all(|s| !matches!(s, Step::Terminate { .. }))
                || !world.starting()
        );
        world.obey(&starting);
        world.run_starting();
        world.now = Tick(world.now.0 + 500);
    }
    let stops = world.log.iter().filter(|l| l.contains("Unhealthy")).count();
    let starts = world.log.iter().filter(|l| l.starts_with("Start")).count();
    assert!(stops >= 2 && starts >= 3, "{:?}", world.log);
    assert!(world.memory.of(&name("ill")).unwrap().failures >= 2);
}

#[test]
fn a_name_belongs_to_one_source() {
    let world = World::new(&[spec("a")]);
    let document = AgentSpec::clone(&world.desired.agents[&name("a")].spec);
    let mut local = spec("a");
    local.restart = Some(Restart::Never);
    let wish = LocalWish { spec: local, stopped: false, generation: 0 };
    let fleet = Accepted::for_tests(Document {
        api_version: ApiVersion::V1,
        version: 1,
        audience: Address::Node("box-1".parse().unwrap()),
        configs: BTreeMap::new(),
        agents: vec![document],
    });
    let wishes = Wishes { document: Some(&fleet), local: &[wish], ..Wishes::default() };
    let merged = Desired::merge(wishes, &Profile::default());
    assert_eq!(merged.clashes, [name("a")]);
    assert_eq!(merged.agents[&name("a")].source, crate::desired::Source::Local);
}

#[test]
fn what_needs_no_restart_is_changed_while_it_runs() {
    let mut world = World::new(&[spec("a")]);
    world.settle();
    let mut more = spec("a");
    more.resources.limits.memory = Some(crate::units::Memory(64 << 20));
    more.labels.insert("site".into(), "north".into());
    world.log.clear();
    world.want(&[more.clone()]);
    world.settle();
    assert_eq!(world.log, [format!("{:?}", Step::Adjust { agent: name("a") })]);
    assert!(world.plan().status[&name("a")].current);
    // Refused by the kernel: told, and tried again, but not at once.
    more.resources.limits.memory = Some(crate::units::Memory(1 << 20));
    world.want(&[more.clone()]);
    assert_eq!(world.plan().steps.len(), 1);
    let wanted = world.desired.agents[&name("a")].spec.clone();
    world.memory.adjusted(&name("a"), &wanted, world.now, Err("it uses more".into()));
    let plan = world.plan();
    assert!(plan.steps.is_empty() && plan.wake_at.is_some());
    let status = &plan.status[&name("a")];
    assert_eq!(status.state, State::Running);
    assert!(!status.current && status.detail.as_ref().unwrap().contains("it uses more"));
}

#[test]
fn what_never_began_has_completed_nothing() {
    let mut once = spec("once");
    once.restart = Some(Restart::Never);
    let mut world = World::new(&[once]);
    let plan = world.plan();
    world.obey(&plan);
    let message = "no such disk".to_owned();
    world.observed.agents.get_mut(&name("once")).unwrap().phase = Phase::Failed { message };
    let status = &world.plan().status[&name("once")];
    assert_eq!(status.state, State::Failed);
    assert_eq!(status.detail.as_deref(), Some("no such disk"));
}

#[test]
fn everything_stops_in_order_when_the_node_goes_down() {
    let mut app = spec("app");
    app.depends_on.insert(name("db"), Condition::Started);
    let mut world = World::new(&[app, spec("db")]);
    world.settle();
    world.log.clear();
    world.desired = world.desired.halted(Why::Down);
    world.settle();
    let place = |who: &str| world.log.iter().position(|l| l.contains(who)).unwrap();
    assert!(place("\"app\"") < place("\"db\""), "{:?}", world.log);
    assert_eq!(world.plan().status[&name("db")].state, State::Stopped);
}

#[test]
fn replicas_are_agents_of_their_own_and_those_that_stay_are_left_alone() {
    let mut web = spec("web");
    web.replicas = Some(2);
    let mut front = spec("front");
    front.depends_on.insert(name("web"), Condition::Started);
    let mut world = World::new(&[front.clone(), web.clone()]);
    world.settle();
    let names: Vec<_> = world.states().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["front", "web-0", "web-1"]);
    world.log.clear();
    web.replicas = Some(1);
    world.want(&[front, web]);
    world.settle();
    assert!(world.log.iter().all(|step| step.contains("web-1") || step.starts_with("Adjust")));
    assert!(world.running("web-0") && !world.running("web-1"));
}

#[test]
fn nothing_else_is_asked_until_an_agent_has_started() {
    let mut slow = spec("slow");
    let check = |text: &str| serde_json::from_str::<HealthCheck>(text).ok();
    slow.startup = check(r#"{"tcp":{"port":1},"interval":"1s","retries":100}"#);
    slow.health_check = check(r#"{"tcp":{"port":2},"interval":"1s","retries":1}"#);
    slow.readiness = check(r#"{"tcp":{"port":3},"interval":"1s"}"#);
    let mut late = spec("late");
    late.depends_on.insert(name("slow"), Condition::Healthy);
    let mut world = World::new(&[late, slow]);
    world.healthy = false;
    for _ in 0..20 {
        let plan = world.plan();
        world.obey(&plan);
        world.run_starting();
        world.now = Tick(world.now.0 + 500);
    }
    let probes = |log: &[String], which: &str| log.iter().filter(|l| l.contains(which)).count();
    assert!(probes(&world.log, "Startup") > 3);
    assert_eq!(probes(&world.log, "Readiness") + probes(&world.log, "check: Health"), 0);
    assert!(!world.running("late"));
    world.healthy = true;
    world.settle();
    assert!(world.running("late"));
    let status = &world.plan().status[&name("slow")];
    assert_eq!((status.health, status.ready), (Some(crate::health::Health::Healthy), Some(true)));
}

#[test]
fn a_check_that_goes_while_it_is_asked_and_comes_back_is_asked_again() {
    let mut checked = spec("a");
    checked.health_check =
        serde_json::from_str::<HealthCheck>(r#"{"tcp":{"port":1},"interval":"1s"}"#).ok();
    let mut world = World::new(&[checked.clone()]);
    world.settle();
    // Sent out; before the answer comes the check is taken out of the spec.
    world.now = Tick(world.now.0 + 5000);
    let step = Step::Probe { agent: name("a"), check: Check::Health };
    assert!(world.plan().steps.contains(&step));
    world.memory.note(&step, world.now);
    world.want(&[spec("a")]);
    world.settle();
    let seen = world.observed.agents[&name("a")].clone();
    world.memory.probed(&name("a"), &seen, Check::Health, world.now, Ok(()));
    world.want(&[checked]);
    world.settle();
    let status = &world.plan().status[&name("a")];
    assert_eq!(status.health, Some(crate::health::Health::Healthy));
}

#[test]
fn a_boot_with_many_agents_starts_a_few_at_a_time() {
    let many: Vec<_> = (0..50).map(|i| spec(&format!("a{i}"))).collect();
    let mut world = World::new(&many);
    let first = world.plan();
    assert_eq!(first.steps.len(), STARTING_MAX);
    world.settle();
    assert!((0..50).all(|i| world.running(&format!("a{i}"))));
}

#[test]
fn an_agent_without_its_monitor_is_killed_and_runs_again() {
    let mut world = World::new(&[spec("a")]);
    world.settle();
    world.observed.agents.get_mut(&name("a")).unwrap().phase = Phase::Lost { alive: true };
    world.settle();
    assert!(world.log.iter().any(|l| l.starts_with("Kill")), "{:?}", world.log);
    assert!(world.running("a"));
}

// ---- properties ----

#[derive(Debug, Clone)]
enum Event {
    /// A new document: for each of six agents whether it is there, and which variant.
    Document(Vec<Option<u8>>),
    Exit(u8, i32),
    Fail(u8),
    Lost(u8, bool),
    NodeRestart,
    ImageComes,
    ImageGoes,
    Time(u16),
    Steps(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => proptest::collection::vec(proptest::option::weighted(0.7, 0u8..6), 6)
            .prop_map(Event::Document),
        2 => (0u8..6, 0i32..3).prop_map(|(a, c)| Event::Exit(a, c)),
        1 => (0u8..6).prop_map(Event::Fail),
        1 => (0u8..6, any::<bool>()).prop_map(|(a, l)| Event::Lost(a, l)),
        1 => Just(Event::NodeRestart),
        1 => Just(Event::ImageComes),
        1 => Just(Event::ImageGoes),
        1 => (0u16..20_000).prop_map(Event::Time),
        4 => (1u8..5).prop_map(Event::Steps),
    ]
}

/// Agent `i` in one of its variants; it may depend on agents with a smaller number only.
fn variant(i: usize, v: u8, present: &[Option<u8>]) -> AgentSpec {
    let mut spec = spec(&format!("a{i}"));
    spec.env.insert("V".into(), (v / 2).to_string().into());
    // Half of all changes are of what needs no restart.
    spec.resources.limits.pids = Some(u32::from(v) + 1);
    if v == 5 {
        spec.image = Digest::of(b"second");
    }
    if v == 4 {
        spec.restart = Some(Restart::Never);
    }
    if v >= 3 {
        spec.health_check =
            serde_json::from_str::<HealthCheck>(r#"{"tcp":{"port":1},"interval":"5s"}"#).ok();
    }
    for (on, other) in present.iter().enumerate().take(i) {
        let Some(other) = other else { continue };
        if (usize::from(v) + on + i).is_multiple_of(3) && *other != 4 {
            let condition = if *other >= 3 { Condition::Healthy } else { Condition::Started };
            spec.depends_on.insert(name(&format!("a{on}")), condition);
        }
    }
    spec
}

fn apply(world: &mut World, event: &Event) {
    let agent = |i: &u8| name(&format!("a{i}"));
    match event {
        Event::Document(present) => {
            let specs: Vec<_> = present
                .iter()
                .enumerate()
                .filter_map(|(i, v)| v.map(|v| variant(i, v, present)))
                .collect();
            world.want(&specs);
        }
        Event::Exit(i, code) => {
            let seen = world.observed.agents.get(&agent(i)).map(|a| a.phase.is_live());
            if seen == Some(true) {
                world.end(&agent(i), exit(*code));
            }
        }
        Event::Fail(i) => {
            if let Some(seen) = world.observed.agents.get_mut(&agent(i))
                && seen.phase == Phase::Starting
            {
                seen.phase = Phase::Failed { message: "no memory".into() };
            }
        }
        Event::Lost(i, alive) => {
            if let Some(seen) = world.observed.agents.get_mut(&agent(i))
                && seen.phase.is_live()
            {
                seen.phase = Phase::Lost { alive: *alive };
            }
        }
        Event::NodeRestart => world.memory = Memory::default(),
        Event::ImageComes => drop(world.observed.images.insert(Digest::of(b"second"))),
        Event::ImageGoes => drop(world.observed.images.remove(&Digest::of(b"second"))),
        Event::Time(ms) => world.now = Tick(world.now.0 + u64::from(*ms)),
        Event::Steps(count) => {
            for _ in 0..*count {
                let plan = world.plan();
                world.obey(&plan);
                world.run_starting();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever documents, exits, failures and restarts came in whatever order: once they stop, the
    /// node reaches what was asked for last, and a settled plan is empty. On the way (in
    /// `World::check`) no dependency is violated and nothing unchanged and healthy is touched.
    #[test]
    fn every_history_converges(events in proptest::collection::vec(event(), 0..40)) {
        let mut world = World::new(&[]);
        for event in &events {
            apply(&mut world, event);
        }
        world.observed.images.insert(Digest::of(b"second"));
        world.settle();
        for (name, wanted) in &world.desired.agents {
            let seen = world.observed.agents.get(name);
            let done = wanted.spec.restart() == Restart::Never;
            prop_assert!(
                seen.is_some_and(|s| s.instance == wanted.instance
                    && (done || matches!(s.phase, Phase::Running { .. }) && s.spec == wanted.spec)),
                "{name} is not as wanted: {seen:?}"
            );
        }
        for name in world.observed.agents.keys() {
            prop_assert!(world.desired.agents.contains_key(name), "{name} was left behind");
        }
        let again = world.plan();
        let only_probes = again.steps.iter().all(|s| matches!(s, Step::Probe { .. }));
        prop_assert!(only_probes, "a settled plan is not empty: {:?}", again.steps);
    }
}
