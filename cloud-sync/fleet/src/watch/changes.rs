//! What differs between two reports of one node, in plain words. Pure.

use skerry_core::plan::Status;
use skerry_core::report::{Report, Trouble};

/// One line for each difference; against nothing, one for each fact.
pub fn tell(last: Option<&Report>, new: &Report) -> Vec<String> {
    let node = &new.node;
    let mut lines = Vec::new();
    if last.is_some_and(|last| last.boot_id != new.boot_id) {
        lines.push(format!("{node} has booted anew"));
    }
    if last.and_then(|last| last.document.as_ref()) != new.document.as_ref() {
        lines.push(match &new.document {
            Some(d) => format!("document {} is in force on {node} ({})", d.version, d.digest),
            None => format!("no document is in force on {node}"),
        });
    }
    for refused in &new.refused {
        let known = last.is_some_and(|last| {
            last.refused.iter().any(|other| {
                other.digest == refused.digest
                    && other.reason == refused.reason
                    && other.count >= refused.count
            })
        });
        if !known {
            lines.push(format!(
                "{node} refused a document (bundle {}): {}",
                refused.digest.short(),
                refused.reason
            ));
        }
    }
    lines.extend(troubles(last, new));
    for (name, status) in &new.agents {
        let before = last.and_then(|last| last.agents.get(name));
        lines.extend(
            agent(before, status).map(|change| format!("agent {name} on {node}: {change}")),
        );
    }
    for name in last.iter().flat_map(|last| last.agents.keys()) {
        if !new.agents.contains_key(name) {
            lines.push(format!("agent {name} on {node}: gone"));
        }
    }
    lines
}

/// What came in the node's way, and what is over.
fn troubles(last: Option<&Report>, new: &Report) -> Vec<String> {
    let node = &new.node;
    let before = last.map_or(&[][..], |last| &last.troubles);
    let is_in = |list: &[Trouble], one: &Trouble| {
        list.iter().any(|other| other.kind == one.kind && other.what == one.what)
    };
    let came = new.troubles.iter().filter(|trouble| !is_in(before, trouble));
    let over = before.iter().filter(|trouble| !is_in(&new.troubles, trouble));
    let came = came.map(|t| format!("trouble on {node}: {}: {}; next: {}", t.kind, t.what, t.next));
    came.chain(over.map(|t| format!("over on {node}: {}: {}", t.kind, t.what))).collect()
}

fn agent(before: Option<&Status>, now: &Status) -> Option<String> {
    let same = before.is_some_and(|before| {
        before.state == now.state
            && before.pid == now.pid
            && before.health == now.health
            && before.detail == now.detail
    });
    if same {
        return None;
    }
    let mut text = match before {
        Some(before) if before.state != now.state => format!("{} -> {}", before.state, now.state),
        Some(_) => format!("still {}", now.state),
        None => now.state.to_string(),
    };
    text.extend(now.pid.map(|pid| format!(" pid {pid}")));
    text.extend(now.health.map(|health| format!(", {health}")));
    text.extend(now.detail.as_ref().map(|detail| format!(": {detail}")));
    Some(text)
}

#[cfg(test)]
mod tests;
