use std::os::unix::fs::symlink;

use super::*;

fn disk(sys: &Path, name: &str, partitions: &[(&str, u32, &str)]) {
    let classes = sys.join("class/block");
    fs::create_dir_all(&classes).unwrap();
    for (device, number, label) in partitions {
        let place = sys.join("devices").join(name).join(device);
        fs::create_dir_all(&place).unwrap();
        let uevent =
            format!("DEVNAME={device}\nDEVTYPE=partition\nPARTN={number}\nPARTNAME={label}\n");
        fs::write(place.join("uevent"), uevent).unwrap();
        symlink(&place, classes.join(device)).unwrap();
    }
}

#[test]
fn a_name_is_found_on_the_disk_that_was_asked_for() {
    let sys = tempfile::tempdir().unwrap();
    disk(sys.path(), "vda", &[("vda1", 1, "skerry-boot"), ("vda2", 2, "skerry-a")]);
    disk(sys.path(), "vdb", &[("vdb2", 2, "skerry-a")]);
    let first = find(sys.path(), "skerry-a", None).unwrap();
    assert_eq!((first.device.as_str(), first.disk.as_str(), first.number), ("vda2", "vda", 2));
    let second = find(sys.path(), "skerry-a", Some("vdb")).unwrap();
    assert_eq!(second.node(), Path::new("/dev/vdb2"));
    assert_eq!(find(sys.path(), "skerry-data", None), None);
    assert_eq!(find(sys.path(), "skerry-boot", Some("vdb")), None);
}
