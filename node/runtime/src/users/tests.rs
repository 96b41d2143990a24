//! Users of images in layers, hostile ones among them.

use std::os::unix::fs::symlink;

use super::*;

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n# a remark\n\napp:x:1000:1001::/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nwww:x:33:app\nvideo:x:44:other,app\napp:x:1001:app\n";

/// Layers with these files, bottom to top.
fn layers(contents: &[&[(&str, &str)]]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let mut lowers = Vec::new();
    for (number, files) in contents.iter().enumerate() {
        let layer = folder.path().join(number.to_string());
        std::fs::create_dir(&layer).unwrap();
        for (name, content) in *files {
            let path = layer.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        lowers.push(layer);
    }
    (folder, lowers)
}

fn usual() -> (tempfile::TempDir, Vec<PathBuf>) {
    layers(&[&[("etc/passwd", USERS), ("etc/group", GROUPS)]])
}

fn user(uid: u32, gid: u32, groups: &[u32]) -> User {
    User { uid, gid, additional_gids: groups.to_vec() }
}

#[test]
fn names_and_numbers_mean_what_the_image_says() {
    let (_folder, lowers) = usual();
    for (text, wanted) in [
        ("", user(0, 0, &[])),
        ("root", user(0, 0, &[])),
        ("app", user(1000, 1001, &[33, 44])),
        ("1000", user(1000, 1001, &[33, 44])),
        ("app:www", user(1000, 33, &[44, 1001])),
        ("app:7", user(1000, 7, &[33, 44, 1001])),
        ("4321", user(4321, 0, &[])),
        ("4321:www", user(4321, 33, &[])),
        (":www", user(0, 33, &[])),
    ] {
        assert_eq!(resolve_user(&lowers, text).unwrap(), wanted, "{text}");
    }
}

#[test]
fn a_name_that_the_image_has_not_is_told() {
    let (_folder, lowers) = usual();
    let refused = |text| resolve_user(&lowers, text).unwrap_err().to_string();
    assert!(refused("nobody").contains("/etc/passwd has no user 'nobody'"));
    assert!(refused("app:wheel").contains("/etc/group has no group 'wheel'"));
    assert!(refused("-1").contains("no user '-1'"));
    let (_folder, empty) = layers(&[&[]]);
    assert!(resolve_user(&empty, "app").is_err());
    assert_eq!(resolve_user(&empty, "5:6").unwrap(), user(5, 6, &[]));
}

#[test]
fn the_topmost_layer_wins_and_what_it_hides_is_hidden() {
    let below: &[(&str, &str)] = &[("etc/passwd", USERS), ("etc/group", GROUPS)];
    let (_folder, lowers) = layers(&[below, &[("etc/passwd", "app:x:7:8::/:/x\n")]]);
    assert_eq!(resolve_user(&lowers, "app").unwrap(), user(7, 8, &[33, 44, 1001]));

    let (_folder, lowers) = layers(&[below, &[("etc/other", "")]]);
    let device = rustix::fs::makedev(0, 0);
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
    let hidden = lowers[1].join("etc/passwd");
    rustix::fs::mknodat(rustix::fs::CWD, hidden, kind, mode, device).unwrap();
    assert!(resolve_user(&lowers, "app").is_err());

    let (_folder, lowers) = layers(&[below, &[("etc/other", "")]]);
    let (name, flags) = ("trusted.overlay.opaque", rustix::fs::XattrFlags::empty());
    rustix::fs::setxattr(lowers[1].join("etc"), name, b"y", flags).unwrap();
    assert!(resolve_user(&lowers, "app").is_err());
}

#[test]
fn links_lead_within_the_image_only() {
    let (folder, lowers) =
        layers(&[&[("usr/lib/passwd", USERS), ("etc/x", "")], &[("data/x", "")]]);
    symlink("/usr/lib/passwd", lowers[0].join("etc/passwd")).unwrap();
    assert_eq!(resolve_user(&lowers, "app").unwrap().uid, 1000);
    // Into another layer, through a link of a folder, and above the root, which ends at the root.
    symlink("../../../../../data/users", lowers[1].join("etc")).unwrap();
    std::fs::create_dir(lowers[1].join("data/users")).unwrap();
    std::fs::write(lowers[1].join("data/users/passwd"), "app:x:9:9::/:/\n").unwrap();
    assert_eq!(resolve_user(&lowers, "app").unwrap().uid, 9);

    let (_other, lowers) = layers(&[&[("etc/x", "")]]);
    let outside = folder.path().join("outside");
    std::fs::write(&outside, USERS).unwrap();
    symlink(&outside, lowers[0].join("etc/passwd")).unwrap();
    assert!(resolve_user(&lowers, "app").is_err());
    std::fs::remove_file(lowers[0].join("etc/passwd")).unwrap();
    symlink("passwd", lowers[0].join("etc/passwd")).unwrap();
    assert!(matches!(resolve_user(&lowers, "app"), Err(UserError::Odd { .. })));
}

#[test]
fn a_file_larger_than_any_real_one_is_not_read() {
    let large = "x\n".repeat(600_000);
    let (_folder, lowers) = layers(&[&[("etc/passwd", &large)]]);
    assert!(matches!(resolve_user(&lowers, "app"), Err(UserError::Odd { .. })));
}
