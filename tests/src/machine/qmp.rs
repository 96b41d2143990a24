//! QEMU's own control socket: what can be done to a machine from outside, its cable pulled for one.
//!
//! One command, one answer; events in between are passed over. See [`super::Machine::link`].

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the control socket of one machine.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects, and takes control.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        let _greeting = qmp.line()?;
        let _ = qmp.command("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Gives one command, and returns its answer.
    pub(super) fn command(&mut self, name: &str, arguments: &Value) -> io::Result<Value> {
        let text = json!({ "execute": name, "arguments": arguments }).to_string();
        self.stream.get_mut().write_all(text.as_bytes())?;
        loop {
            let mut line = self.line()?;
            if line.get("error").is_some() {
                return Err(io::Error::other(format!("QEMU refuses {name}: {line}")));
            }
            if let Some(answer) = line.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
