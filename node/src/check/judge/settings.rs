//! Judges the configuration and what it names: store, key, trust root, broker. Pure.

use skerry_core::report::Trouble;

use super::super::Facts;
use super::super::facts::{Key, NodeSays, Reach, Root, StoreState};
use super::{Verdict, error, needs_root, ok, skipped, warning};

/// What a running node says of itself.
pub fn node(facts: &Facts) -> Verdict {
    match &facts.node_says {
        NodeSays::Absent => ok("no node runs here"),
        NodeSays::Well => ok("it runs, and nothing is in its way"),
        NodeSays::Forbidden => needs_root("the node's socket"),
        NodeSays::Silent(why) => {
            error(format!("it does not answer: {why}"), "see its log; restart it: agents run on")
        }
        NodeSays::Troubled(list) => {
            let all = |of: fn(&Trouble) -> &str| {
                let mut all: Vec<_> = list.iter().map(of).collect();
                all.dedup();
                all.join("; ")
            };
            let (what, next) = (all(|trouble| &trouble.what), all(|trouble| &trouble.next));
            let is_small = |trouble: &Trouble| ["blocked", "config"].contains(&&*trouble.kind);
            if list.iter().all(is_small) { warning(what, next) } else { error(what, next) }
        }
    }
}

pub fn config(facts: &Facts) -> Verdict {
    match &facts.config_trouble {
        None => ok("can be used"),
        Some(_) if facts.config_forbidden && !facts.root => needs_root("the configuration"),
        Some(trouble) => error(
            trouble.clone(),
            "mend it (docs/guide.md names every key); the checks below are about the defaults",
        ),
    }
}

pub fn node_name(facts: &Facts) -> Verdict {
    let name = &facts.node;
    if facts.config_trouble.is_some() {
        return skipped("not known without the configuration", "see 'config' above");
    }
    let common =
        ["localhost", "raspberrypi", "debian", "ubuntu", "buildroot", "qemuarm64", "(none)"];
    if name.is_empty() || common.contains(&name.as_str()) && facts.broker.is_some() {
        return warning(
            format!(
                "'{name}' is what many machines are called: two nodes of one name disturb each \
                     other at the broker"
            ),
            "set 'node' in the configuration, or the machine's host name",
        );
    }
    ok(name.clone())
}

pub fn store(facts: &Facts) -> Verdict {
    let path = facts.state.path.join("state");
    match &facts.store {
        StoreState::Absent => ok("none yet; the node makes it"),
        StoreState::Whole => ok("opens and is whole"),
        StoreState::InUse => {
            skipped("a node has it open", "stop the node to look into it; skerry status knows more")
        }
        StoreState::Forbidden => needs_root("the store"),
        StoreState::Behind(trouble) => warning(
            format!("the database lost something ({trouble}); the node will rebuild it by itself"),
            "start the node, and look for the cause: the disk, or how its power is cut",
        ),
        StoreState::Unusable(trouble) => warning(
            format!(
                "{trouble}; the node will move the database aside and make it again from its export"
            ),
            format!("save {} if you want to know why, then start the node", path.display()),
        ),
    }
}

pub fn identity(facts: &Facts) -> Verdict {
    match &facts.key {
        Key::Absent => ok("none yet; the node makes its key at its first start"),
        Key::Good(mode) if mode & 0o077 == 0 => ok("a key, for root alone"),
        Key::Good(mode) => warning(
            format!("others than root may read the node's key (mode {mode:o})"),
            format!("chmod 600 {}", facts.state.path.join("identity/node.key").display()),
        ),
        Key::Bad(trouble) => error(
            format!("{trouble}; the node does not start"),
            "put the key back from a backup; without it this is a new node to the fleet",
        ),
        Key::Forbidden => needs_root("the node's key"),
    }
}

pub fn trust_root(facts: &Facts) -> Verdict {
    let now = facts.now.max(facts.floor);
    match &facts.trust {
        Root::None if facts.broker.is_some() => warning(
            "none is set: the node connects and refuses every document",
            "set trust.root to the root.json of skerry-fleet init",
        ),
        Root::None => ok("none is set: the node takes no documents, and is managed on the spot"),
        Root::Forbidden(path) => needs_root(&path.display().to_string()),
        Root::Bad(path, trouble) => error(
            format!("{}: {trouble}", path.display()),
            "copy root.json from the fleet's keys again, byte for byte",
        ),
        Root::Good { path, version, expires } if *expires <= now => warning(
            format!("{}: version {version} expired {expires}", path.display()),
            "a document that brings a newer root is taken all the same; make one with skerry-fleet, \
             and check the clock above",
        ),
        Root::Good { version, expires, .. } => ok(format!("version {version}, until {expires}")),
    }
}

pub fn broker(facts: &Facts) -> Verdict {
    let Some(broker) = &facts.broker else {
        return match facts.config_trouble {
            None => ok("none is set: the node is managed on the spot"),
            Some(_) => skipped("not known without the configuration", "see 'config' above"),
        };
    };
    let url = &broker.url;
    let broken = broker.files.iter().find_map(|(key, path, found)| {
        let trouble = found.as_ref().err()?;
        Some((key, path, trouble))
    });
    if let Some((key, path, trouble)) = broken {
        if !facts.root {
            return needs_root(&path.display().to_string());
        }
        return error(
            format!("broker.{key} {}: {trouble}; the node cannot connect", path.display()),
            format!("put the file there, or name another in broker.{key}"),
        );
    }
    let open = broker.files.iter().find(|(key, _, found)| {
        let secret = ["key_file", "password_file"].contains(key);
        secret && found.as_ref().is_ok_and(|mode| mode & 0o007 != 0)
    });
    if let Some((_, path, _)) = open {
        return warning(
            format!("everybody on this machine may read {}", path.display()),
            format!("chmod 600 {}", path.display()),
        );
    }
    if !broker.tls {
        return warning(
            format!("{url} is not encrypted: everybody on the way can read what the node says"),
            "use mqtts:// with ca_file; what the node is told is signed in either case",
        );
    }
    if broker.password_in_config {
        return warning(
            "the broker's password stands in the configuration",
            "put it into a file of mode 600, and name that in broker.password_file",
        );
    }
    ok(url.clone())
}

pub fn reach(facts: &Facts) -> Verdict {
    let Some(broker) = &facts.broker else { return ok("no broker is set") };
    let url = &broker.url;
    match &broker.reach {
        Reach::NotTried => skipped("not asked for", "skerry check --network"),
        Reach::Connected => ok(format!("{url} accepts connections (name and password not tried)")),
        Reach::NoAddress(trouble) => warning(
            format!("the name in {url} leads nowhere: {trouble}"),
            "look at the network and its name server; agents run without them",
        ),
        Reach::NoAnswer(trouble) => warning(
            format!("{url} does not answer: {trouble}"),
            "look at the network, the broker, and the firewalls between; agents run without it",
        ),
    }
}
