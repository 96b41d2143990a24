//! One step, one effect. A step that fails is told by `false`, and by what is observed after it.

use skerry_core::accept::Accepted;
use skerry_core::audit::{Event, Kind};
use skerry_core::desired::{Desired, DesiredAgent, Source};
use skerry_core::document::Document;
use skerry_core::health::Check;
use skerry_core::ids::AgentName;
use skerry_core::plan::{Step, Why};

use super::Reconciler;
use crate::clock;
use crate::containers::history::Circumstances;
use crate::containers::{ContainerError, Found};
use crate::probe::Subject;
use crate::store::StoreError;
use crate::wake::{self, watch_child};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("image: {0}")]
    Image(#[from] skerry_images::StoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nobody wants it any more")]
    Gone,
}

impl Reconciler {
    /// Does a step; `false` if it failed.
    pub(super) fn execute(&mut self, step: &Step, desired: &Desired) -> bool {
        let agent = step.agent();
        let done = match step {
            Step::Start { agent } => self.start(agent, desired),
            Step::Terminate { agent, why } => {
                tracing::info!(%agent, %why, "stopping");
                self.containers.terminate(agent).map_err(StepError::from)
            }
            Step::Kill { agent, why } => {
                tracing::info!(%agent, %why, "killing");
                self.containers.kill(agent).map_err(StepError::from)
            }
            Step::Clean { agent } => self.clean(agent, desired),
            Step::Probe { agent, check } => {
                self.probe(agent, *check);
                Ok(())
            }
            Step::Adjust { agent } => {
                self.adjust(agent, desired);
                Ok(())
            }
        };
        self.memory.note(step, clock::tick());
        if !matches!(step, Step::Probe { .. } | Step::Start { .. }) {
            self.look(agent);
        }
        if let Err(error) = &done {
            tracing::warn!(%agent, %error, ?step, "step failed");
        }
        done.is_ok()
    }

    fn start(&mut self, name: &AgentName, desired: &Desired) -> Result<(), StepError> {
        let wanted = desired.agents.get(name).ok_or(StepError::Gone)?;
        if let Some(run) = &wanted.run {
            // A run that was started and not written down would be started too often.
            self.note_attempt(run)?;
        }
        let failures = self.memory.failures(name, wanted.instance);
        let launched = self
            .images
            .image(&wanted.spec.image)
            .map_err(StepError::from)
            .and_then(|image| Ok(self.containers.start(wanted, &image, failures)?));
        match launched {
            Ok(monitor) => {
                tracing::info!(agent = %name, image = %wanted.spec.image, "starting");
                self.audit.note(started(wanted, self.ledger.borrow().document.as_deref()));
                if let Ok(pid) = i32::try_from(monitor.pid) {
                    self.watched.insert(name.clone(), pid);
                }
                watch_child(name.clone(), monitor, self.events_in.clone());
                self.watch(name);
                self.look(name);
                Ok(())
            }
            Err(error) => {
                if matches!(error, StepError::Image(_)) {
                    // It is not whole: said as such, until it is imported again.
                    self.present.remove(&wanted.spec.image);
                    return Err(error);
                }
                // It backs off like one that started and failed.
                let message = told(&error);
                self.containers.leave_failure(wanted, failures, &message);
                let failed = Found::failed(wanted, failures, message);
                self.judge_start(name, &failed.seen.phase);
                self.note_end(name, &failed);
                self.found.insert(name.clone(), failed);
                Err(error)
            }
        }
    }

    /// Writes down how an agent ended. What cannot be written is told, and nothing waits for it.
    pub(super) fn note_end(&self, name: &AgentName, found: &Found) {
        if found.seen.phase.is_live() {
            return;
        }
        let remembered = self.memory.of(name);
        let of_run = |wanted: &DesiredAgent| wanted.run.as_ref().map(|run| run.execution.clone());
        let with_runs = self.kept.book.lay_over(&self.ledger.borrow().desired);
        let wanted = with_runs.agents.get(name).filter(|w| w.instance == found.seen.instance);
        let why = remembered.and_then(|memory| memory.stop).map(|stop| stop.why);
        let ill = remembered.filter(|_| why == Some(Why::Unhealthy));
        let known = Circumstances {
            why,
            said: ill.map(|memory| memory.checks.reason(&found.seen.spec)),
            restarts: remembered.map_or(0, |memory| memory.restarts),
            execution: wanted.and_then(of_run),
            now_ms: clock::wall_ms(),
        };
        match self.containers.note_end(name, found, known) {
            Ok(None) => {}
            Ok(Some(ended)) => {
                let event = Event::new(Kind::Stopped, name.as_str());
                self.audit.note(event.digest(found.seen.spec.image).detail(&ended.in_words()));
            }
            Err(error) => tracing::warn!(agent = %name, %error, "its history is not kept"),
        }
    }

    fn clean(&mut self, name: &AgentName, desired: &Desired) -> Result<(), StepError> {
        self.containers.clean(name)?;
        if !desired.agents.contains_key(name) {
            self.containers.forget(name)?;
        }
        self.found.remove(name);
        self.watched.remove(name);
        Ok(())
    }

    /// Gives a running agent what can be changed without a restart. A refusal is told, and tried
    /// again after a while.
    fn adjust(&mut self, name: &AgentName, desired: &Desired) {
        let Some(wanted) = desired.agents.get(name) else { return };
        let result = self.containers.adjust(wanted).map_err(|error| told(&error));
        match &result {
            Ok(()) => tracing::info!(agent = %name, "changed while it runs"),
            Err(error) => tracing::warn!(agent = %name, error, "cannot be changed while it runs"),
        }
        self.memory.adjusted(name, &wanted.spec, clock::tick(), result);
    }

    fn probe(&self, name: &AgentName, check: Check) {
        let Some(found) = self.found.get(name) else { return };
        let (Some(how), Some(state)) = (check.of(&found.seen.spec), &found.state) else { return };
        let (how, events, prober) = (how.clone(), self.events_in.clone(), self.prober.clone());
        let run_dir = self.containers.run_dir(name);
        let subject = Subject { agent: name.clone(), check, run_dir, pid: state.init.pid };
        tokio::spawn(async move {
            let result = prober.probe(&how, &subject).await;
            let _ = events.send(wake::Event::Probed { agent: subject.agent, check, result }).await;
        });
    }
}

/// The start of an agent, by whoever wants it.
fn started(wanted: &DesiredAgent, document: Option<&Accepted<Document>>) -> Event {
    let event = Event::new(Kind::Started, wanted.spec.name.as_str()).digest(wanted.spec.image);
    match (wanted.source, document) {
        (Source::Fleet, Some(document)) => {
            event.version(document.get().version).keys(document.signed_by())
        }
        (source, _) => event.detail(&source.to_string()),
    }
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
