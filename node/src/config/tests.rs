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
