//! A volume holds what it may and no more, on a file system that keeps that.

use std::path::{Path, PathBuf};

use skerry_runtime::quota::{self, QuotaError};
use skerry_runtime::{Mount, User};

use crate::rig::{Disk, Rig, disk, host};

/// An ext4 with project quotas, or without.
struct Formatted {
    place: tempfile::TempDir,
    _disk: Disk,
}

fn formatted(with_quotas: bool) -> Formatted {
    let disk = disk(32);
    let features = ["-q", "-O", "quota,project", "-E", "quotatype=prjquota", disk.path()];
    host("mkfs.ext4", if with_quotas { &features } else { &features[5..] });
    let place = tempfile::Builder::new().prefix("skerry-rt-quota").tempdir_in("/run").unwrap();
    let options = if with_quotas { "prjquota" } else { "defaults" };
    host("mount", &["-o", options, disk.path(), place.path().to_str().unwrap()]);
    Formatted { place, _disk: disk }
}

impl Formatted {
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.place.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(1000), Some(1000)).unwrap();
        folder
    }
}

impl Drop for Formatted {
    fn drop(&mut self) {
        host("umount", &["-l", self.place.path().to_str().unwrap()]);
    }
}

/// How much an agent can write into a folder, in bytes.
fn writable(folder: &Path) -> u64 {
    let mut rig = Rig::script("dd if=/dev/zero of=/data/file bs=65536 count=64; echo $?");
    rig.launch.user = User { uid: 1000, gid: 1000, additional_gids: vec![] };
    rig.launch.volumes =
        vec![Mount::Volume { source: folder.into(), target: "/data".into(), read_only: false }];
    rig.run();
    std::fs::metadata(folder.join("file")).map_or(0, |found| found.len())
}

#[test]
#[ignore = "needs a kernel with CONFIG_QFMT_V2, or XFS with quotas"]
fn a_volume_is_full_at_its_quota_and_others_are_not() {
    let disk = formatted(true);
    let (small, large, free) = (disk.folder("small"), disk.folder("large"), disk.folder("free"));
    assert!(quota::is_supported(&small).unwrap());
    assert_eq!(quota::set(&small, 1001, 1 << 20).unwrap().limit_bytes, 1 << 20);
    quota::set(&large, 1002, 2 << 20).unwrap();
    let (in_small, in_large) = (writable(&small), writable(&large));
    assert!((512 << 10..=1 << 20).contains(&in_small), "{in_small}");
    assert!((1536 << 10..=2 << 20).contains(&in_large), "{in_large}");
    assert_eq!(writable(&free), 4 << 20);
    let usage = quota::usage(&small, 1001).unwrap();
    assert!(usage.used_bytes >= in_small && usage.used_bytes <= 1 << 20, "{usage:?}");
    // Changed, and lifted.
    quota::set(&small, 1001, 3 << 20).unwrap();
    assert!(writable(&small) > 2 << 20);
    quota::clear(&small, 1001).unwrap();
    assert_eq!(writable(&small), 4 << 20);
}

#[test]
#[ignore = "needs a kernel with CONFIG_QFMT_V2, or XFS with quotas"]
fn what_is_in_a_folder_already_counts() {
    let disk = formatted(true);
    let folder = disk.folder("old");
    std::fs::create_dir(folder.join("deep")).unwrap();
    std::fs::write(folder.join("deep/file"), vec![1_u8; 700 << 10]).unwrap();
    rustix::fs::sync();
    quota::set(&folder, 77, 1 << 20).unwrap();
    let usage = quota::usage(&folder, 77).unwrap();
    assert!(usage.used_bytes >= 700 << 10, "{usage:?}");
    assert!(writable(&folder) < 400 << 10);
}

#[test]
fn a_file_system_without_quotas_is_refused_with_advice() {
    let disk = formatted(false);
    for folder in [disk.folder("x"), std::env::temp_dir(), "/run".into()] {
        if quota::is_supported(&folder).unwrap() {
            continue;
        }
        let refused = quota::set(&folder, 5, 1 << 20).unwrap_err();
        assert!(matches!(refused, QuotaError::Unsupported { .. }), "{refused}");
        assert!(refused.to_string().contains("keeps no project quotas; leave size out"));
    }
    let small = quota::set(&disk.place.path().join("x"), 5, 100).unwrap_err();
    assert!(small.to_string().contains("below 4096"), "{small}");
}
