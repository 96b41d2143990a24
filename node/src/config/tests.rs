use super::*;

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn flags_win_over_drop_ins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "skerry.toml",
        "node = 'a'\ngroups = ['x']\n[local]\nwishes = false\n",
    );
    write(folder.path(), "conf.d/10.toml", "node = 'b'\nstate_dir = '/s'\n");
    let config = Config::load(Some(&file), &[("state_dir", "/flag".to_owned())]).unwrap();
    assert_eq!(config.node, "b");
    assert_eq!(config.state_dir, Path::new("/flag"));
    assert!(!config.local.wishes, "a drop-in must not reset what it does not name");
    assert_eq!(config.socket(), Path::new("/run/skerry/api.sock"));
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("nod = 'a'", "nod"),
        ("node = 'A b'", "node name 'A b'"),
        ("state_dir = 'x'", "state_dir must be an absolute path"),
        ("cgroup = '/'", "cgroup must be below the root"),
        ("node = ", "skerry.toml"),
    ] {
        let file = write(folder.path(), "skerry.toml", text);
        let error = Config::load(Some(&file), &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let missing = Config::load(Some(Path::new("/nowhere.toml")), &[]).unwrap_err().to_string();
    assert!(missing.contains("/nowhere.toml"), "{missing}");
}

#[test]
fn the_vendors_files_lie_under_everything() {
    let folder = tempfile::tempdir().unwrap();
    let vendor =
        write(folder.path(), "lib/skerry.toml", "[local]\nwishes = false\n[log]\nfiles = 5\n");
    write(folder.path(), "lib/conf.d/10.toml", "[log]\nfiles = 7\nmax_size = '2Mi'\n");
    let file = write(folder.path(), "etc/skerry.toml", "node = 'a'\n[log]\nmax_size = '4Mi'\n");
    let config = Config::load_over(&vendor, Some(&file), &[]).unwrap();
    assert!(!config.local.wishes);
    assert_eq!((config.log.files, config.log.max_size), (7, Memory(4 << 20)));
    write(folder.path(), "etc/skerry.toml", "node = 'a'\n[local]\nwishes = true\n");
    assert!(Config::load_over(&vendor, Some(&file), &[]).unwrap().local.wishes);
    write(folder.path(), "lib/skerry.toml", "nod = 1\n");
    let error = Config::load_over(&vendor, Some(&file), &[]).unwrap_err().to_string();
    assert!(error.contains("lib/skerry.toml") && error.contains("nod"), "{error}");
}

#[test]
fn what_is_for_the_device_is_not_the_nodes_business() {
    let folder = tempfile::tempdir().unwrap();
    let text = "node = 'a'\n[device]\nshell = true\nanything = ['at', 'all']\n[device.network]\ndns = []\n";
    let file = write(folder.path(), "skerry.toml", text);
    assert_eq!(Config::load(Some(&file), &[]).unwrap().node, "a");
    let file = write(folder.path(), "skerry.toml", "device = 'x'\n");
    assert!(Config::load(Some(&file), &[]).is_err(), "it must still be a table");
}
