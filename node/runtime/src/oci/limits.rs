//! The options of `update` as limits, and limits kept in the container's configuration. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::args::Call;
use super::cgroup::Resources;
use super::{Result, refused};

/// What the options ask for; what they do not name stays as it is.
pub fn asked(call: &Call) -> Result<Resources> {
    let mut wanted = Resources::default();
    wanted.memory.limit = bytes(call, "memory")?;
    wanted.memory.swap = bytes(call, "memory-swap")?;
    wanted.memory.reservation = bytes(call, "memory-reservation")?;
    wanted.memory.kernel_tcp = bytes(call, "kernel-memory-tcp")?;
    wanted.cpu.period = number(call, "cpu-period")?;
    wanted.cpu.quota = number(call, "cpu-quota")?;
    wanted.cpu.burst = number(call, "cpu-burst")?;
    wanted.cpu.shares = number(call, "cpu-share")?;
    wanted.cpu.realtime_period = number(call, "cpu-rt-period")?;
    wanted.cpu.realtime_runtime = number(call, "cpu-rt-runtime")?;
    wanted.cpu.idle = number(call, "cpu-idle")?;
    wanted.cpu.cpus = call.value("cpuset-cpus").unwrap_or_default().to_owned();
    wanted.cpu.mems = call.value("cpuset-mems").unwrap_or_default().to_owned();
    wanted.pids.limit = number(call, "pids-limit")?;
    wanted.block_io.weight = number(call, "blkio-weight")?;
    if call.has("l3-cache-schema") || call.has("mem-bw-schema") {
        return refused("Intel RDT is not supported by this runtime");
    }
    Ok(wanted)
}

fn number<T: std::str::FromStr>(call: &Call, name: &str) -> Result<Option<T>> {
    let Some(text) = call.value(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || refused(format!("invalid value for {name}: {text}"));
    text.parse().map_or_else(|_| wrong(), |number| Ok(Some(number)))
}

/// A number of bytes, perhaps with a unit; -1 is no limit.
fn bytes(call: &Call, name: &str) -> Result<Option<i64>> {
    let Some(text) = call.value(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match lower.chars().last() {
        Some('k') => (lower.trim_end_matches('k'), 10),
        Some('m') => (lower.trim_end_matches('m'), 20),
        Some('g') => (lower.trim_end_matches('g'), 30),
        Some('t') => (lower.trim_end_matches('t'), 40),
        _ => (lower, 0),
    };
    let value = digits.parse::<i64>().ok().and_then(|value| value.checked_mul(1 << shift));
    let wrong = || refused(format!("invalid value for {name}: {text}"));
    value.map_or_else(wrong, |value| Ok(Some(value)))
}

/// Keeps the limits that were set, so that the record says what is in force.
pub fn remember(config: &mut Value, set: &Resources) {
    let limits = json!({
        "memory": { "limit": set.memory.limit, "swap": set.memory.swap },
        "cpu": { "quota": set.cpu.quota, "period": set.cpu.period, "shares": set.cpu.shares },
        "pids": { "limit": set.pids.limit },
    });
    let groups: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_value(limits).unwrap_or_default();
    for (group, fields) in groups {
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
            config["linux"]["resources"][&group][&name] = value;
        }
    }
}
