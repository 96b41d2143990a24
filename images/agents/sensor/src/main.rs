//! A sample agent: prints, as JSON lines, what the kernel knows of the machine.
//!
//! Small and real: one static binary, no crate but std. Every `INTERVAL` (such as `500ms` or `2s`, 1 s
//! by default) it prints a line with `NAME` in it; on SIGTERM it prints a last one and exits 0, also
//! as process 1. Flags make it misbehave on purpose, for tests: see [`Wish`]. Reads go on in
//! [`kernel`], signals in [`stop`], and forbidden calls in [`forbidden`].

use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

mod forbidden;
mod json;
mod kernel;
mod stop;

const USAGE: &str = "\
usage: sensor [--exit CODE] [--hog-memory SIZE] [--listen PORT] [--touch-forbidden]
  --exit CODE         print one line and exit with CODE
  --hog-memory SIZE   take and touch SIZE of memory (such as 64M) first
  --listen PORT       answer each TCP connection with one line
  --touch-forbidden   try mount, ptrace and unshare, print what the kernel said, and exit
environment: INTERVAL (500ms, 1s; default 1s), NAME (default sensor)";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    exit: Option<u8>,
    hog: Option<usize>,
    listen: Option<u16>,
    touch_forbidden: bool,
}

fn main() -> ExitCode {
    let wish = match parse(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(wrong) => {
            eprintln!("sensor: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&wish) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sensor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish::default();
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        let wrong = |value: &str| format!("{flag}: '{value}' makes no sense");
        match flag.as_str() {
            "--exit" => {
                let value = value()?;
                wish.exit = Some(value.parse().map_err(|_| wrong(&value))?);
            }
            "--hog-memory" => {
                let value = value()?;
                wish.hog = Some(size(&value).ok_or_else(|| wrong(&value))?);
            }
            "--listen" => {
                let value = value()?;
                wish.listen = Some(value.parse().map_err(|_| wrong(&value))?);
            }
            "--touch-forbidden" => wish.touch_forbidden = true,
            other => return Err(format!("unknown flag '{other}'")),
        }
    }
    Ok(wish)
}

/// A size such as `64M`, in bytes.
fn size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)? {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// A time such as `500ms` or `2s`.
fn interval(text: &str) -> Option<Duration> {
    let whole = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(millis), _) => Duration::from_millis(millis.parse().ok()?),
        (None, Some(seconds)) => Duration::from_secs(seconds.parse().ok()?),
        (None, None) => return None,
    };
    (!whole.is_zero()).then_some(whole)
}

fn run(wish: &Wish) -> io::Result<ExitCode> {
    let stop = stop::Stop::on_sigterm()?;
    let every = std::env::var("INTERVAL").unwrap_or_else(|_| "1s".to_owned());
    let every = interval(&every).ok_or_else(|| {
        io::Error::other(format!("INTERVAL '{every}' is no time; 500ms and 2s are"))
    })?;
    let name = std::env::var("NAME").unwrap_or_else(|_| "sensor".to_owned());
    if wish.touch_forbidden {
        print(&forbidden::report())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(port) = wish.listen {
        listen(port, name.clone())?;
    }
    let hog = wish.hog.map(|size| vec![1_u8; size]);
    let mut next = Instant::now();
    for sequence in 0_u64.. {
        print(&kernel::reading(&name, sequence))?;
        if let Some(code) = wish.exit {
            return Ok(ExitCode::from(code));
        }
        // A machine that slept does not catch up on what it missed.
        next = (next + every).max(Instant::now());
        if stop.wait_until(next)? {
            break;
        }
    }
    std::hint::black_box(&hog);
    print(&json::Object::new().text("event", "stopping").text("name", &name).finish())?;
    Ok(ExitCode::SUCCESS)
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Answers every connection with one line, one after another.
fn listen(port: u16, name: String) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    let port = listener.local_addr()?.port();
    print(&json::Object::new().text("event", "listening").number("port", port.into()).finish())?;
    std::thread::Builder::new().name("listen".to_owned()).spawn(move || {
        for connection in listener.incoming() {
            match connection {
                // One that hangs up before its answer is its own affair.
                Ok(mut connection) => drop(writeln!(connection, "{name} is here")),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
