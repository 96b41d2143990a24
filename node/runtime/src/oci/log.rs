//! Tells how a call went: on the standard error stream, and in the file that the caller named, in
//! the form that podman and containerd read.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::rc::Rc;

use serde_json::json;

use super::args::Call;
use super::{Result, refused, system, time};

/// Where messages go.
#[derive(Clone)]
pub struct Log {
    file: Option<Rc<RefCell<File>>>,
    json: bool,
    debug: bool,
}

impl Log {
    /// As the call says.
    pub fn open(call: &Call) -> Result<Self> {
        let json = match call.global("log-format") {
            None | Some("text" | "") => false,
            Some("json") => true,
            Some(other) => return refused(format!("invalid log-format: {other}")),
        };
        let path = call.global("log").filter(|path| !path.is_empty());
        let file = path.map(|path| {
            let open = OpenOptions::new().create(true).append(true).open(path);
            open.map_err(system(format!("cannot open the log {path}")))
        });
        let file = file.transpose()?.map(RefCell::new).map(Rc::new);
        Ok(Self { file, json, debug: call.has_global("debug") })
    }

    /// Why the call fails.
    pub fn error(&self, message: &str) {
        self.tell("error", message);
        if self.file.is_some() {
            eprintln!("{message}");
        }
    }

    /// What did not work and does not fail the call.
    pub fn warn(&self, message: &str) {
        self.tell("warning", message);
    }

    /// What is of interest to those who ask for it.
    pub fn debug(&self, message: &str) {
        if self.debug {
            self.tell("debug", message);
        }
    }

    fn tell(&self, level: &str, message: &str) {
        let now = time::now();
        let line = if self.json {
            json!({ "level": level, "msg": message, "time": now }).to_string()
        } else {
            format!("time=\"{now}\" level={level} msg={message:?}")
        };
        match &self.file {
            // A log that cannot be written is no reason to fail.
            Some(file) => drop(writeln!(file.borrow_mut(), "{line}")),
            None => eprintln!("{line}"),
        }
    }
}
