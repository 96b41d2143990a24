//! The monitor alone, for tests and measurements of this crate; the product is the `skerry` binary.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use skerry_runtime::{Exec, Launch, exec, monitor, quota, spawn};

fn main() -> ExitCode {
    if let Some(code) = monitor::dispatch(std::env::args_os()) {
        return code;
    }
    if let Some(code) = skerry_runtime::oci::dispatch(std::env::args_os()) {
        return code;
    }
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("exec"), Some(run_dir)) => run(&PathBuf::from(run_dir), args),
        (Some("spawn"), Some(run_dir)) => start(&PathBuf::from(run_dir), args.next()),
        (Some("quota"), Some(dir)) => limit(&PathBuf::from(dir), args),
        _ => {
            eprintln!(
                "usage: skerry-monitor monitor|exec|spawn RUN_DIR …, quota DIR PROJECT BYTES"
            );
            ExitCode::from(2)
        }
    }
}

/// `exec RUN_DIR TIMEOUT_MS PROGRAM…`; a time of 0 is none.
fn run(run_dir: &std::path::Path, mut args: impl Iterator<Item = String>) -> ExitCode {
    let millis = args.next().and_then(|text| text.parse().ok()).filter(|millis| *millis > 0);
    let timeout = millis.map(Duration::from_millis);
    let tty = std::env::var_os("SKERRY_TTY").is_some();
    match exec(run_dir, &Exec { args: args.collect(), timeout, tty, ..Exec::default() }) {
        Ok(ended) => ExitCode::from(u8::try_from(ended.shell_code()).unwrap_or(255)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(125)
        }
    }
}

/// `quota DIR PROJECT BYTES`; 0 bytes lift the quota.
fn limit(dir: &std::path::Path, mut args: impl Iterator<Item = String>) -> ExitCode {
    let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
    let (Some(project), Some(bytes)) = (number().and_then(|n| u32::try_from(n).ok()), number())
    else {
        return ExitCode::from(2);
    };
    let done = match bytes {
        0 => quota::clear(dir, project).and_then(|()| quota::usage(dir, project)),
        bytes => quota::set(dir, project, bytes),
    };
    match done {
        Ok(usage) => {
            println!("{} of {} bytes", usage.used_bytes, usage.limit_bytes);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(125)
        }
    }
}

/// `spawn RUN_DIR LAUNCH.json`, then waits to be killed, as a node would be.
fn start(run_dir: &std::path::Path, launch: Option<String>) -> ExitCode {
    let launch = launch.and_then(|path| std::fs::read(path).ok());
    let launch: Option<Launch> = launch.and_then(|text| serde_json::from_slice(&text).ok());
    let Some(launch) = launch else { return ExitCode::from(2) };
    match spawn(std::path::Path::new("/proc/self/exe"), run_dir, &launch) {
        Ok(_monitor) => loop {
            std::thread::park();
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(125)
        }
    }
}
