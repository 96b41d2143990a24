use super::*;

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn folders_without_an_owner_go_and_others_stay() {
    let place = tempfile::tempdir().unwrap();
    let (agents, pods) = (place.path().join("agents"), place.path().join("pods"));
    for folder in ["agents/mine", "agents/orphan/oci", "pods/shared", "pods/old", "volumes/v"] {
        fs::create_dir_all(place.path().join(folder)).unwrap();
    }
    let cgroup = Path::new("/skerry-sweep-test-that-is-not-there/agents");
    let base = Base { agents: &agents, pods: &pods, cgroup };
    let swept = sweep(&base, &names(&["mine"]), &names(&["shared"]));
    assert_eq!(swept.len(), 2, "{swept:?}");
    assert!(swept.iter().all(|one| one.left.is_none()), "{swept:?}");
    for (folder, stays) in [
        ("agents/mine", true),
        ("agents/orphan", false),
        ("pods/shared", true),
        ("pods/old", false),
        ("volumes/v", true),
    ] {
        assert_eq!(place.path().join(folder).exists(), stays, "{folder}");
    }
    assert!(sweep(&base, &names(&["mine"]), &names(&["shared"])).is_empty());
}
