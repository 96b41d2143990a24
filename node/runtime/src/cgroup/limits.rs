//! Sets limits and reads them back: what is reported is what the kernel says, not what was asked.
//!
//! A difference is an error, except that the kernel rounds memory down to whole pages. Used at the
//! start of an agent and on a running one alike.

use std::io;
use std::path::Path;

use cgroups_rs::MaxValue;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;

use super::{CgroupError, Controller, Group, Version, failed, put, said};
use crate::launch::Limits;
use crate::record::Shortfall;

mod disks;
mod processors;

/// The period over which processor time is dealt out, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Version 1 reports "no limit" as the largest multiple of a page; nothing real is as large.
const UNLIMITED_FROM: u64 = 1 << 60;

/// What became of the limits that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InForce {
    /// The limits, as the kernel reports them.
    pub limits: Limits,
    /// Wishes that have no effect here, and were not required.
    pub shortfalls: Vec<Shortfall>,
}

/// Sets every limit, lifts those that are `None`, and returns what the kernel then reports.
pub(super) fn set(group: &Group, wanted: &Limits) -> Result<InForce, CgroupError> {
    group.prepare_for(wanted)?;
    let (memory_bytes, swap_bytes) = memory(group, wanted)?;
    let (io_weight, shortfall) = disks::weight(group, wanted.io_weight)?;
    let limits = Limits {
        memory_bytes,
        swap_bytes,
        cpu_millis: cpu(group, wanted.cpu_millis)?,
        cpu_weight: processors::weight(group, wanted)?,
        cpuset: processors::set(group, wanted)?,
        pids: pids(group, wanted.pids)?,
        io_weight,
        io_devices: disks::devices(group, wanted)?,
    };
    Ok(InForce { limits, shortfalls: shortfall.into_iter().collect() })
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

/// Memory, and swap beyond it: none unless it is asked for, or the limit would not be one.
fn memory(group: &Group, wanted: &Limits) -> Result<(Option<u64>, Option<u64>), CgroupError> {
    let limit = "the memory limit";
    let dir = folder(group, Controller::Memory, limit, wanted.memory_bytes.is_some())?;
    let Some(dir) = dir else { return Ok((None, None)) };
    let v2 = group.version == Version::V2;
    let grain = rustix::param::page_size() as u64;
    let controller = MemController::new(dir.to_owned(), v2);
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let value = wanted.memory_bytes.map_or(-1, number);
    let swap = wanted.memory_bytes.map(|_| wanted.swap_bytes.unwrap_or(0));
    let (file, swap_file) = if v2 {
        let (file, swap_file) = (dir.join("memory.max"), dir.join("memory.swap.max"));
        change(&file, wanted.memory_bytes.is_some(), || controller.set_limit(value))?;
        // A kernel without swap has no such file.
        let swap = swap.map_or(-1, number);
        change(&swap_file, false, || controller.set_memswap_limit(swap))?;
        (file, swap_file)
    } else {
        let with_swap = wanted.memory_bytes.map_or(-1, |bytes| {
            number((bytes / grain * grain).saturating_add(swap.unwrap_or_default()))
        });
        memory_v1(&controller, dir, value, with_swap)?;
        (dir.join("memory.limit_in_bytes"), dir.join("memory.memsw.limit_in_bytes"))
    };
    let found = check(limit, wanted.memory_bytes, read_number(&file)?, &file, grain)?;
    let Some(swap) = wanted.swap_bytes else { return Ok((found, None)) };
    let in_force = match read_number(&swap_file)? {
        None if !swap_file.exists() && swap > 0 => {
            let why = "this kernel does not count swap; boot with swapaccount=1, or leave it out";
            return Err(CgroupError::Unsupported { limit: "the swap limit", why: why.to_owned() });
        }
        None if !swap_file.exists() => Some(0),
        // Version 1 counts both together.
        found_both if !v2 => found_both.map(|both| both.saturating_sub(found.unwrap_or_default())),
        found => found,
    };
    // Two values were rounded.
    let in_force = check("the swap limit", Some(swap), in_force, &swap_file, 2 * grain)?;
    Ok((found, in_force))
}

/// Version 1 has two limits, memory and memory with swap, and the second may never be the lower.
fn memory_v1(
    controller: &MemController,
    dir: &Path,
    value: i64,
    with_swap: i64,
) -> Result<(), CgroupError> {
    let (memory, both) =
        (dir.join("memory.limit_in_bytes"), dir.join("memory.memsw.limit_in_bytes"));
    let swap = || change(&both, false, || controller.set_memswap_limit(with_swap));
    match controller.set_limit(value).map_err(|error| said(&error)) {
        Ok(()) => swap(),
        Err(why) if why.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
            let lower = "lower (the agent uses more than that now; restart it, or ask for more)";
            Err(failed(lower, &memory)(why))
        }
        // The other one must be raised first.
        Err(_) => {
            swap()?;
            change(&memory, true, || controller.set_limit(value))
        }
    }
}

fn cpu(group: &Group, wanted: Option<u32>) -> Result<Option<u32>, CgroupError> {
    let limit = "the processor limit (in microseconds of each 100 milliseconds)";
    let dir = folder(group, Controller::Cpu, limit, wanted.is_some())?;
    let Some(dir) = dir else { return Ok(None) };
    let v2 = group.version == Version::V2;
    let controller = CpuController::new(dir.to_owned(), v2);
    let quota = wanted.map(|millis| u64::from(millis) * PERIOD_US / 1000);
    let file = dir.join(if v2 { "cpu.max" } else { "cpu.cfs_quota_us" });
    let value = quota.map_or(Ok(-1), i64::try_from).unwrap_or(i64::MAX);
    change(&file, wanted.is_some(), || {
        if v2 {
            return controller.set_cfs_quota_and_period(Some(value), Some(PERIOD_US));
        }
        controller.set_cfs_period(PERIOD_US)?;
        controller.set_cfs_quota(value)
    })?;
    let found = read_number(&file)?;
    let found = check(limit, quota, found, &file, 1)?;
    Ok(found.and_then(|quota| u32::try_from(quota * 1000 / PERIOD_US).ok()))
}

fn pids(group: &Group, wanted: Option<u32>) -> Result<Option<u32>, CgroupError> {
    let limit = "the limit on processes";
    let dir = folder(group, Controller::Pids, limit, wanted.is_some())?;
    let Some(dir) = dir else { return Ok(None) };
    let file = dir.join("pids.max");
    let controller = PidController::new(dir.to_owned(), group.version == Version::V2);
    let value = wanted.map_or(MaxValue::Max, |pids| MaxValue::Value(i64::from(pids)));
    change(&file, wanted.is_some(), || controller.set_pid_max(value))?;
    let found = check(limit, wanted.map(u64::from), read_number(&file)?, &file, 1)?;
    Ok(found.and_then(|pids| u32::try_from(pids).ok()))
}

/// Makes a change, unless it is not needed and the kernel has no such file.
fn change(
    file: &Path,
    needed: bool,
    make: impl FnOnce() -> cgroups_rs::error::Result<()>,
) -> Result<(), CgroupError> {
    if !needed && !file.exists() {
        return Ok(());
    }
    make().map_err(|error| failed("set", file)(said(&error)))
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
    let wanted = wanted.map_or_else(|| "no limit".to_owned(), |wanted| wanted.to_string());
    Err(CgroupError::NotInForce { limit, wanted, found: shown, path: file.to_owned() })
}

#[cfg(test)]
mod tests;
