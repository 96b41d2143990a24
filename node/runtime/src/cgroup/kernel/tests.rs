//! What is read from the table of mounts.

use super::*;

const V1: &str = "tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
";

fn none(_: &Path) -> String {
    String::new()
}

#[test]
fn version_1_with_controllers_that_share_a_mount() {
    let kernel = Kernel::from_mounts(V1, none).unwrap();
    assert_eq!(kernel.version(), Version::V1);
    assert!(kernel.has(Controller::Cpu) && kernel.has(Controller::Cpuacct));
    assert!(!kernel.has(Controller::Pids));
    assert_eq!(kernel.hierarchies().len(), 2);
}

#[test]
fn hybrid_is_version_1_with_a_version_2_mount() {
    let text = format!("{V1}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
    let kernel = Kernel::from_mounts(&text, none).unwrap();
    assert_eq!(kernel.version(), Version::Hybrid);
    assert!(kernel.has(Controller::Memory));
}

#[test]
fn version_2_has_what_its_root_offers() {
    let text = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
    let kernel = Kernel::from_mounts(text, |_| "cpuset cpu io pids\n".to_owned()).unwrap();
    assert_eq!(kernel.version(), Version::V2);
    assert!(kernel.has(Controller::Cpu) && kernel.has(Controller::Freezer));
    assert!(!kernel.has(Controller::Memory));
}

#[test]
fn a_limit_without_its_controller_is_refused_with_advice() {
    let text = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
    let kernel = Kernel::from_mounts(text, |_| "cpu pids".to_owned()).unwrap();
    let limits = Limits { memory_bytes: Some(1 << 20), ..Limits::default() };
    assert_eq!(
        kernel.check(&limits).unwrap_err().to_string(),
        "a memory limit cannot be enforced: the memory controller is not enabled in this kernel; \
         boot with cgroup_enable=memory, or leave the limit out"
    );
    assert!(kernel.check(&Limits { cpu_millis: Some(100), ..Limits::default() }).is_ok());
}

#[test]
fn without_a_hierarchy_there_is_an_error() {
    assert!(matches!(
        Kernel::from_mounts("proc /proc proc rw 0 0\n", none),
        Err(CgroupError::NotMounted)
    ));
}

#[test]
fn each_limit_names_the_controller_that_it_needs() {
    use crate::launch::{IoDevice, IoWeight};
    let text = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
    let kernel = Kernel::from_mounts(text, |_| "memory pids".to_owned()).unwrap();
    let refused = |limits: Limits| kernel.check(&limits).unwrap_err().to_string();
    let weight = |required| Some(IoWeight { value: 7, required });
    for (limits, wanted) in [
        (Limits { cpu_weight: Some(5), ..Limits::default() }, "the cpu controller"),
        (Limits { cpuset: Some("0".into()), ..Limits::default() }, "the cpuset controller"),
        (Limits { io_weight: weight(true), ..Limits::default() }, "the io controller"),
        (Limits { io_devices: vec![IoDevice::default()], ..Limits::default() }, "mount its"),
    ] {
        assert!(refused(limits.clone()).contains(wanted), "{limits:?}");
    }
    assert!(kernel.check(&Limits { io_weight: weight(false), ..Limits::default() }).is_ok());
}

#[test]
fn version_1_has_its_own_name_for_the_controller_of_disks() {
    let text = "cgroup /sys/fs/cgroup/blkio cgroup rw,blkio 0 0\n";
    assert!(Kernel::from_mounts(text, none).unwrap().has(Controller::Io));
}
