//! Which processors, and what share of them.

use std::path::Path;

use super::{CgroupError, Controller, Group, Limits, Version, failed, folder, put, read_number};
use crate::launch::processors;

/// What a group has that was never given a share.
const USUAL_SHARES: u64 = 1024;
const USUAL_WEIGHT: u64 = 100;

/// Version 1's shares for a weight, as the OCI's formula has it turned round: 1, 100 and 10000 are
/// 2, 1024 and 262144 shares, so that the usual weight is the usual share.
pub(super) fn shares_of(weight: u16) -> u64 {
    let wanted = f64::from(weight).log10();
    let root = (125.0_f64.powi(2) + 4.0 * 612.0 * (wanted + 7.0 / 34.0)).sqrt();
    let shares = f64::midpoint(root, -125.0).exp2().round();
    // In the range that the kernel takes; the cast is exact there.
    shares.clamp(2.0, 262_144.0) as u64
}

pub(super) fn weight(group: &Group, wanted: &Limits) -> Result<Option<u16>, CgroupError> {
    let limit = "the processor weight";
    let dir = folder(group, Controller::Cpu, limit, wanted.cpu_weight.is_some())?;
    let Some(dir) = dir else { return Ok(None) };
    let v2 = group.version == Version::V2;
    let file = dir.join(if v2 { "cpu.weight" } else { "cpu.shares" });
    if wanted.cpu_weight.is_none() && !file.exists() {
        return Ok(None);
    }
    let value = match wanted.cpu_weight {
        Some(weight) if v2 => u64::from(weight),
        Some(weight) => shares_of(weight),
        None if v2 => USUAL_WEIGHT,
        None => USUAL_SHARES,
    };
    put(&file, &value.to_string()).map_err(failed("set", &file))?;
    let found = read_number(&file)?;
    if found == Some(value) {
        return Ok(wanted.cpu_weight);
    }
    let found = found.map_or_else(String::new, |found| found.to_string());
    Err(CgroupError::NotInForce { limit, wanted: value.to_string(), found, path: file })
}

pub(super) fn set(group: &Group, wanted: &Limits) -> Result<Option<String>, CgroupError> {
    let limit = "the set of processors";
    let dir = folder(group, Controller::Cpuset, limit, wanted.cpuset.is_some())?;
    let Some(dir) = dir.filter(|dir| dir.join("cpuset.cpus").exists()) else { return Ok(None) };
    let file = dir.join("cpuset.cpus");
    let Some(list) = &wanted.cpuset else { return lift(group, dir, &file).map(|()| None) };
    put(&file, list).map_err(failed(
        "set (are all of these processors there, and in the groups above?)",
        &file,
    ))?;
    // Version 2 takes what it has not, and says elsewhere what it gives.
    let effective = dir.join("cpuset.cpus.effective");
    let file = if effective.exists() { effective } else { file };
    let found = std::fs::read_to_string(&file).map_err(failed("read back", &file))?;
    let found = found.trim().to_owned();
    if processors(&found) == processors(list) {
        return Ok(Some(found));
    }
    Err(CgroupError::NotInForce { limit, wanted: list.clone(), found, path: file })
}

/// Version 2 has a word for no limit; on version 1 it is what the parent has.
fn lift(group: &Group, dir: &Path, file: &Path) -> Result<(), CgroupError> {
    let all = match dir.parent() {
        Some(parent) if group.version != Version::V2 => {
            let from = parent.join("cpuset.cpus");
            std::fs::read_to_string(&from).map_err(failed("read", &from))?
        }
        _ => "\n".to_owned(),
    };
    put(file, &all).map_err(failed("set", file))
}
