//! Holds the house in order: who may import whom, where a crate's type may be named, what a file says
//! of itself. It reads the manifests, `cargo metadata` and the tracked files, and runs nothing.
//!
//! A rule that must bend is changed here, with the reason, and in the design it comes from.
#![allow(clippy::expect_used, clippy::panic, reason = "what can't be read can't be held in order")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use skerry_tests::measure;

/// The longest a file and a function should be.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;

/// Which of our crates each of our crates may import. One that is missing here may not exist.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("skerry", &["skerry-core", "skerry-runtime", "skerry-sync", "skerry-images"]),
    ("skerry-core", &[]),
    ("skerry-runtime", &[]),
    ("skerry-sync", &[]),
    ("skerry-images", &["skerry-core"]),
    ("skerry-fleet", &["skerry-core", "skerry-sync", "skerry-images"]),
    // Agents are programs of their own: nothing of the node may leak into a workload.
    ("skerry-agent-sensor", &[]),
    // Pid 1 of the image starts the node; it knows nothing of what the node does.
    ("skerry-init", &[]),
    // The TUF client as a program, for the suites of others.
    ("skerry-tuf-client", &["skerry-core"]),
    // Tests and benchmarks may look everywhere.
    ("skerry-tests", ALL),
    ("skerry-bench", ALL),
];

const ALL: &[&str] =
    &["skerry-core", "skerry-runtime", "skerry-sync", "skerry-images", "skerry", "skerry-fleet"];

/// Crates that must not be anywhere below these: no runtime in the pure core, none in the monitor.
const NEVER_BELOW: &[(&str, &[&str])] = &[
    ("skerry-core", &["tokio", "sled", "rumqttc", "libcontainer", "rustix", "nix"]),
    // What is trusted is signed with ed25519. The test client alone knows another kind of key.
    ("skerry-core", OTHER_SIGNATURES),
    ("skerry", OTHER_SIGNATURES),
    ("skerry-fleet", OTHER_SIGNATURES),
    ("skerry-images", OTHER_SIGNATURES),
    ("skerry-runtime", &["tokio", "sled", "rumqttc", "hyper"]),
    ("skerry-images", &["tokio", "sled", "rumqttc"]),
    ("skerry-sync", &["sled", "libcontainer"]),
];

const OTHER_SIGNATURES: &[&str] = &["p256", "ecdsa", "elliptic-curve", "k256", "rsa"];

/// What would tie the repository to one machine or one registry. Written in two halves, so that this
/// file does not hold them.
const NOT_OURS: &[(&str, &str)] = &[
    ("/work", "/main"),
    ("/work", "/shared"),
    ("/tmp", "/wt"),
    ("/root/", ".cargo"),
    ("/root/", ".rustup"),
    ("artif", "actory"),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
    ("pypi", ".org"),
    ("python", "hosted.org"),
    ("registry.", "npmjs.org"),
    ("deb.", "debian.org"),
];

#[test]
fn crates_import_only_what_the_design_allows() {
    let rules: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let packages = packages(&metadata(&["--no-deps"]));
    let ours: BTreeSet<&str> = packages.iter().map(|p| text(p, "name")).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = text(package, "name");
        let Some(allowed) = rules.get(name) else {
            wrong.push(format!("{name}: a new crate; say in MAY_IMPORT what it may import"));
            continue;
        };
        for dependency in list(package, "dependencies") {
            let other = text(dependency, "name");
            if ours.contains(other) && !allowed.contains(&other) {
                wrong.push(format!("{name} must not import {other}"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn forbidden_crates_are_nowhere_below_the_pure_ones() {
    let metadata = metadata(&["--filter-platform", &host()]);
    let names: BTreeMap<&str, &str> =
        list(&metadata, "packages").iter().map(|p| (text(p, "id"), text(p, "name"))).collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|n| (text(n, "id"), n)).collect();
    let mut wrong = Vec::new();
    for (crate_name, forbidden) in NEVER_BELOW {
        let root = names.iter().find(|(_, name)| *name == crate_name);
        let (root, _) = root.unwrap_or_else(|| panic!("no crate {crate_name}"));
        let below: BTreeSet<&str> =
            closure(root, &nodes).into_iter().filter_map(|id| names.get(id).copied()).collect();
        for other in forbidden.iter().filter(|other| below.contains(**other)) {
            wrong.push(format!(
                "{crate_name} reaches {other} (cargo tree -p {crate_name} -i {other})"
            ));
        }
    }
    none(&wrong);
}

#[test]
fn every_crate_takes_what_the_workspace_gives() {
    let mut wrong = Vec::new();
    for package in packages(&metadata(&["--no-deps"])) {
        let name = text(&package, "name");
        let manifest = fs::read_to_string(text(&package, "manifest_path")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest in TOML");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !inherits(manifest.get("package").and_then(|p| p.get(key))) {
                wrong.push(format!("{name}: package.{key} is not the workspace's"));
            }
        }
        if !inherits(manifest.get("lints")) {
            wrong.push(format!("{name}: lints are not the workspace's"));
        }
        for (section, dependency, value) in dependencies(&manifest) {
            if !inherits(Some(value)) {
                wrong.push(format!("{name}: {section}.{dependency} is not `workspace = true`"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn sled_is_named_in_its_module_only() {
    let needle = concat!("sled", "::");
    let mut wrong = Vec::new();
    for (path, source) in rust_sources() {
        let its_own = path.starts_with("node/src/store") || path == Path::new("node/src/store.rs");
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        if !its_own && code.into_iter().any(|line| names(line, needle)) {
            wrong.push(format!(
                "{}: names {needle}; only the module node/src/store may",
                path.display()
            ));
        }
    }
    none(&wrong);
}

#[test]
fn keys_of_other_kinds_are_let_in_by_the_test_client_only() {
    let needle = concat!("with_other", "_keys");
    let mut wrong = Vec::new();
    for (path, source) in rust_sources() {
        let allowed =
            path.starts_with("node/core/src/trust") || path.starts_with("tests/tuf-client");
        if !allowed && source.contains(needle) {
            wrong.push(format!(
                "{}: names {needle}; the product speaks ed25519 alone",
                path.display()
            ));
        }
    }
    none(&wrong);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for (path, source) in rust_sources() {
        let in_src = path.components().any(|part| part.as_os_str() == "src");
        let is_test = path.ends_with("tests.rs")
            || path.components().any(|part| part.as_os_str() == "tests")
                && !path.starts_with("tests")
            || path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_tests.rs"));
        if in_src && !is_test && !source.starts_with("//!") {
            wrong.push(format!("{}: does not begin with `//!`", path.display()));
        }
    }
    none(&wrong);
}

#[test]
fn no_tracked_file_names_a_machine_or_a_registry() {
    let mut wrong = Vec::new();
    for path in tracked() {
        let content = fs::read(root().join(&path)).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        for (first, second) in NOT_OURS {
            let needle = format!("{first}{second}");
            if let Some(index) = content.lines().position(|line| line.contains(&needle)) {
                wrong.push(format!("{}:{}: names {needle}", path.display(), index + 1));
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_readme_starts_with_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README.md");
    let block = readme.lines().skip_while(|line| line.trim() != "```sh").skip(1);
    let block: Vec<&str> = block.take_while(|line| line.trim() != "```").collect();
    assert_eq!(
        block.len(),
        2,
        "the first `sh` block holds the demonstration and the tests: {block:?}"
    );
    for (line, script) in block.iter().zip(["tests/demo", "tests/run"]) {
        assert!(line.contains(script), "`{line}` should run {script}");
        assert!(root().join(script).is_file(), "{script} is no file");
    }
}

#[test]
fn every_dependency_has_its_line() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the root manifest");
    let manifest: toml::Table = manifest.parse().expect("a manifest in TOML");
    let table = manifest["workspace"]["dependencies"].as_table().expect("shared dependencies");
    let used: BTreeSet<&str> =
        table.iter().filter(|(_, v)| v.get("path").is_none()).map(|(n, _)| n.as_str()).collect();
    let page = fs::read_to_string(root().join("docs/dependencies.md")).expect("dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: BTreeSet<&str> = rows.collect();
    let missing = used.difference(&told).map(|n| format!("docs/dependencies.md: no line for {n}"));
    let stale = told.difference(&used).map(|n| format!("docs/dependencies.md: {n} is not used"));
    none(&missing.chain(stale).collect::<Vec<_>>());
}

/// Not a rule: the long ones are listed, so that somebody may look (see `success-output` in
/// `.config/nextest.toml`).
#[test]
fn report_of_long_files_and_functions() {
    let (mut files, mut long, mut all) = (Vec::new(), Vec::new(), 0);
    for (path, source) in rust_sources() {
        let lines = source.lines().count();
        if lines > FILE_LINES {
            files.push((lines, path.display().to_string()));
        }
        for function in measure::functions(&source) {
            all += 1;
            if function.length > FUNCTION_LINES {
                let place = format!("{}:{} {}", path.display(), function.line, function.name);
                long.push((function.length, place));
            }
        }
    }
    println!("files over {FILE_LINES} lines: {}", files.len());
    print_longest(files);
    println!("functions over {FUNCTION_LINES} lines: {} of {all}", long.len());
    print_longest(long);
}

fn print_longest(mut sizes: Vec<(usize, String)>) {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    for (lines, place) in sizes {
        println!("  {lines:5}  {place}");
    }
}

/// Fails with everything that is wrong at once.
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

fn metadata(options: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--format-version", "1"]).args(options);
    let output = command.current_dir(root()).output().expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc -vV");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

/// Our crates. A stand-in has the name, the version and the surface of the crate it replaces.
fn packages(metadata: &Value) -> Vec<Value> {
    let stand_in = |package: &&Value| text(package, "manifest_path").contains("/cross/patches/");
    list(metadata, "packages").iter().filter(|package| !stand_in(package)).cloned().collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key}"))
}

/// Everything that a package links: its normal dependencies, and theirs.
fn closure<'a>(from: &'a str, nodes: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        let linked = list(node, "deps")
            .iter()
            .filter(|dep| list(dep, "dep_kinds").iter().any(|kind| kind["kind"].is_null()));
        waiting.extend(linked.map(|dep| text(dep, "pkg")));
    }
    seen
}

fn inherits(value: Option<&toml::Value>) -> bool {
    value.and_then(|v| v.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}

fn dependencies(manifest: &toml::Table) -> Vec<(&str, &str, &toml::Value)> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = std::iter::once(manifest)
        .chain(targets.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table));
    let mut found = Vec::new();
    for table in tables {
        for section in sections {
            let entries = table.get(section).and_then(toml::Value::as_table);
            found.extend(entries.into_iter().flatten().map(|(n, v)| (section, n.as_str(), v)));
        }
    }
    found
}

fn tracked() -> Vec<PathBuf> {
    let mut command = Command::new("git");
    // Root may test a clone that belongs to somebody else.
    command.args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(root());
    let output = command.output().expect("git ls-files (apt-get install git)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths: Vec<PathBuf> = text.split_terminator('\0').map(PathBuf::from).collect();
    assert!(!paths.is_empty(), "git tracks nothing here");
    paths
}

/// Tracked Rust files, by their path in the repository.
fn rust_sources() -> Vec<(PathBuf, String)> {
    let paths = tracked().into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let read = |path: PathBuf| {
        // Removed, but not committed yet.
        let source = fs::read_to_string(root().join(&path)).ok()?;
        Some((path, source))
    };
    paths.filter_map(read).collect()
}

/// Whether a line names a path, and not another one that ends alike.
fn names(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}
