//! What somebody on the node asked for, as it is written to the audit log: the wish and who had it, never a
//! value of a config or secret.

use hyper::Response;
use skerry_core::audit::{Event, Kind};

use super::Body;
use super::answers::{Changed, Node};
use crate::audit::Audit;

/// A wish, before it is known what comes of it.
pub struct Wish {
    words: String,
    /// It is worth a line only where the answer says that it changed something.
    told: bool,
}

/// The wish that a request is; nothing if it only asks, or asks for what is so already.
pub fn wish(method: &str, segments: &[&str], node: &Node) -> Option<Wish> {
    let down = node.snapshots.borrow().down;
    let (words, told) = match (method, segments) {
        ("POST", ["v1", "agents"]) => ("apply".to_owned(), true),
        ("DELETE", ["v1", "agents", name]) => (format!("rm {name}"), true),
        ("POST", ["v1", "agents", name, verb]) => (format!("{verb} {name}"), true),
        ("POST", ["v1", "down"]) if !down => ("down".to_owned(), false),
        ("POST", ["v1", "up"]) if down => ("up".to_owned(), false),
        ("PUT" | "POST", ["v1", "configs" | "secrets", ..]) => (kept("set", segments), false),
        ("DELETE", ["v1", "configs" | "secrets" | "volumes", ..]) => (kept("rm", segments), false),
        _ => return None,
    };
    Some(Wish { words, told })
}

/// As the command line has it: `secret rm NAME KEY`.
fn kept(verb: &str, segments: &[&str]) -> String {
    let kind = segments.get(1).map_or("", |kind| kind.trim_end_matches('s'));
    let names = segments.get(2..).unwrap_or_default().join(" ");
    format!("{kind} {verb} {names}")
}

impl Wish {
    /// Writes it down, if it came true.
    pub fn note(self, audit: &Audit, uid: u32, answered: &Response<Body>) {
        let changed = answered.extensions().get::<Changed>();
        if !answered.status().is_success() || (self.told && changed.is_none()) {
            return;
        }
        let event = Event::new(Kind::Wish, self.words).user(uid);
        audit.note(match changed {
            Some(Changed(what)) => event.detail(what),
            None => event,
        });
        audit.settle();
    }
}
