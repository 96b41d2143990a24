//! The container's first process, as far as it is this program: after libcontainer has put it into
//! its namespaces and root, and until it is the container's own.
//!
//! Before the container counts as made, mounts are mended and the program is looked for. When the
//! start is given, the hooks of that turn run, and it becomes the program. What fails by then is
//! told through the start pipe, on which `start` listens.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::path::Path;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use serde_json::{Value, json};

use super::config::Config;
use super::create::{Report, tell};
use super::hooks::{self, Hooks};
use super::log::Log;
use super::mend;
use super::person::{self, Person};
use super::{Result, system};
use crate::sys;

/// What the first process has to do.
#[derive(Clone)]
pub struct Init {
    pub person: Person,
    pub config: Config,
    /// The state that hooks are given.
    pub state: Value,
    /// Where it tells what it is about, in the words that runc's suite looks for.
    pub log: Log,
    /// Whether it shares the caller's keys.
    pub keep_keyring: bool,
    /// To whoever makes the container.
    pub report: RawFd,
    /// To whoever starts it; closed by the kernel when the program starts.
    pub start: RawFd,
}

impl Init {
    fn prepare(&self) -> Result<()> {
        self.log.debug("child process in init()");
        if !self.keep_keyring {
            sys::leave_keyring();
        }
        if self.config.has_new("network") {
            sys::raise_loopback().map_err(system("cannot bring the loopback interface up"))?;
        }
        mend::reopen_null().map_err(system("cannot open /dev/null in the container"))?;
        mend::mend(&self.config)?;
        let process = &self.person.process;
        person::make_folder(Path::new(&process.cwd))?;
        let env = person::environment(process, 0);
        if process.args.first().is_some_and(|name| name.starts_with('/') || !name.contains('/')) {
            person::find(&process.args, &env)?;
        }
        self.log.debug("init: closing the pipe to signal completion");
        Ok(())
    }

    fn start_hooks(&self, hooks: &Hooks, env: &[String]) -> Result<()> {
        let mut state = self.state.clone();
        state["status"] = json!("created");
        state["pid"] = json!(std::process::id());
        hooks::run(hooks, "startContainer", &state, Some(env))
    }
}

impl Executor for Init {
    fn validate(&self, _: &Spec) -> std::result::Result<(), ExecutorValidationError> {
        self.prepare().map_err(|error| {
            let message = super::sentence(&error);
            let report = Report::Failed { message: message.clone() };
            sys::with_borrowed(self.report, |fd| tell(fd, &report));
            ExecutorValidationError::ArgValidationError(message)
        })
    }

    fn setup_envs(
        &self,
        _: HashMap<String, String>,
    ) -> std::result::Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    fn exec(&self, _: &Spec) -> std::result::Result<(), ExecutorError> {
        let hooks = |env: &[String]| self.start_hooks(&self.config.hooks, env);
        let Err(error) = self.person.become_program(hooks);
        let message = super::sentence(&error);
        sys::with_borrowed(self.start, |fd| {
            // Without a listener there is nobody to tell.
            let _ = rustix::io::write(fd, message.as_bytes());
        });
        Err(ExecutorError::Other(message))
    }
}
