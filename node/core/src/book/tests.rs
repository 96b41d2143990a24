//! The book against a world in which time passes, runs end, and clocks jump.

use super::*;
use crate::admit::Profile;
use crate::agent::AgentSpec;
use crate::desired::{DesiredAgent, LocalWish, Wishes};
use crate::ids::Digest;
use crate::observed::{Exit, ObservedAgent};
use crate::plan::Step;

const MINUTE: i64 = 60_000;

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn wall(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

struct World {
    wishes: Vec<LocalWish>,
    book: Book,
    observed: Observed,
    memory: Memory,
    tick: Tick,
    wall_ms: i64,
    boot: String,
    fresh: u32,
    /// What was started, in order: agent and execution.
    started: Vec<(String, String)>,
}

impl World {
    fn new(job: &str) -> Self {
        let mut spec = AgentSpec::new(name("job"), Digest::of(b"image"));
        spec.job = Some(serde_json::from_str(job).unwrap());
        spec.check().unwrap();
        Self {
            wishes: vec![LocalWish { spec, stopped: false, generation: 0 }],
            book: Book::default(),
            observed: Observed::default(),
            memory: Memory::default(),
            tick: Tick(1_000_000),
            wall_ms: wall("2026-06-01T12:00:30Z"),
            boot: "boot-1".into(),
            fresh: 0,
            started: Vec::new(),
        }
    }

    fn desired(&self) -> Arc<Desired> {
        let wishes = Wishes { local: &self.wishes, ..Wishes::default() };
        Arc::new(Desired::merge(wishes, &Profile::default()))
    }

    /// One turn, and what the planner would do after it: runs that may start do.
    fn turn(&mut self) -> Turn {
        let desired = self.desired();
        let running = self.book.lay_over(&desired);
        self.memory.learn(&running, &self.observed, self.tick, || 0);
        let now = Now { tick: self.tick, wall_ms: self.wall_ms, boot: &self.boot };
        let fresh = &mut self.fresh;
        let zones = |name: &str| match name {
            "Europe/Berlin" => TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").ok(),
            _ => None,
        };
        let turn = self.book.turn(&desired, &self.observed, &self.memory, &zones, now, || {
            *fresh += 1;
            *fresh
        });
        self.follow(&self.book.lay_over(&desired));
        turn
    }

    fn follow(&mut self, desired: &Desired) {
        for (agent, wanted) in &desired.agents {
            let seen = self.observed.agents.get(agent);
            let live = seen.is_some_and(|seen| seen.phase.is_live());
            if wanted.halt.is_some() {
                if live {
                    self.end(agent.as_str(), 143);
                }
                continue;
            }
            let same = seen.is_some_and(|seen| seen.instance == wanted.instance);
            let again = self.memory.of(agent).and_then(|m| m.ended).map(|(verdict, _)| verdict);
            if live || same && !matches!(again, Some(Verdict::Again(_))) {
                continue;
            }
            self.start(agent, wanted);
        }
    }

    fn start(&mut self, agent: &AgentName, wanted: &DesiredAgent) {
        let run = wanted.run.clone().unwrap();
        let now = Now { tick: self.tick, wall_ms: self.wall_ms, boot: &self.boot };
        assert!(self.book.starting(&run, now));
        self.started.push((agent.to_string(), run.execution));
        self.memory.note(&Step::Start { agent: agent.clone() }, self.tick);
        let phase = Phase::Running { pid: 7, since: self.tick };
        let (instance, spec) = (wanted.instance, wanted.spec.clone());
        self.observed.agents.insert(agent.clone(), ObservedAgent { instance, spec, phase });
    }

    fn end(&mut self, agent: &str, code: i32) {
        let (signal, oom_killed) = (None, false);
        let exit = Exit { code: Some(code), signal, oom_killed, ran_ms: 5, finished_at_ms: 0 };
        self.observed.agents.get_mut(&name(agent)).unwrap().phase = Phase::Exited(exit);
    }

    /// Both clocks go on.
    fn pass(&mut self, ms: i64) {
        self.tick = self.tick.after(Span { millis: u64::try_from(ms).unwrap() });
        self.wall_ms += ms;
    }

    fn reboot(&mut self, off_ms: i64) {
        self.boot.push('x');
        self.tick = Tick(5_000);
        self.wall_ms += off_ms;
        self.observed.agents.clear();
        self.memory = Memory::default();
        // What the store gives back after a restart.
        self.book = serde_json::from_slice(&serde_json::to_vec(&self.book).unwrap()).unwrap();
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let record = self.book.of(&name("job")).unwrap();
        record.history.iter().rev().map(|ended| ended.outcome).collect()
    }

    /// Turns until the next moment that the book asks for.
    fn sleep(&mut self) {
        let wake = self.turn().wake_at.expect("nothing is due");
        let left = i64::try_from(wake.since(self.tick).millis).unwrap();
        self.pass(left);
        self.turn();
    }
}

#[test]
fn a_schedule_runs_at_its_times_and_not_when_it_is_deployed() {
    let mut world = World::new(r#"{"schedule":"*/15 * * * *"}"#);
    world.turn();
    assert!(world.started.is_empty());
    world.sleep();
    assert_eq!(world.wall_ms, wall("2026-06-01T12:15:00Z"));
    assert_eq!(world.started.len(), 1);
    world.end("job", 0);
    world.sleep();
    assert_eq!(world.wall_ms, wall("2026-06-01T12:30:00Z"));
    assert_eq!(world.outcomes(), [Outcome::Succeeded]);
    assert_ne!(world.started[0].1, world.started[1].1);
}

#[test]
fn what_was_missed_while_off_runs_once() {
    let mut world = World::new(r#"{"schedule":"@hourly"}"#);
    world.turn();
    world.reboot(5 * 60 * MINUTE);
    world.turn();
    world.turn();
    assert_eq!(world.started.len(), 1);
    assert!(world.started[0].1.starts_with("job-"));
    let record = world.book.of(&name("job")).unwrap();
    assert_eq!(
        record.runs[0].scheduled_ms,
        wall("2026-06-01T17:00:00Z"),
        "the last that was missed"
    );
}

#[test]
fn an_interval_does_not_care_about_the_wall_clock() {
    let mut world = World::new(r#"{"schedule":"@every 10m"}"#);
    world.turn();
    world.wall_ms = wall("2040-01-01T00:00:00Z");
    world.turn();
    assert!(world.started.is_empty());
    world.sleep();
    assert_eq!(world.started.len(), 1);
    world.end("job", 0);
    world.wall_ms = wall("1970-01-01T00:00:00Z");
    world.sleep();
    assert_eq!(world.started.len(), 2);
    world.end("job", 0);
    // Off for longer than the interval: due at once, and once.
    world.wall_ms = wall("2026-06-01T13:00:00Z");
    world.sleep();
    world.end("job", 0);
    world.reboot(60 * MINUTE);
    world.turn();
    world.turn();
    assert_eq!(world.started.len(), 4);
}

#[test]
fn a_clock_that_jumps_years_runs_a_job_once_at_most_and_never_stops_it() {
    let mut world = World::new(r#"{"schedule":"@hourly"}"#);
    world.turn();
    let real = world.wall_ms;
    // Forward: what lies between runs once.
    world.wall_ms = wall("2040-01-01T00:30:00Z");
    world.turn();
    world.end("job", 0);
    world.turn();
    world.turn();
    assert_eq!(world.started.len(), 1);
    // Back to where it was: the schedule goes on, though its mark says 2040.
    world.wall_ms = real;
    world.turn();
    assert_eq!(world.started.len(), 1);
    world.sleep();
    assert_eq!(world.started.len(), 2);
    world.end("job", 0);
    world.sleep();
    assert_eq!(world.started.len(), 3);
}

#[test]
fn a_boot_without_a_clock_does_not_run_again_what_ran() {
    let mut world = World::new(r#"{"schedule":"0 3 * * *"}"#);
    world.wall_ms = wall("2026-06-01T02:00:00Z");
    world.turn();
    world.sleep();
    world.end("job", 0);
    world.turn();
    assert_eq!(world.started.len(), 1);
    // 1970 until the time is known, which is an hour later in truth.
    world.reboot(0);
    world.wall_ms = 30_000;
    world.turn();
    world.wall_ms = wall("2026-06-01T04:00:00Z");
    world.turn();
    assert_eq!(world.started.len(), 1);
    world.sleep();
    assert_eq!(world.wall_ms, wall("2026-06-02T03:00:00Z"));
    assert_eq!(world.started.len(), 2);
}

#[test]
fn a_retry_has_the_same_execution_and_is_counted_over_restarts() {
    let mut world = World::new(r#"{"schedule":"@hourly","retries":2}"#);
    world.turn();
    world.sleep();
    world.end("job", 1);
    world.turn();
    // The node process is killed: what it remembered is gone, what it wrote is not.
    world.memory = Memory::default();
    world.end("job", 1);
    world.turn();
    world.end("job", 1);
    world.turn();
    world.turn();
    assert_eq!(world.started.len(), 3, "one try and two retries");
    assert!(world.started.iter().all(|(_, execution)| *execution == world.started[0].1));
    assert_eq!(world.outcomes(), [Outcome::Failed]);
    assert_eq!(world.book.of(&name("job")).unwrap().history[0].attempts, 3);
}

#[test]
fn a_restart_of_the_device_is_a_failed_try() {
    for (retries, outcome, starts) in [(0, Some(Outcome::Interrupted), 1), (1, None, 2)] {
        let mut world = World::new(&format!(r#"{{"schedule":"@hourly","retries":{retries}}}"#));
        world.turn();
        world.sleep();
        world.reboot(MINUTE);
        world.turn();
        assert_eq!(world.outcomes().first().copied(), outcome);
        assert_eq!(world.started.len(), starts);
    }
}

#[test]
fn concurrency_means_what_it_says() {
    for (policy, started, outcomes) in [
        ("forbid", vec!["job"], vec![Outcome::Skipped]),
        ("replace", vec!["job", "job"], vec![Outcome::Superseded]),
        ("allow", vec!["job-0", "job-1"], vec![]),
    ] {
        let mut world =
            World::new(&format!(r#"{{"schedule":"* * * * *","concurrency":"{policy}"}}"#));
        world.turn();
        world.sleep();
        world.sleep();
        world.turn();
        let names: Vec<_> = world.started.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, started, "{policy}");
        assert_eq!(world.outcomes(), outcomes, "{policy}");
    }
}

#[test]
fn a_run_ends_at_its_deadline_and_the_book_asks_to_be_woken_then() {
    let mut world = World::new(r#"{"schedule":"@hourly","deadline":"5m","retries":9}"#);
    world.turn();
    world.sleep();
    let begun = world.wall_ms;
    world.sleep();
    assert_eq!(world.wall_ms, begun + 5 * MINUTE);
    world.turn();
    assert_eq!(world.outcomes(), [Outcome::Deadline]);
    assert_eq!(world.started.len(), 1);
}

#[test]
fn a_run_that_could_not_start_says_why_and_what_was_kept_before_is_read() {
    let mut world = World::new("{}");
    world.turn();
    let message = "no such disk".to_owned();
    world.observed.agents.get_mut(&name("job")).unwrap().phase = Phase::Failed { message };
    world.turn();
    let last = world.book.of(&name("job")).unwrap().last().unwrap().clone();
    assert_eq!((last.outcome, last.exit.as_ref()), (Outcome::Failed, None));
    assert_eq!(last.ending().as_deref(), Some("no such disk"));
    let mut old = serde_json::to_value(&last).unwrap();
    old.as_object_mut().unwrap().remove("message");
    let old: Ended = serde_json::from_value(old).unwrap();
    assert_eq!(old, Ended { message: None, ..last });
}

#[test]
fn a_job_without_a_schedule_runs_once_until_it_changes_or_somebody_asks() {
    let mut world = World::new("{}");
    world.turn();
    world.end("job", 0);
    world.turn();
    world.reboot(MINUTE);
    world.turn();
    world.turn();
    assert_eq!(world.started.len(), 1);
    world.wishes[0].spec.args = Some(vec!["again".into()]);
    world.turn();
    assert_eq!(world.started.len(), 2);
    world.end("job", 1);
    world.turn();
    world.wishes[0].generation += 1;
    world.turn();
    assert_eq!(world.started.len(), 3);
    assert_eq!(world.outcomes(), [Outcome::Succeeded, Outcome::Failed]);
}

#[test]
fn a_new_wish_of_the_same_name_is_no_call_for_a_run() {
    let mut world = World::new(r#"{"schedule":"@hourly"}"#);
    world.turn();
    world.wishes[0].generation = 1;
    world.turn();
    assert_eq!(world.started.len(), 1, "asked for by hand");
    world.end("job", 0);
    world.turn();
    world.wishes[0].generation = 0;
    world.wishes[0].spec.args = Some(vec!["changed".into()]);
    world.turn();
    world.turn();
    assert_eq!(world.started.len(), 1);
}

#[test]
fn history_is_bounded_and_a_zone_is_followed() {
    let mut world =
        World::new(r#"{"schedule":"30 2 * * *","timeZone":"Europe/Berlin","history":2}"#);
    world.turn();
    for _ in 0..4 {
        world.sleep();
        world.end("job", 0);
        world.turn();
    }
    assert_eq!(world.wall_ms, wall("2026-06-05T00:30:00Z"));
    assert_eq!(world.outcomes().len(), 2);
    let mut nowhere = World::new(r#"{"schedule":"@daily","timeZone":"Nowhere/Else"}"#);
    nowhere.turn();
    let record = nowhere.book.of(&name("job")).unwrap();
    assert!(record.problem.as_ref().unwrap().contains("Nowhere/Else"));
}
