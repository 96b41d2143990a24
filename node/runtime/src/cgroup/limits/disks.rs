//! What share of the disks, and how much of single ones.
//!
//! A weight has an effect only where a disk's scheduler keeps it; whether one does is looked up, and
//! told. On version 1 the kernel counts what is read and what is written directly, and not what
//! it writes from its cache later.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{CgroupError, Controller, Group, Limits, Version, failed, folder, put};
use crate::launch::{IoDevice, IoWeight};
use crate::record::Shortfall;

const LIMIT: &str = "a limit for a disk";

/// A file that takes a weight, and what must hold for it to matter.
struct Keeper {
    file: &'static str,
    most: u16,
    scheduler: Option<&'static str>,
}

const KEEPERS: [Keeper; 4] = [
    Keeper { file: "io.bfq.weight", most: 1000, scheduler: Some("bfq") },
    Keeper { file: "io.weight", most: 10_000, scheduler: None },
    Keeper { file: "blkio.bfq.weight", most: 1000, scheduler: Some("bfq") },
    Keeper { file: "blkio.weight", most: 1000, scheduler: Some("cfq") },
];

/// Sets the share, and returns it if it is in force, or why it is not.
pub(super) fn weight(
    group: &Group,
    wanted: Option<IoWeight>,
) -> Result<(Option<IoWeight>, Option<Shortfall>), CgroupError> {
    let Some(dir) = group.dir_of(Controller::Io).filter(|dir| dir.is_dir()) else {
        return Ok((None, wanted.map(|_| shortfall("this kernel has no io controller"))));
    };
    let value = wanted.map_or(100, |wanted| wanted.value);
    let mut kept = None;
    let mut why = String::from("this kernel keeps no weights for disks; it lacks bfq and iocost");
    for keeper in KEEPERS.iter().filter(|keeper| dir.join(keeper.file).exists()) {
        let file = dir.join(keeper.file);
        let found = value.min(keeper.most);
        put(&file, &found.to_string()).map_err(failed("set", &file))?;
        match keeper.is_used(dir) {
            true if kept.is_none() => kept = Some(found),
            true => {}
            false => why = keeper.advice(),
        }
    }
    let Some(wanted) = wanted else { return Ok((None, None)) };
    match kept {
        Some(found) if found == value => Ok((Some(wanted), None)),
        _ if wanted.required => Err(CgroupError::Unsupported { limit: "the disk weight", why }),
        Some(found) => {
            let why = format!("the scheduler of the disks keeps {found} at most");
            Ok((Some(IoWeight { value: found, ..wanted }), Some(shortfall(why))))
        }
        None => Ok((None, Some(shortfall(why)))),
    }
}

fn shortfall(why: impl Into<String>) -> Shortfall {
    Shortfall { field: "limits.io_weight".to_owned(), why: why.into() }
}

impl Keeper {
    /// Whether any disk is dealt out by it now.
    fn is_used(&self, dir: &Path) -> bool {
        let Some(name) = self.scheduler else { return costs_are_reckoned(dir) };
        let disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let in_use = format!("[{name}]");
        disks.map(|disk| disk.path().join("queue/scheduler")).any(|file| {
            std::fs::read_to_string(file).is_ok_and(|schedulers| schedulers.contains(&in_use))
        })
    }

    fn advice(&self) -> String {
        match self.scheduler {
            Some(name) => format!(
                "no disk has the scheduler {name}; write {name} to /sys/block/DISK/queue/scheduler"
            ),
            None => "no disk is in io.cost.qos; enable it there, or use the scheduler bfq".into(),
        }
    }
}

/// Whether iocost is on for a disk; the root of the hierarchy has the switch.
fn costs_are_reckoned(dir: &Path) -> bool {
    let switch = dir.ancestors().map(|above| above.join("io.cost.qos")).find(|file| file.exists());
    let text = switch.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    text.contains("enable=1")
}

/// Sets the limits of single disks, lifts all others, and returns what the kernel then reports.
pub(super) fn devices(group: &Group, wanted: &Limits) -> Result<Vec<IoDevice>, CgroupError> {
    let wanted = &wanted.io_devices;
    let dir = folder(group, Controller::Io, LIMIT, !wanted.is_empty())?;
    let Some(dir) = dir.filter(|dir| dir.is_dir()) else { return Ok(Vec::new()) };
    let disks = wanted.iter().map(|device| Ok((disk_of(&device.path)?, device)));
    let disks = disks.collect::<Result<Vec<_>, CgroupError>>()?;
    if group.version == Version::V2 {
        set_v2(&dir.join("io.max"), &disks)?;
    } else {
        for (name, pick) in FILES_V1 {
            set_v1(&dir.join(name), &disks, pick)?;
        }
    }
    Ok(wanted.clone())
}

type Pick = fn(&IoDevice) -> Option<u64>;

const FILES_V1: [(&str, Pick); 4] = [
    ("blkio.throttle.read_bps_device", |device| device.read_bps),
    ("blkio.throttle.write_bps_device", |device| device.write_bps),
    ("blkio.throttle.read_iops_device", |device| device.read_iops),
    ("blkio.throttle.write_iops_device", |device| device.write_iops),
];

/// Lines of `MAJOR:MINOR VALUE`; 0 lifts.
fn set_v1(file: &Path, wanted: &[(String, &IoDevice)], pick: Pick) -> Result<(), CgroupError> {
    let old = match std::fs::read_to_string(file) {
        Err(_) if wanted.iter().all(|(_, device)| pick(device).is_none()) => return Ok(()),
        read => read.map_err(failed("read", file))?,
    };
    for disk in old.lines().filter_map(|line| line.split_once(' ')).map(|(disk, _)| disk) {
        put(file, &format!("{disk} 0")).map_err(failed("lift the limits in", file))?;
    }
    for (disk, device) in wanted {
        let Some(value) = pick(device) else { continue };
        put(file, &format!("{disk} {value}")).map_err(failed("set", file))?;
        let now = std::fs::read_to_string(file).map_err(failed("read back", file))?;
        let found = now.lines().find_map(|line| line.strip_prefix(&format!("{disk} ")));
        expect(&value.to_string(), found.unwrap_or("no limit"), file)?;
    }
    Ok(())
}

/// Lines of `MAJOR:MINOR rbps=… wbps=… riops=… wiops=…`; `max` lifts.
fn set_v2(file: &Path, wanted: &[(String, &IoDevice)]) -> Result<(), CgroupError> {
    let old = match std::fs::read_to_string(file) {
        Err(_) if wanted.is_empty() => return Ok(()),
        read => read.map_err(failed("read", file))?,
    };
    for disk in old.lines().filter_map(|line| line.split_once(' ')).map(|(disk, _)| disk) {
        let free = format!("{disk} rbps=max wbps=max riops=max wiops=max");
        put(file, &free).map_err(failed("lift the limits in", file))?;
    }
    for (disk, device) in wanted {
        let limits = [
            ("rbps", device.read_bps),
            ("wbps", device.write_bps),
            ("riops", device.read_iops),
            ("wiops", device.write_iops),
        ];
        let words = limits.map(|(name, value)| {
            format!("{name}={}", value.map_or_else(|| "max".to_owned(), |value| value.to_string()))
        });
        let line = words.join(" ");
        put(file, &format!("{disk} {line}")).map_err(failed("set", file))?;
        let now = std::fs::read_to_string(file).map_err(failed("read back", file))?;
        let found = now.lines().find_map(|line| line.strip_prefix(&format!("{disk} ")));
        expect(&line, found.unwrap_or("no limit").trim(), file)?;
    }
    Ok(())
}

fn expect(wanted: &str, found: &str, file: &Path) -> Result<(), CgroupError> {
    if wanted == found {
        return Ok(());
    }
    let (wanted, found) = (wanted.to_owned(), found.to_owned());
    Err(CgroupError::NotInForce { limit: LIMIT, wanted, found, path: file.to_owned() })
}

/// `MAJOR:MINOR` of the whole disk that a device file stands for, or is a part of.
fn disk_of(path: &Path) -> Result<String, CgroupError> {
    let found = std::fs::metadata(path).map_err(failed("find the disk", path))?;
    if !found.file_type().is_block_device() {
        let why = format!("{} is no disk; name its device file", path.display());
        return Err(CgroupError::Unsupported { limit: LIMIT, why });
    }
    let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    let own = format!("{major}:{minor}");
    let device = Path::new("/sys/dev/block").join(&own);
    if !device.join("partition").exists() {
        return Ok(own);
    }
    // The kernel's own folders: a partition's is in its disk's.
    let disk = device.canonicalize().map_err(failed("find the disk of", path))?;
    let file = disk.parent().unwrap_or(&disk).join("dev");
    let number = std::fs::read_to_string(&file).map_err(failed("read", &file))?;
    Ok(number.trim().to_owned())
}
