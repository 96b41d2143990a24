//! `config.json` as this runtime reads it, and what of it libcontainer gets to see.
//!
//! Pure, except for reading the file. libcontainer makes namespaces, mounts and devices. What it
//! drops in silence, or cannot do for a program that is started later, is left out of its copy, and
//! done by `init.rs`, `person.rs`, `cgroup.rs` and `hooks.rs`. What nobody does is refused here.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cgroup::Resources;
use super::hooks::Hooks;
use super::{Result, refused, system};

/// No configuration is longer.
const MAX_BYTES: u64 = 16 << 20;

/// The parts of a configuration that this runtime deals with itself.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    pub oci_version: String,
    pub process: Option<Process>,
    pub root: Option<Root>,
    pub hostname: String,
    pub domainname: String,
    pub mounts: Vec<Mount>,
    pub hooks: Hooks,
    pub annotations: BTreeMap<String, String>,
    pub linux: Option<Linux>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Root {
    pub path: PathBuf,
    pub readonly: bool,
}

/// A program to run.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    pub terminal: bool,
    pub console_size: Option<ConsoleSize>,
    pub user: User,
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub capabilities: Option<Capabilities>,
    pub rlimits: Vec<Rlimit>,
    pub no_new_privileges: bool,
    pub apparmor_profile: String,
    pub oom_score_adj: Option<i32>,
    pub selinux_label: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ConsoleSize {
    pub height: u16,
    pub width: u16,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub umask: Option<u32>,
    pub additional_gids: Vec<u32>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Capabilities {
    pub bounding: Vec<String>,
    pub effective: Vec<String>,
    pub inheritable: Vec<String>,
    pub permitted: Vec<String>,
    pub ambient: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Rlimit {
    #[serde(rename = "type")]
    pub name: String,
    pub hard: u64,
    pub soft: u64,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    pub destination: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    pub options: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<Value>,
}

impl Mount {
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux {
    pub namespaces: Vec<Namespace>,
    pub cgroups_path: String,
    pub resources: Resources,
    pub seccomp: Option<Value>,
    pub intel_rdt: Option<Value>,
    pub rootfs_propagation: String,
    pub personality: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Namespace {
    #[serde(rename = "type")]
    pub kind: String,
    pub path: String,
}

impl Config {
    /// The namespace of a kind, if there is one.
    pub fn namespace(&self, kind: &str) -> Option<&Namespace> {
        self.linux.as_ref()?.namespaces.iter().find(|namespace| namespace.kind == kind)
    }

    /// Whether the container gets a new namespace of this kind.
    pub fn has_new(&self, kind: &str) -> bool {
        self.namespace(kind).is_some_and(|namespace| namespace.path.is_empty())
    }

    /// Limits of resources; none if nothing is said.
    pub fn resources(&self) -> Resources {
        self.linux.as_ref().map(|linux| linux.resources.clone()).unwrap_or_default()
    }
}

/// Reads a file of JSON; what is null is as if it were not there, as for Go.
pub fn read_json(path: &Path) -> Result<Value> {
    let text = if path == Path::new("-") {
        read_all(std::io::stdin())
    } else {
        std::fs::File::open(path).and_then(read_all)
    };
    let shown = path.display();
    let text = text.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            system(format!("JSON specification file {shown} not found"))(source)
        }
        _ => system(format!("cannot read {shown}"))(source),
    })?;
    match serde_json::from_slice(&text) {
        Ok(mut value) => {
            drop_nulls(&mut value);
            Ok(value)
        }
        Err(error) => refused(format!("{shown} is not JSON: {error}")),
    }
}

fn read_all(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    match text.len() as u64 {
        0..=MAX_BYTES => Ok(text),
        _ => Err(std::io::Error::other("is longer than 16 MiB")),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The typed reading of a value.
pub fn typed<T: serde::de::DeserializeOwned>(value: &Value, what: &str) -> Result<T> {
    T::deserialize(value).or_else(|error| refused(format!("{what}: {error}")))
}

/// Reads a bundle's configuration and checks it.
pub fn load(bundle: &Path) -> Result<(Value, Config)> {
    let path = bundle.join("config.json");
    let value = read_json(&path)?;
    let config: Config = typed(&value, "config.json")?;
    check(&config, bundle)?;
    Ok((value, config))
}

/// The root file system's place.
pub fn rootfs(config: &Config, bundle: &Path) -> PathBuf {
    let root = config.root.as_ref().map(|root| root.path.clone()).unwrap_or_default();
    bundle.join(root)
}

fn check(config: &Config, bundle: &Path) -> Result<()> {
    let version = &config.oci_version;
    if !version.starts_with("1.") {
        return refused(format!("unsupported ociVersion '{version}': this runtime knows 1.x"));
    }
    let Some(process) = &config.process else {
        return refused("process property must not be empty");
    };
    check_process(process)?;
    if config.root.as_ref().is_none_or(|root| root.path.as_os_str().is_empty()) {
        return refused("Root must be specified");
    }
    let root = rootfs(config, bundle);
    if !root.is_dir() {
        return refused(format!("invalid rootfs: stat {}: no such directory", root.display()));
    }
    let Some(linux) = &config.linux else { return refused("linux property must not be empty") };
    check_linux(config, linux)?;
    for mount in &config.mounts {
        let idmap = |o: &String| o == "idmap" || o == "ridmap";
        if !mount.uid_mappings.is_empty() || mount.options.iter().any(idmap) {
            let at = &mount.destination;
            return refused(format!("mount {at}: id-mapped mounts are not supported"));
        }
    }
    config.hooks.check()
}

/// Checks what a program asks for.
pub fn check_process(process: &Process) -> Result<()> {
    if process.args.first().is_none_or(String::is_empty) {
        return refused("args must not be empty");
    }
    if !process.cwd.starts_with('/') {
        return refused("Cwd must be an absolute path");
    }
    if !process.selinux_label.is_empty() {
        return refused(
            "selinux label is specified in config, but selinux is not supported by this runtime",
        );
    }
    if !process.apparmor_profile.is_empty() && !has_apparmor() {
        return refused(
            "apparmor profile specified in config, but apparmor is not enabled on the host",
        );
    }
    let mut names: Vec<&str> = process.rlimits.iter().map(|limit| limit.name.as_str()).collect();
    names.sort_unstable();
    if let Some([twice, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        return refused(format!("rlimit type {twice} is given twice"));
    }
    super::person::check(process)
}

fn has_apparmor() -> bool {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with('Y'))
}

fn check_linux(config: &Config, linux: &Linux) -> Result<()> {
    if linux.intel_rdt.is_some() {
        return refused("intelRdt is not supported by this runtime");
    }
    let known = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"];
    for (at, namespace) in linux.namespaces.iter().enumerate() {
        let kind = namespace.kind.as_str();
        if !known.contains(&kind) {
            return refused(format!("namespace \"{kind}\" does not exist"));
        }
        if linux.namespaces.iter().take(at).any(|earlier| earlier.kind == kind) {
            return refused(format!("malformed spec file: duplicated ns \"{kind}\""));
        }
    }
    if config.namespace("mount").is_none() {
        return refused("a container without a mount namespace of its own is not supported");
    }
    if config.namespace("uts").is_none() && !config.hostname.is_empty() {
        return refused("unable to set hostname without a private UTS namespace");
    }
    if linux.seccomp.is_some() {
        super::person::filter(linux.seccomp.as_ref())?;
    }
    Ok(())
}

/// Options of mounts that are dealt with afterwards, and some that no kernel of today needs.
const NOT_FOR_LIBCONTAINER: &[&str] = &[
    "tmpcopyup",
    "acl",
    "noacl",
    "iversion",
    "noiversion",
    "lazytime",
    "nolazytime",
    "loud",
    "silent",
];

/// The configuration that libcontainer makes the container by.
pub fn for_libcontainer(value: &Value, root: &Path, cgroup: &Path, hooks: &Value) -> Value {
    let mut copy = value.clone();
    copy["root"]["path"] = json!(root);
    copy["hooks"] = hooks.clone();
    let process = &mut copy["process"];
    process["args"] = json!(["program"]);
    process["env"] = json!([]);
    process["cwd"] = json!("/");
    process["user"] = json!({ "uid": 0, "gid": 0 });
    remove(
        process,
        &[
            "capabilities",
            "rlimits",
            "noNewPrivileges",
            "oomScoreAdj",
            "selinuxLabel",
            "consoleSize",
            "execCPUAffinity",
        ],
    );
    let linux = &mut copy["linux"];
    linux["cgroupsPath"] = json!(cgroup);
    remove(linux, &["resources", "seccomp", "intelRdt"]);
    if let Some(propagation) = linux["rootfsPropagation"].as_str() {
        let plain = propagation.strip_prefix('r').unwrap_or(propagation);
        linux["rootfsPropagation"] = if plain.is_empty() { json!("slave") } else { json!(plain) };
    }
    for namespace in linux["namespaces"].as_array_mut().into_iter().flatten() {
        if namespace["path"] == json!("") {
            remove(namespace, &["path"]);
        }
    }
    for mount in copy["mounts"].as_array_mut().into_iter().flatten() {
        let copied_up =
            mount["options"].as_array().is_some_and(|o| o.contains(&json!("tmpcopyup")));
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| {
                let option = option.as_str().unwrap_or_default();
                !(NOT_FOR_LIBCONTAINER.contains(&option) || copied_up && option == "ro")
            });
        }
        if mount.get("source").is_none() {
            mount["source"] = mount.get("type").cloned().unwrap_or_else(|| json!("none"));
        }
    }
    copy
}

fn remove(value: &mut Value, names: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests;
