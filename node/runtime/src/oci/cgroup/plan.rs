//! Decides which control file gets which value, writes them in order, and reads limits back.
//!
//! A limit whose file this kernel lacks is refused by name. Where two limits bound each other, the
//! order of the writes depends on what is in force.

use std::io;
use std::path::Path;

use super::super::{Result, refused, system};
use super::Tree;
use super::resources::{BlockIo, Cpu, Memory, Resources, WeightOrRate};
use crate::cgroup::put;

/// One value for one file; read back afterwards, if it is a limit that one counts on.
struct Entry {
    controller: &'static str,
    file: String,
    value: String,
    checked: bool,
}

#[derive(Default)]
struct Plan(Vec<Entry>);

impl Plan {
    fn set(&mut self, controller: &'static str, file: impl Into<String>, value: impl ToString) {
        let (file, value) = (file.into(), value.to_string());
        self.0.push(Entry { controller, file, value, checked: false });
    }

    fn limit(&mut self, controller: &'static str, file: impl Into<String>, value: impl ToString) {
        let (file, value) = (file.into(), value.to_string());
        self.0.push(Entry { controller, file, value, checked: true });
    }
}

/// Sets every limit that is named.
pub fn apply(tree: &Tree, resources: &Resources) -> Result<()> {
    if resources.memory.check_before_update {
        check_use(tree, &resources.memory)?;
    }
    let mut plan = Plan::default();
    if tree.v2 {
        version2(&mut plan, resources)?;
    } else {
        if !resources.unified.is_empty() {
            return refused("invalid configuration: cannot use unified on cgroup v1");
        }
        version1(&mut plan, tree, resources);
    }
    for entry in &plan.0 {
        write(tree, entry)?;
    }
    Ok(())
}

fn write(tree: &Tree, entry: &Entry) -> Result<()> {
    let Entry { controller, file, value, .. } = entry;
    let Some(dir) = tree.dir_of(controller) else {
        return refused(format!(
            "{file} cannot be set: the {controller} controller is not in this kernel"
        ));
    };
    let path = dir.join(file);
    let failed = || format!("failed to write {value:?} to {}", path.display());
    put(&path, value).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if dir.exists() => super::super::OciError::Refused(format!(
            "{file} cannot be set: this kernel has no such limit, or the {controller} controller \
             is not enabled in {}",
            dir.display()
        )),
        _ => system(failed())(source),
    })?;
    if !entry.checked {
        return Ok(());
    }
    let found = std::fs::read_to_string(&path).map_err(system(failed()))?;
    match is_in_force(value, found.trim()) {
        true => Ok(()),
        false => refused(format!("{}: the kernel reports {}", failed(), found.trim())),
    }
}

/// The kernel rounds bytes down to whole pages, and has its own words for no limit.
fn is_in_force(wanted: &str, found: &str) -> bool {
    match (wanted.parse::<i64>(), found.parse::<i64>()) {
        (Ok(-1), _) => true,
        (Ok(wanted), Ok(found)) => {
            let page = i64::try_from(rustix::param::page_size()).unwrap_or(65536);
            // What is beyond all counting may be rounded down by more.
            let grain = if found > i64::MAX / 2 { i64::MAX / 2 } else { page };
            found <= wanted && wanted - found < grain
        }
        _ => wanted == found,
    }
}

fn check_use(tree: &Tree, memory: &Memory) -> Result<()> {
    let Some(limit) = memory.limit.filter(|limit| *limit > 0) else { return Ok(()) };
    let file = if tree.v2 { "memory.current" } else { "memory.usage_in_bytes" };
    let used = tree.dir_of("memory").and_then(|dir| number(&dir.join(file)));
    match used {
        Some(used) if used > limit => {
            refused(format!("rejecting memory limit {limit}: {used} bytes are in use"))
        }
        _ => Ok(()),
    }
}

fn number(path: &Path) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn version1(plan: &mut Plan, tree: &Tree, resources: &Resources) {
    memory1(plan, tree, &resources.memory);
    cpu1(plan, tree, &resources.cpu);
    cpuset(plan, &resources.cpu);
    pids(plan, resources);
    block1(plan, tree, &resources.block_io);
    for pages in &resources.hugepage_limits {
        plan.limit("hugetlb", format!("hugetlb.{}.limit_in_bytes", pages.page_size), pages.limit);
    }
    if let Some(class) = resources.network.class_id {
        plan.set("net_cls", "net_cls.classid", class);
    }
    for priority in &resources.network.priorities {
        let value = format!("{} {}", priority.name, priority.priority);
        plan.set("net_prio", "net_prio.ifpriomap", value);
    }
    rdma(plan, resources);
}

fn memory1(plan: &mut Plan, tree: &Tree, memory: &Memory) {
    const LIMIT: &str = "memory.limit_in_bytes";
    const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
    let limit = memory.limit.filter(|limit| *limit != 0);
    // Without a limit there is none with swap either.
    let swap = memory.swap.filter(|swap| *swap != 0);
    let has_swap = tree.dir_of("memory").is_some_and(|dir| dir.join(WITH_SWAP).exists());
    let swap = swap.or_else(|| (limit == Some(-1) && has_swap).then_some(-1));
    // The limit with swap may at no time be the lower one.
    let now = tree.dir_of("memory").and_then(|dir| number(&dir.join(WITH_SWAP)));
    let swap_first = match (limit, swap, now) {
        (Some(_), Some(-1), _) => true,
        (Some(limit), Some(swap), Some(now)) => now < swap && (limit < 0 || limit >= now),
        _ => false,
    };
    let order =
        [(swap_first, WITH_SWAP, swap), (true, LIMIT, limit), (!swap_first, WITH_SWAP, swap)];
    for (due, file, value) in order {
        if let Some(value) = value.filter(|_| due) {
            plan.limit("memory", file, value);
        }
    }
    if let Some(value) = memory.reservation.filter(|value| *value != 0) {
        plan.limit("memory", "memory.soft_limit_in_bytes", value);
    }
    if let Some(value) = memory.kernel_tcp.filter(|value| *value != 0) {
        plan.limit("memory", "memory.kmem.tcp.limit_in_bytes", value);
    }
    if memory.disable_oom_killer {
        plan.set("memory", "memory.oom_control", 1);
    }
    if let Some(value) = memory.swappiness {
        plan.set("memory", "memory.swappiness", value);
    }
}

fn cpu1(plan: &mut Plan, tree: &Tree, cpu: &Cpu) {
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        plan.limit("cpu", "cpu.shares", shares);
    }
    let has = |file: &str| tree.dir_of("cpu").is_some_and(|dir| dir.join(file).exists());
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let period = cpu.period.filter(|period| *period != 0);
    // A burst above the quota is refused at any time: first the one that grows.
    let old_quota = tree.dir_of("cpu").and_then(|dir| number(&dir.join("cpu.cfs_quota_us")));
    let burst = cpu.burst.filter(|burst| *burst != 0 || has("cpu.cfs_burst_us"));
    let burst_first = old_quota.zip(quota).is_some_and(|(old, new)| new > 0 && new < old);
    if let Some(burst) = burst.filter(|_| burst_first) {
        plan.limit("cpu", "cpu.cfs_burst_us", burst);
    }
    // The share that both make may at no time be above that of the group above: first the one that
    // makes it smaller.
    let old_period = tree.dir_of("cpu").and_then(|dir| number(&dir.join("cpu.cfs_period_us")));
    let shorter = old_period.zip(period.and_then(|period| i64::try_from(period).ok()));
    let quota_first =
        quota.is_some_and(|quota| quota > 0) && shorter.is_some_and(|(old, new)| new < old);
    if let Some(quota) = quota.filter(|_| quota_first) {
        plan.limit("cpu", "cpu.cfs_quota_us", quota);
    }
    if let Some(period) = period {
        plan.limit("cpu", "cpu.cfs_period_us", period);
    }
    if let Some(quota) = quota.filter(|_| !quota_first) {
        plan.limit("cpu", "cpu.cfs_quota_us", quota);
    }
    if let Some(burst) = burst.filter(|_| !burst_first) {
        plan.limit("cpu", "cpu.cfs_burst_us", burst);
    }
    if let Some(period) = cpu.realtime_period.filter(|period| *period != 0) {
        plan.limit("cpu", "cpu.rt_period_us", period);
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime != 0) {
        plan.limit("cpu", "cpu.rt_runtime_us", runtime);
    }
    if let Some(idle) = cpu.idle {
        plan.limit("cpu", "cpu.idle", idle);
    }
}

fn cpuset(plan: &mut Plan, cpu: &Cpu) {
    if !cpu.cpus.is_empty() {
        plan.set("cpuset", "cpuset.cpus", &cpu.cpus);
    }
    if !cpu.mems.is_empty() {
        plan.set("cpuset", "cpuset.mems", &cpu.mems);
    }
}

fn pids(plan: &mut Plan, resources: &Resources) {
    match resources.pids.limit {
        None | Some(0) => {}
        Some(limit) if limit < 0 => plan.limit("pids", "pids.max", "max"),
        Some(limit) => plan.limit("pids", "pids.max", limit),
    }
}

fn block1(plan: &mut Plan, tree: &Tree, block: &BlockIo) {
    let dir = tree.dir_of("blkio");
    let has = |file: &str| dir.is_some_and(|dir| dir.join(file).exists());
    let bfq = !has("blkio.weight") && has("blkio.bfq.weight");
    let prefix = if bfq { "blkio.bfq" } else { "blkio" };
    if let Some(weight) = block.weight.filter(|weight| *weight != 0) {
        plan.limit("blkio", format!("{prefix}.weight"), weight);
    }
    if let Some(weight) = block.leaf_weight.filter(|weight| *weight != 0) {
        plan.limit("blkio", "blkio.leaf_weight", weight);
    }
    let device = |device: &WeightOrRate| format!("{}:{}", device.major, device.minor);
    for entry in &block.weight_device {
        if let Some(weight) = entry.weight {
            let value = format!("{} {weight}", device(entry));
            plan.set("blkio", format!("{prefix}.weight_device"), value);
        }
        if let Some(weight) = entry.leaf_weight {
            let value = format!("{} {weight}", device(entry));
            plan.set("blkio", "blkio.leaf_weight_device", value);
        }
    }
    let throttles = [
        ("read_bps", &block.throttle_read_bps_device),
        ("write_bps", &block.throttle_write_bps_device),
        ("read_iops", &block.throttle_read_iops_device),
        ("write_iops", &block.throttle_write_iops_device),
    ];
    for (what, entries) in throttles {
        for entry in entries {
            let value = format!("{} {}", device(entry), entry.rate);
            plan.set("blkio", format!("blkio.throttle.{what}_device"), value);
        }
    }
}

fn rdma(plan: &mut Plan, resources: &Resources) {
    for (device, limit) in &resources.rdma {
        let part = |name: &str, value: Option<u32>| {
            value.map(|value| format!(" {name}={value}")).unwrap_or_default()
        };
        let handles = part("hca_handle", limit.hca_handles);
        let objects = part("hca_object", limit.hca_objects);
        plan.set("rdma", "rdma.max", format!("{device}{handles}{objects}"));
    }
}

fn version2(plan: &mut Plan, resources: &Resources) -> Result<()> {
    memory2(plan, &resources.memory)?;
    cpu2(plan, &resources.cpu);
    cpuset(plan, &resources.cpu);
    pids(plan, resources);
    block2(plan, &resources.block_io);
    for pages in &resources.hugepage_limits {
        plan.limit("hugetlb", format!("hugetlb.{}.max", pages.page_size), pages.limit);
    }
    if resources.network.class_id.is_some_and(|class| class != 0)
        || !resources.network.priorities.is_empty()
    {
        return refused("network classes and priorities are not in cgroup v2");
    }
    rdma(plan, resources);
    for (file, value) in &resources.unified {
        if file.contains('/') || !file.contains('.') {
            return refused(format!("unified resource \"{file}\" must be a file name"));
        }
        for line in value.lines() {
            plan.set("unified", file.clone(), line);
        }
    }
    Ok(())
}

fn no_limit_if_negative(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn memory2(plan: &mut Plan, memory: &Memory) -> Result<()> {
    if memory.kernel_tcp.is_some_and(|value| value > 0) || memory.disable_oom_killer {
        return refused("kernelTCP and disableOOMKiller are not in cgroup v2");
    }
    let limit = memory.limit.filter(|limit| *limit != 0);
    let swap = match (limit, memory.swap.filter(|swap| *swap != 0)) {
        (Some(-1), None) | (_, Some(-1)) => Some(-1),
        (_, None) => None,
        // The specification counts memory with swap, the kernel swap alone.
        (Some(limit), Some(both)) if limit > 0 && both >= limit => Some(both - limit),
        (_, Some(both)) => {
            return refused(format!("memory+swap limit {both} is below, or without, memory's"));
        }
    };
    if let Some(swap) = swap {
        plan.limit("memory", "memory.swap.max", no_limit_if_negative(swap));
    }
    if let Some(limit) = limit {
        plan.limit("memory", "memory.max", no_limit_if_negative(limit));
    }
    if let Some(low) = memory.reservation.filter(|low| *low != 0) {
        plan.limit("memory", "memory.low", no_limit_if_negative(low));
    }
    Ok(())
}

fn cpu2(plan: &mut Plan, cpu: &Cpu) {
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        let shares = shares.clamp(2, 262_144);
        plan.limit("cpu", "cpu.weight", 1 + ((shares - 2) * 9999) / 262_142);
    }
    if cpu.quota.is_some() || cpu.period.is_some() {
        let quota = cpu.quota.filter(|quota| *quota > 0);
        let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        let period = cpu.period.filter(|period| *period != 0).unwrap_or(100_000);
        plan.limit("cpu", "cpu.max", format!("{quota} {period}"));
    }
    if let Some(burst) = cpu.burst {
        plan.limit("cpu", "cpu.max.burst", burst);
    }
    if let Some(idle) = cpu.idle {
        plan.limit("cpu", "cpu.idle", idle);
    }
}

fn block2(plan: &mut Plan, block: &BlockIo) {
    // 10 to 1000 there, 1 to 10000 here.
    let converted = |weight: u16| 1 + (u64::from(weight.max(10)) - 10) * 9999 / 990;
    if let Some(weight) = block.weight.filter(|weight| *weight != 0) {
        plan.set("io", "io.weight", format!("default {}", converted(weight)));
    }
    for entry in &block.weight_device {
        if let Some(weight) = entry.weight {
            let value = format!("{}:{} {}", entry.major, entry.minor, converted(weight));
            plan.set("io", "io.weight", value);
        }
    }
    let throttles = [
        ("rbps", &block.throttle_read_bps_device),
        ("wbps", &block.throttle_write_bps_device),
        ("riops", &block.throttle_read_iops_device),
        ("wiops", &block.throttle_write_iops_device),
    ];
    for (what, entries) in throttles {
        for entry in entries {
            let rate = if entry.rate == 0 { "max".to_owned() } else { entry.rate.to_string() };
            plan.set("io", "io.max", format!("{}:{} {what}={rate}", entry.major, entry.minor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_in_force;

    #[test]
    fn the_kernel_may_round_down_to_a_page() {
        assert!(is_in_force("33554432", "33554432"));
        assert!(is_in_force("33554433", "33554432"));
        assert!(!is_in_force("33554432", "9223372036854771712"));
        assert!(!is_in_force("33554432", "67108864"));
        assert!(is_in_force("-1", "9223372036854771712"));
        assert!(is_in_force("20000 100000", "20000 100000"));
    }
}
