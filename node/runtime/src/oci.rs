//! `skerry oci`: the command line of runc over the code that makes agents' containers.
//!
//! Public suites and podman drive and judge the runtime through it; the node never uses it. Decides
//! only which verb is meant, and tells how it went as runc would. Each verb is one process with one
//! thread: what lasts is in a folder below the root (`oci/state.rs`). Read next: `oci/create.rs`.

use std::ffi::OsString;
use std::process::ExitCode;

mod args;
mod cgroup;
mod config;
mod console;
mod create;
mod exec;
mod facts;
mod foreground;
mod hooks;
mod init;
mod late;
mod limits;
mod log;
mod mend;
mod person;
mod spec;
mod state;
mod time;
mod verbs;

use args::Call;
use log::Log;

/// Why a verb was not done, in the words that callers of runc look for.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The command line, or what it names, is not right.
    #[error("{0}")]
    Refused(String),
    /// The system refused.
    #[error("{operation}")]
    System {
        /// What was being done.
        operation: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

type Result<T> = std::result::Result<T, OciError>;

fn refused<T>(text: impl Into<String>) -> Result<T> {
    Err(OciError::Refused(text.into()))
}

fn system<E: Into<std::io::Error>>(operation: impl Into<String>) -> impl FnOnce(E) -> OciError {
    move |source| OciError::System { operation: operation.into(), source: source.into() }
}

/// Does what the command line asks if its first word is `oci`, or the program is called by the name
/// `skerry-oci`, or `runc`, in the place of which it may stand. To be called before anything else in the process.
pub fn dispatch(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let program = args.next()?;
    let name = std::path::Path::new(&program).file_name().unwrap_or_default();
    let by_name = ["skerry-oci", "runc"].into_iter().find(|known| name == *known);
    let mut words: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    if by_name.is_none() {
        if words.first().is_none_or(|first| first != "oci") {
            return None;
        }
        words.remove(0);
    }
    Some(main(by_name.unwrap_or("skerry oci"), &words))
}

fn main(name: &str, words: &[String]) -> ExitCode {
    let call = match args::parse(words) {
        Ok(call) => call,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(1);
        }
    };
    let log = match Log::open(&call) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{}", crate::failure::sentence(&error));
            return ExitCode::from(1);
        }
    };
    match run(name, &call, &log) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.error(&sentence(&error));
            ExitCode::from(if call.verb == "exec" { 255 } else { 1 })
        }
    }
}

/// An error and its causes; the system's errors as Go writes them, which callers look for.
fn sentence(error: &dyn std::error::Error) -> String {
    let text = crate::failure::sentence(error);
    let Some((said, _)) = text.rsplit_once(" (os error ") else { return text };
    let (before, errno) = said.rsplit_once(": ").unwrap_or(("", said));
    let mut letters = errno.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    let errno: String = first.into_iter().chain(letters).collect();
    if before.is_empty() { errno } else { format!("{before}: {errno}") }
}

fn run(name: &str, call: &Call, log: &Log) -> Result<u8> {
    if call.wants_help() {
        print!("{}", args::help(name, &call.verb));
        return Ok(0);
    }
    match call.verb.as_str() {
        "version" => verbs::version(name),
        "features" => verbs::features(),
        "spec" => spec::write(call),
        _ => {
            log.debug(&format!("{} {:?}", call.verb, call.words));
            call.check_host()?;
            with_root(call, log)
        }
    }
}

fn with_root(call: &Call, log: &Log) -> Result<u8> {
    match call.verb.as_str() {
        "create" => create::create(call, log),
        "run" => create::run(call, log),
        "start" => create::start(call, log),
        "exec" => exec::exec(call, log),
        "state" => verbs::state(call),
        "list" => verbs::list(call),
        "kill" => verbs::kill(call),
        "delete" => verbs::delete(call, log),
        "pause" => verbs::freeze(call, true),
        "resume" => verbs::freeze(call, false),
        "ps" => verbs::ps(call),
        "update" => verbs::update(call),
        "events" => facts::events(call),
        "hook" => hooks::relay(call),
        verb => refused(format!("{verb} is not supported by this runtime")),
    }
}
