//! `skerry exec`, and `skerry probe-exec` for health probes: a command inside a running agent.
//!
//! Asks the node only where the agent's records are; then enters the container from this very
//! process, which must have one thread at that moment. Exit codes are the command's own, or as
//! docker's: 125 when it was not tried, 126 cannot be run, 127 not found.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use skerry_core::ids::AgentName;
use skerry_core::plan::State;
use skerry_runtime::exec::ExecError;
use skerry_runtime::{Exec, User};

use super::Place;
use super::failure::{self, Refusal, Usage};
use super::run_spec::variable;

/// Nothing was tried.
const NOT_TRIED: u8 = 125;
/// The command is there, and cannot be run.
const CANNOT_RUN: u8 = 126;
/// The command is not there.
const NOT_FOUND: u8 = 127;

/// Runs a command inside a running agent
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// As this user, by number; the agent's own by default
    #[arg(short, long, value_name = "UID[:GID]", value_parser = user)]
    user: Option<User>,
    /// In this folder; the agent's own by default
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Set a variable on top of the agent's; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// With your terminal, passed on as it is
    #[arg(short, long)]
    tty: bool,
    /// With your standard input
    #[arg(short, long)]
    interactive: bool,
    /// The agent
    name: AgentName,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs the command, and returns its exit code.
pub fn exec(place: &Place, args: ExecArgs) -> anyhow::Result<ExitCode> {
    if args.tty && !io::stdin().is_terminal() {
        let text = "-t passes your terminal on, but standard input is none; leave -t out";
        return Err(Usage(text.to_owned()).into());
    }
    // Before the node is asked: what follows is done by the program that this becomes. Who is not root
    // is told so by the node's socket.
    let sealed = match rustix::process::geteuid().is_root() {
        true => skerry_runtime::seal().context("cannot protect this program's file"),
        false => Ok(()),
    };
    let code = sealed
        .and_then(|()| prepare(place, &args))
        .and_then(|run_dir| enter(&run_dir, &wish(args)));
    Ok(ExitCode::from(code.unwrap_or_else(|error| {
        failure::say(&error);
        NOT_TRIED
    })))
}

/// Runs a health probe's command, if that is what the program's arguments ask for:
/// `probe-exec RUN_DIR MILLISECONDS COMMAND…`. Call it while the process has one thread.
pub fn probe(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    args.next().filter(|verb| verb == "probe-exec")?;
    let run_dir = args.next().map(PathBuf::from).unwrap_or_default();
    let millis = args.next().and_then(|text| text.to_str()?.parse().ok());
    let words = args.map(|word| word.to_string_lossy().into_owned()).collect();
    let timeout = millis.map(Duration::from_millis);
    let code = enter(&run_dir, &Exec { args: words, timeout, ..Exec::default() });
    Some(ExitCode::from(code.unwrap_or(NOT_TRIED)))
}

/// Finds the agent's records, and leaves no trace of the asking in this process.
fn prepare(place: &Place, args: &ExecArgs) -> anyhow::Result<PathBuf> {
    let client = place.client();
    let detail = super::block_on(client.agent(&args.name))??;
    let (name, state) = (&args.name, detail.status.state);
    if state != State::Running {
        let text = format!("agent '{name}' does not run (it is {state}); see: skerry ps -a");
        return Err(Refusal(text).into());
    }
    if !args.interactive && !args.tty {
        let nothing = File::open("/dev/null").context("cannot open /dev/null")?;
        rustix::stdio::dup2_stdin(nothing).context("cannot close standard input")?;
    }
    Ok(PathBuf::from(detail.run_dir))
}

fn wish(args: ExecArgs) -> Exec {
    Exec {
        args: args.command,
        env: args.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        cwd: args.workdir.map(PathBuf::from),
        user: args.user,
        timeout: None,
        tty: args.tty,
    }
}

fn enter(run_dir: &Path, wish: &Exec) -> anyhow::Result<u8> {
    match skerry_runtime::exec(run_dir, wish) {
        Ok(ended) => Ok(u8::try_from(ended.shell_code()).unwrap_or(1)),
        Err(ExecError::Reported { message }) => {
            failure::note(&message);
            // The child, which alone sees the image, can only send words.
            let absent = message.starts_with("there is no program");
            Ok(if absent { NOT_FOUND } else { CANNOT_RUN })
        }
        Err(error) => Err(error.into()),
    }
}

/// `UID` or `UID:GID`.
fn user(text: &str) -> Result<User, String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| {
        text.parse().map_err(|_| "numbers are expected, such as 1000 or 1000:1000".to_owned())
    };
    Ok(User { uid: number(uid)?, gid: number(gid)?, additional_gids: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number_with_or_without_its_group() {
        assert_eq!(user("1000").map(|user| (user.uid, user.gid)), Ok((1000, 1000)));
        assert_eq!(user("0:5").map(|user| (user.uid, user.gid)), Ok((0, 5)));
        assert!(user("root").is_err() && user("1:").is_err() && user("-1").is_err());
    }

    #[test]
    fn only_its_own_verb_is_a_probe() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(probe(words("skerry exec a")).is_none());
        assert_eq!(probe(words("skerry probe-exec /nosuch true")), Some(ExitCode::from(125)));
    }
}
