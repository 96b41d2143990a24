//! Sets limits and reads them back: what is reported is what the kernel says, not what was asked.
//!
//! A difference is an error, except that the kernel rounds memory down to whole pages. Used at the
//! start of an agent and on a running one alike.

use std::io;
use std::path::Path;

use super::{CgroupError, Controller, Group, Version, failed, put};
use crate::launch::Limits;

/// The period over which processor time is dealt out, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Version 1 reports "no limit" as the largest multiple of a page; nothing real is as large.
const UNLIMITED_FROM: u64 = 1 << 60;

/// Sets every limit, lifts those that are `None`, and returns what the kernel then reports.
pub(super) fn set(group: &Group, wanted: &Limits) -> Result<Limits, CgroupError> {
    Ok(Limits {
        memory_bytes: memory(group, wanted.memory_bytes)?,
        cpu_millis: cpu(group, wanted.cpu_millis)?,
        pids: pids(group, wanted.pids)?,
    })
}

/// The folder with a controller's files, if it is in use there; an error if a limit needs it.
fn folder<'a>(
    group: &'a Group,
    controller: Controller,
    limit: &'static str,
    wanted: bool,
) -> Result<Option<&'a Path>, CgroupError> {
    match group.dir_of(controller) {
        Some(dir) => Ok(Some(dir)),
        None if wanted => {
            let advice = "use a kernel built with it, or leave the limit out";
            Err(CgroupError::Missing { limit, controller, advice })
        }
        None => Ok(None),
    }
}

fn memory(group: &Group, wanted: Option<u64>) -> Result<Option<u64>, CgroupError> {
    let limit = "the memory limit";
    let dir = folder(group, Controller::Memory, limit, wanted.is_some())?;
    let Some(dir) = dir else { return Ok(None) };
    let file = if group.version == Version::V2 {
        let file = dir.join("memory.max");
        write_if_wanted(&file, wanted, "max")?;
        // No swap, or the limit would not be one. A kernel without swap has no such file.
        let swap = if wanted.is_some() { "0" } else { "max" };
        optional(put(&dir.join("memory.swap.max"), swap), &dir.join("memory.swap.max"))?;
        file
    } else {
        memory_v1(dir, wanted)?;
        dir.join("memory.limit_in_bytes")
    };
    let found = read_number(&file)?;
    check(limit, wanted, found, &file, rustix::param::page_size() as u64)
}

/// Version 1 has two limits, memory and memory with swap, and the second may never be the lower.
fn memory_v1(dir: &Path, wanted: Option<u64>) -> Result<(), CgroupError> {
    let value = wanted.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    let (memory, with_swap) =
        (dir.join("memory.limit_in_bytes"), dir.join("memory.memsw.limit_in_bytes"));
    if put(&memory, &value).is_ok() {
        return optional(put(&with_swap, &value), &with_swap);
    }
    optional(put(&with_swap, &value), &with_swap)?;
    put(&memory, &value).map_err(failed("set (the agent may already use more than) ", &memory))
}

fn cpu(group: &Group, wanted: Option<u32>) -> Result<Option<u32>, CgroupError> {
    let limit = "the processor limit (in microseconds of each 100 milliseconds)";
    let dir = folder(group, Controller::Cpu, limit, wanted.is_some())?;
    let Some(dir) = dir else { return Ok(None) };
    let quota = wanted.map(|millis| u64::from(millis) * PERIOD_US / 1000);
    let (file, found) = if group.version == Version::V2 {
        let file = dir.join("cpu.max");
        let max = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        if wanted.is_some() || file.exists() {
            put(&file, &format!("{max} {PERIOD_US}")).map_err(failed("set", &file))?;
        }
        let found = read_number(&file)?;
        (file, found)
    } else {
        let (file, period) = (dir.join("cpu.cfs_quota_us"), dir.join("cpu.cfs_period_us"));
        if wanted.is_some() || file.exists() {
            put(&period, &PERIOD_US.to_string()).map_err(failed("set", &period))?;
            let value = quota.map_or_else(|| "-1".to_owned(), |quota| quota.to_string());
            put(&file, &value).map_err(failed("set", &file))?;
        }
        let found = read_number(&file)?;
        (file, found)
    };
    let found = check(limit, quota, found, &file, 1)?;
    Ok(found.and_then(|quota| u32::try_from(quota * 1000 / PERIOD_US).ok()))
}

fn pids(group: &Group, wanted: Option<u32>) -> Result<Option<u32>, CgroupError> {
    let limit = "the limit on processes";
    let dir = folder(group, Controller::Pids, limit, wanted.is_some())?;
    let Some(dir) = dir else { return Ok(None) };
    let file = dir.join("pids.max");
    write_if_wanted(&file, wanted.map(u64::from), "max")?;
    let found = check(limit, wanted.map(u64::from), read_number(&file)?, &file, 1)?;
    Ok(found.and_then(|pids| u32::try_from(pids).ok()))
}

/// Lifting a limit whose file does not exist is no error; setting one is.
fn write_if_wanted(file: &Path, wanted: Option<u64>, lifted: &str) -> Result<(), CgroupError> {
    match wanted {
        Some(value) => put(file, &value.to_string()).map_err(failed("set", file)),
        None => optional(put(file, lifted), file),
    }
}

fn optional(result: io::Result<()>, file: &Path) -> Result<(), CgroupError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("set", file)(error)),
        _ => Ok(()),
    }
}

/// The first number in a control file; `None` for no limit or no file.
fn read_number(file: &Path) -> Result<Option<u64>, CgroupError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read back", file)(error)),
    };
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    if first == "max" || first.starts_with('-') {
        return Ok(None);
    }
    match first.parse() {
        Ok(number) if number >= UNLIMITED_FROM => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => {
            let error =
                io::Error::new(io::ErrorKind::InvalidData, format!("'{first}' is no number"));
            Err(failed("read back", file)(error))
        }
    }
}

/// The kernel may round down by less than `grain`, and nothing else.
fn check(
    limit: &'static str,
    wanted: Option<u64>,
    found: Option<u64>,
    file: &Path,
    grain: u64,
) -> Result<Option<u64>, CgroupError> {
    let in_force = match (wanted, found) {
        (Some(wanted), Some(found)) => found <= wanted && wanted - found < grain,
        (Some(_), None) => false,
        (None, found) => found.is_none(),
    };
    if in_force {
        return Ok(found);
    }
    let shown = found.map_or_else(|| "no limit".to_owned(), |found| found.to_string());
    let wanted = wanted.unwrap_or_default();
    Err(CgroupError::NotInForce { limit, wanted, found: shown, path: file.to_owned() })
}

#[cfg(test)]
mod tests;
