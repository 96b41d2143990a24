use super::*;
use crate::init::{InitArgs, make};
use crate::workspace::Overrides;

struct Place {
    folder: tempfile::TempDir,
    workspace: Workspace,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("fleet");
        let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
        Self { folder, workspace }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody else's key: its file, and the public half.
    fn person(&self, name: &str) -> String {
        let key = keys::make().unwrap();
        keys::write(&self.file(name), &key, None).unwrap();
        PublicKey::of(&key).to_hex()
    }

    fn draft(&self, keys: &str, threshold: &str) -> anyhow::Result<()> {
        let given =
            |text: &str| Vec::from_iter((!text.is_empty()).then(|| role_value(text).unwrap()));
        let args = DraftArgs {
            whose: Whose::Director,
            keys: given(keys),
            thresholds: given(threshold),
            output: self.file("draft"),
        };
        draft(&self.workspace, &args)
    }

    fn sign(&self, key: Option<&str>) -> anyhow::Result<()> {
        let args = SignArgs { file: self.file("draft"), key: key.map(|key| self.file(key)) };
        add_signature(|| Ok(self.workspace.clone()), &args)
    }

    fn publish(&self) -> anyhow::Result<()> {
        publish(&self.workspace, &self.file("draft"))
    }
}

#[test]
fn two_of_three_people_sign_a_root_by_passing_a_file_on() {
    let place = Place::new();
    let people = ["ann", "bob", "eve"].map(|name| place.person(name));
    place.draft(&format!("root={}", people.join(",")), "root=2").unwrap();
    place.sign(None).unwrap();
    place.sign(Some("ann")).unwrap();
    let why = format!("{:#}", place.publish().unwrap_err());
    assert!(why.contains("1 of 2 required signatures are valid"), "{why}");
    place.sign(Some("bob")).unwrap();
    assert!(progress(&read(&place.file("draft")).unwrap()).unwrap().contains("enough"));
    place.publish().unwrap();

    // From here on the workspace's own root key has no say, and one person alone has none either.
    let alone = rotate::replace(&place.workspace, Repository::Director, &[Role::Timestamp]);
    let why = format!("{:#}", alone.unwrap_err());
    assert!(why.contains("2 keys must sign a root of director"), "{why}");
    place.draft("", "").unwrap();
    assert!(place.sign(None).unwrap_err().to_string().contains("has no say over the root"));
    place.sign(Some("eve")).unwrap();
    place.sign(Some("bob")).unwrap();
    place.publish().unwrap();
    assert_eq!(roots::newest(&place.workspace, Repository::Director).unwrap().0.version, 3);
    assert!(place.publish().unwrap_err().to_string().contains("is not the next one"));
}

#[test]
fn who_signs_is_shown_what_changes() {
    let place = Place::new();
    place.draft(&format!("targets={}", place.person("ann")), "").unwrap();
    let lines = changes(&read(&place.file("draft")).unwrap()).unwrap();
    assert!(lines[0].starts_with("root 2 of director, after root 1; it expires at"), "{lines:?}");
    assert!(lines[1].starts_with("  targets: loses key ") && lines[1].contains("gains key "));
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_file_that_was_changed_on_its_way_is_not_taken() {
    let place = Place::new();
    place.draft("", "").unwrap();
    place.sign(None).unwrap();
    let text = std::fs::read_to_string(place.file("draft")).unwrap();
    let changed = text.replacen("consistent_snapshot\\\":true", "consistent_snapshot\\\":false", 2);
    assert_ne!(text, changed);
    std::fs::write(place.file("draft"), changed).unwrap();
    let why = format!("{:#}", place.publish().unwrap_err());
    assert!(why.contains("required signatures are valid"), "{why}");
    std::fs::write(place.file("draft"), "{}").unwrap();
    assert!(place.sign(None).unwrap_err().to_string().contains("is no drafted root"));
}
