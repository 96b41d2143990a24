//! What is written of checks elsewhere agrees with them: the documentation and the recipes.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_check_and_option_is_documented() {
    let page = read("docs/devices.md");
    let mut missing: Vec<&str> = Vec::new();
    for check in CHECKS {
        let names = check.options.iter().chain([&check.name]);
        missing.extend(names.filter(|name| !page.contains(&format!("`{name}`"))).copied());
    }
    assert!(missing.is_empty(), "docs/devices.md does not name {missing:?}");
}

#[test]
fn every_option_is_in_the_recipes() {
    let files = [
        "packaging/yocto/meta-skerry/recipes-kernel/linux/files/skerry.cfg",
        "packaging/buildroot/board/skerry/linux.fragment",
        "packaging/buildroot/package/skerry/skerry.mk",
    ];
    for file in files {
        let text = read(file);
        let options = CHECKS.iter().flat_map(|check| check.options);
        let set = |name: &&&str| {
            text.contains(&format!("CONFIG_{name}=y")) || text.contains(&format!("CONFIG_{name})"))
        };
        let missing: Vec<_> = options.filter(|name| !set(name)).collect();
        assert!(missing.is_empty(), "{file} does not set {missing:?}");
    }
}

/// Buildroot takes scripts from its own tree only, so that there are two copies.
#[test]
fn both_recipes_have_the_same_files() {
    let yocto = "packaging/yocto/meta-skerry";
    let script = read(&format!("{yocto}/recipes-core/skerry/files/skerry.init"));
    assert_eq!(script, read("packaging/buildroot/package/skerry/S90skerry"));
    let options = |path: &str| -> Vec<String> {
        let text = read(path);
        text.lines().filter(|line| line.starts_with("CONFIG_")).map(str::to_owned).collect()
    };
    let fragment = options(&format!("{yocto}/recipes-kernel/linux/files/skerry.cfg"));
    assert_eq!(fragment, options("packaging/buildroot/board/skerry/linux.fragment"));
}

/// The guide's example names what can really be set.
#[test]
fn the_guides_settings_can_be_used() {
    let guide = read("docs/guide.md");
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skerry.toml");
    fs::write(&file, example).unwrap();
    let config = crate::config::Config::load(Some(&file), &[]).unwrap();
    assert_eq!(config.node, "box-17");
    assert!(config.broker.is_some() && config.trust.root.is_some());
}
