use std::fs;
use std::sync::Arc;

use super::super::tests::{spec, wanted};
use super::*;

struct Rig {
    folder: tempfile::TempDir,
    secrets: Secrets,
    volumes: Volumes,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (secrets, volumes) = (Secrets::below(folder.path()), Volumes::below(folder.path()));
        Self { folder, secrets, volumes }
    }

    fn made(&self, volume: &str) -> Result<Mount, String> {
        let mut spec = spec(None, None);
        spec.volumes.push(serde_json::from_str(volume).unwrap());
        spec.check().unwrap();
        let mut wanted = wanted(spec);
        let values = [("app.conf".parse().unwrap(), "x=1".to_owned())].into();
        wanted.configs = Arc::new([("app".parse().unwrap(), values)].into());
        let user = User { uid: 1000, gid: 100, additional_gids: Vec::new() };
        let sources = Sources {
            run_dir: self.folder.path(),
            secrets: &self.secrets,
            volumes: &self.volumes,
            user: &user,
        };
        let made = mounts(&wanted, &sources).map_err(|error| error.to_string());
        made.map(|mut mounts| mounts.remove(0))
    }
}

#[test]
fn a_config_is_files_of_its_values_for_the_agent_s_user() {
    let made = Rig::new();
    let mount = made.made(r#"{"type":"config","source":"app","target":"/etc/app/"}"#).unwrap();
    let Mount::Files { target, files, mode, uid, gid, .. } = mount else { panic!("{mount:?}") };
    assert_eq!((target.to_str().unwrap(), mode, uid, gid), ("/etc/app", 0o444, 1000, 100));
    assert_eq!(fs::read_to_string(&files["app.conf"]).unwrap(), "x=1");
}

#[test]
fn a_secret_is_taken_from_where_it_is_kept() {
    let rig = Rig::new();
    let volume = r#"{"type":"secret","source":"db","target":"/run/db","mode":"0440"}"#;
    let absent = rig.made(volume).unwrap_err();
    assert!(absent.starts_with("volumes[0].source: secret 'db' is not on this node"), "{absent}");
    let name = "db".parse().unwrap();
    rig.secrets.set(&name, &[("K".parse().unwrap(), b"hush".to_vec())].into()).unwrap();
    let Mount::Files { files, mode, .. } = rig.made(volume).unwrap() else { panic!() };
    assert_eq!(mode, 0o440);
    assert_eq!(files["K"], rig.secrets.file(&name, &"K".parse().unwrap()));
}

#[test]
fn a_bind_needs_its_source_unless_it_may_be_made() {
    let rig = Rig::new();
    let path = rig.folder.path().join("nothing");
    let bind = |more: &str| {
        let path = path.display();
        rig.made(&format!(r#"{{"type":"bind","source":"{path}","target":"/x"{more}}}"#))
    };
    assert!(bind("").unwrap_err().contains("volumes[0].source"));
    assert!(matches!(bind(r#","create":true"#), Ok(Mount::Bind { create: true, .. })));
}

#[test]
fn a_volume_is_made_for_the_agent_s_user_when_it_is_first_used() {
    use std::os::unix::fs::MetadataExt;
    let rig = Rig::new();
    let volume = r#"{"type":"volume","source":"data","target":"/data","mode":"0750"}"#;
    let Mount::Volume { source, .. } = rig.made(volume).unwrap() else { panic!() };
    let found = fs::metadata(source).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (1000, 100, 0o750));
}
