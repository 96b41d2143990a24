//! Namespaces that agents share, with each other or with the host.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use skerry_runtime::pod::{self, Pod};
use skerry_runtime::{Mount, Namespace, Network, Propagation};

use crate::rig::{MONITOR, Rig, host};

/// A pod, gone when it is dropped.
struct Made {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    pod: Pod,
}

fn made() -> Made {
    let folder = tempfile::Builder::new().prefix("skerry-rt-pod").tempdir_in("/run").unwrap();
    let dir = folder.path().join("pod");
    let pod = pod::ensure(Path::new(MONITOR), &dir, "shared").unwrap();
    Made { _folder: folder, dir, pod }
}

impl Drop for Made {
    fn drop(&mut self) {
        let errors = pod::remove(&self.dir);
        assert!(errors.is_empty(), "{errors:?}");
    }
}

fn join(rig: &mut Rig, pod: &Pod) {
    rig.launch.network = Network::Join(pod.network.clone());
    rig.launch.ipc = Namespace::Join(pod.ipc.clone());
    rig.launch.uts = Namespace::Join(pod.uts.clone());
    rig.launch.volumes = vec![Mount::Bind {
        source: pod.shm.clone(),
        target: "/dev/shm".into(),
        read_only: false,
        propagation: Propagation::RPrivate,
        create: false,
    }];
}

fn ids(pod: &Pod) -> [u64; 4] {
    [&pod.network, &pod.ipc, &pod.uts, &pod.shm].map(|path| std::fs::metadata(path).unwrap().ino())
}

#[test]
fn agents_of_a_pod_share_network_name_queues_and_memory() {
    let made = made();
    let names = "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done; hostname";
    let mut one = Rig::script(&format!(
        "{names}; echo words > /dev/shm/shared; echo answer | nc -l -p 4711; sleep 1000"
    ));
    join(&mut one, &made.pod);
    one.start();
    let outside = one.exec(&["hostname"]);
    assert_eq!(outside.stdout, b"shared\n");
    let mut two = Rig::script(&format!(
        "{names}; cat /dev/shm/shared; \
         for i in $(seq 100); do nc 127.0.0.1 4711 </dev/null && break; sleep 0.1; done"
    ));
    join(&mut two, &made.pod);
    crate::rig::wait_for(|| made.pod.shm.join("shared").exists().then_some(())).unwrap();
    two.run();
    let (one, two) = (one.output(), two.output());
    let (one, two): (Vec<&str>, Vec<&str>) = (one.lines().collect(), two.lines().collect());
    assert_eq!(one[..3], two[..3]);
    assert_ne!(one[3..5], two[3..5], "each has its processes and mounts");
    assert_eq!((one[5], two[5]), ("shared", "shared"));
    assert_eq!(two[6..], ["words", "answer"]);
}

#[test]
fn a_pod_lives_without_a_process_and_stays_the_same() {
    let made = made();
    let before = ids(&made.pod);
    assert_eq!(pod::ensure(Path::new(MONITOR), &made.dir, "other").unwrap(), made.pod);
    assert_eq!(ids(&made.pod), before);
    let links = host("nsenter", &[&format!("--net={}", made.pod.network.display()), "ip", "link"]);
    assert!(links.contains("lo: <LOOPBACK,UP"), "{links}");
    assert_eq!(links.lines().count(), 2, "{links}");
}

#[test]
fn a_pod_that_is_half_made_is_made_anew() {
    let made = made();
    for half in [&made.pod.uts, &made.pod.network, &made.pod.shm] {
        host("umount", &[half.to_str().unwrap()]);
        pod::ensure(Path::new(MONITOR), &made.dir, "shared").unwrap();
        for path in [&made.pod.network, &made.pod.ipc, &made.pod.uts] {
            pod::check_namespace(path).unwrap();
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let dir = made.dir.to_str().unwrap();
    assert_eq!(mounts.matches(dir).count(), 4, "{mounts}");
}

#[test]
fn a_pod_is_removed_as_often_as_one_likes() {
    let made = made();
    assert!(pod::remove(&made.dir).is_empty());
    assert!(!made.dir.exists());
    assert!(pod::remove(&made.dir).is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(made.dir.to_str().unwrap()), "{mounts}");
}

#[test]
fn a_pod_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = pod::ensure(Path::new(MONITOR), &file.path().join("x"), "h").unwrap_err();
    assert!(refused.to_string().contains("cannot make the namespaces of the pod"), "{refused}");
}

#[test]
fn a_namespace_that_is_missing_is_named() {
    let mut rig = Rig::script("true");
    rig.launch.network = Network::Join("/run/no-such-pod/net".into());
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("/run/no-such-pod/net is no namespace"), "{failure:?}");
}

#[test]
fn the_network_of_the_host_is_the_hosts() {
    let mut rig = Rig::script("readlink /proc/self/ns/net; readlink /proc/self/ns/uts");
    rig.launch.network = Network::Host;
    rig.run();
    let own = |name: &str| {
        std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string()
    };
    let output = rig.output();
    assert!(output.starts_with(&own("net")) && !output.contains(&own("uts")), "{output}");
}

#[test]
fn a_program_beside_an_agent_of_a_pod_is_in_the_pod() {
    let made = made();
    let mut rig = Rig::script("sleep 1000");
    join(&mut rig, &made.pod);
    rig.start();
    let script = "for n in net ipc uts; do readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done";
    let output = String::from_utf8(rig.exec(&["sh", "-c", script]).stdout).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 6, "{output}");
    assert!(lines.chunks(2).all(|pair| pair[0] == pair[1]), "{output}");
}
