//! Answers about the node as a whole: what it gives, its jobs, and the stop of everything.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use skerry_core::book::{Book, Run};
use skerry_core::desired::DesiredJob;
use skerry_core::ids::AgentName;
use tokio::sync::oneshot;

use super::answers::Node;
use super::{Body, json, refuse};
use crate::api::{Done, Down, JobDetail, JobList, JobRun};
use crate::wake::Event;

/// How long a question whether everything is stopped is held.
const HOLD: Duration = Duration::from_secs(30);

impl Node {
    pub(super) fn profile(&self) -> Response<Body> {
        json(StatusCode::OK, &*self.ledger.borrow().profile)
    }

    /// The audit log, with its head signed by the node.
    pub(super) fn audit(&self) -> Response<Body> {
        match self.audit.export() {
            Ok(log) => Response::new(Full::new(Bytes::from(log)).boxed()),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    pub(super) fn jobs(&self) -> Response<Body> {
        let (book, desired) =
            (self.snapshots.borrow().book.clone(), self.ledger.borrow().desired.clone());
        let jobs = desired.jobs.iter().map(|(name, job)| (name.clone(), detail(name, job, &book)));
        json(StatusCode::OK, &JobList { jobs: jobs.collect() })
    }

    /// The runs of a job, or of the job whose run an agent is.
    pub(super) fn job(&self, name: &AgentName) -> Option<JobDetail> {
        let (book, desired) =
            (self.snapshots.borrow().book.clone(), self.ledger.borrow().desired.clone());
        desired.jobs.get(name).map(|job| detail(name, job, &book))
    }

    /// Stops everything. Where nobody would start the node's process again, it ends then; else it
    /// stays, and so does a new one until `up` or a restart of the machine.
    pub(super) async fn down(&self) -> Response<Body> {
        let ends = !self.supervised;
        if !ends && let Err(error) = self.mark.set() {
            let text = format!("cannot write down that everything is to be stopped: {error}");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
        let (done, told) = oneshot::channel();
        if self.door.send(Event::Down(done)).await.is_err() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the node is shutting down".to_owned());
        }
        // Who asks later takes the place of who asked before, and that one asks again.
        let done = matches!(tokio::time::timeout(HOLD, told).await, Ok(Ok(())));
        if done && ends {
            // This answer is written before anybody else has a turn: there is one thread, and hyper
            // goes on from here to the socket.
            self.ending.notify_one();
        }
        let found = self.snapshots.borrow().found.clone();
        let live = found.iter().filter(|(_, found)| found.seen.phase.is_live());
        let left = live.map(|(name, _)| name.clone()).filter(|_| !done).collect();
        json(StatusCode::OK, &Down { done, left, ends })
    }

    pub(super) async fn up(&self) -> Response<Body> {
        if let Err(error) = self.mark.clear() {
            let text = format!("cannot forget that everything is stopped: {error}");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
        match self.door.send(Event::Up).await {
            Ok(()) => json(StatusCode::OK, &Done {}),
            Err(_) => {
                refuse(StatusCode::SERVICE_UNAVAILABLE, "the node is shutting down".to_owned())
            }
        }
    }
}

fn detail(name: &AgentName, job: &DesiredJob, book: &Book) -> JobDetail {
    let schedule = job.agent.spec.job.as_ref().and_then(|job| job.schedule.clone());
    let Some(record) = book.of(name) else {
        return JobDetail { schedule, ..JobDetail::default() };
    };
    let run = |run: &Run| JobRun {
        execution: run.execution.clone(),
        scheduled_ms: run.scheduled_ms,
        started_ms: run.started_ms,
        attempts: run.attempts,
    };
    JobDetail {
        schedule,
        next_run_ms: record.next_ms,
        problem: record.problem.clone(),
        running: record.runs.iter().map(run).collect(),
        history: record.history.clone(),
    }
}
