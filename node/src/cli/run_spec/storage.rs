//! Flags for what is mounted into an agent, in the forms of docker and podman. Pure.

use clap::Args;
use skerry_core::agent::{Propagation, Volume, VolumeType};

use super::resources::amount;

const HEADING: &str = "Files";

/// What is mounted.
#[derive(Debug, Clone, Args)]
pub(super) struct StorageArgs {
    /// A path of the host or a named volume; OPTIONS are ro, rslave, rshared
    #[arg(short = 'v', long = "volume", value_name = "SOURCE:TARGET[:OPTIONS]")]
    #[arg(value_parser = short, help_heading = HEADING)]
    volume: Vec<Volume>,
    /// Memory, gone when the agent ends; OPTIONS are size=, mode=, uid=, gid=
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = tmpfs, help_heading = HEADING)]
    tmpfs: Vec<Volume>,
    /// type=bind|volume|tmpfs|config|secret,source=…,target=…
    ///
    /// Further options are readonly, create, size=, mode=, uid=, gid= and propagation=.
    #[arg(long, value_name = "OPTIONS", value_parser = long, help_heading = HEADING)]
    mount: Vec<Volume>,
    /// Whether its image is read-only; true by default
    ///
    /// If not, changes are in memory, and gone when the agent ends.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true, help_heading = HEADING)]
    pub(super) read_only: Option<bool>,
}

impl StorageArgs {
    pub(super) fn volumes(self) -> Vec<Volume> {
        [self.volume, self.tmpfs, self.mount].concat()
    }
}

fn nothing(kind_of: VolumeType, source: Option<&str>, target: &str) -> Volume {
    Volume {
        kind_of,
        source: source.map(str::to_owned),
        target: target.to_owned(),
        read_only: false,
        propagation: None,
        create: false,
        size: None,
        uid: None,
        gid: None,
        mode: None,
    }
}

/// `/host:/inside:ro` or `name:/inside`.
fn short(text: &str) -> Result<Volume, String> {
    let mut parts = text.split(':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err("SOURCE:TARGET is expected, such as data:/var/lib/app or /dev/shm:/shm".into());
    };
    let kind = if source.starts_with('/') { VolumeType::Bind } else { VolumeType::Volume };
    let mut volume = nothing(kind, Some(source), target);
    let options = parts.next().unwrap_or_default();
    if parts.next().is_some() {
        return Err("has more than two colons".into());
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "rw" => volume.read_only = option == "ro",
            other => volume.propagation = Some(propagation(other)?),
        }
    }
    Ok(volume)
}

fn propagation(text: &str) -> Result<Propagation, String> {
    match text {
        "rprivate" | "private" => Ok(Propagation::Rprivate),
        "rslave" | "slave" => Ok(Propagation::Rslave),
        "rshared" | "shared" => Ok(Propagation::Rshared),
        other => {
            Err(format!("'{other}' is unknown; known are ro, rw, rprivate, rslave and rshared"))
        }
    }
}

/// `/inside:size=1m,mode=1777`.
fn tmpfs(text: &str) -> Result<Volume, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut volume = nothing(VolumeType::Tmpfs, None, target);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        set(&mut volume, key, value)?;
    }
    Ok(volume)
}

/// `type=bind,source=/host,target=/inside,readonly`.
fn long(text: &str) -> Result<Volume, String> {
    let pairs = || text.split(',').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let kind = pairs().find(|(key, _)| *key == "type").map_or("volume", |(_, value)| value);
    let kind = match kind {
        "bind" => VolumeType::Bind,
        "volume" => VolumeType::Volume,
        "tmpfs" => VolumeType::Tmpfs,
        "config" => VolumeType::Config,
        "secret" => VolumeType::Secret,
        other => {
            let known = "known are bind, volume, tmpfs, config and secret";
            return Err(format!("type '{other}' is unknown; {known}"));
        }
    };
    let mut volume = nothing(kind, None, "");
    for (key, value) in pairs().filter(|(key, _)| *key != "type") {
        match key {
            "source" | "src" => volume.source = Some(value.to_owned()),
            "target" | "destination" | "dst" => volume.target = value.to_owned(),
            _ => set(&mut volume, key, value)?,
        }
    }
    if volume.target.is_empty() { Err("has no target=".to_owned()) } else { Ok(volume) }
}

fn set(volume: &mut Volume, key: &str, value: &str) -> Result<(), String> {
    let truth = || match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("{key}: '{other}' is neither true nor false")),
    };
    let number = || value.parse().map_err(|_| format!("{key}: '{value}' is not a number"));
    match key {
        "readonly" | "ro" => volume.read_only = truth()?,
        "create" => volume.create = truth()?,
        "size" | "tmpfs-size" => volume.size = Some(amount(value)?),
        "mode" | "tmpfs-mode" => {
            // Docker's modes may have one digit less than ours.
            volume.mode = Some(format!("{value:0>4}").parse()?);
        }
        "uid" => volume.uid = Some(number()?),
        "gid" => volume.gid = Some(number()?),
        "propagation" | "bind-propagation" => volume.propagation = Some(propagation(value)?),
        other => return Err(format!("option '{other}' is unknown")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(volume: Result<Volume, String>) -> String {
        serde_json::to_string(&volume.unwrap()).unwrap()
    }

    #[test]
    fn short_forms_are_docker_s() {
        assert_eq!(
            json(short("/host:/in:ro,rslave")),
            r#"{"type":"bind","source":"/host","target":"/in","readOnly":true,"propagation":"rslave"}"#
        );
        assert_eq!(json(short("data:/in")), r#"{"type":"volume","source":"data","target":"/in"}"#);
        assert!(short("/in").is_err() && short("a:b:c:d").is_err() && short("a:/b:x").is_err());
        assert_eq!(
            json(tmpfs("/t:size=1m,mode=1777,uid=5")),
            r#"{"type":"tmpfs","target":"/t","size":"1Mi","uid":5,"mode":"1777"}"#
        );
    }

    #[test]
    fn long_forms_have_every_option() {
        assert_eq!(
            json(long("type=secret,src=db,dst=/run/db,mode=0400,uid=1000")),
            r#"{"type":"secret","source":"db","target":"/run/db","uid":1000,"mode":"0400"}"#
        );
        assert_eq!(
            json(long("type=bind,source=/a,target=/b,readonly,create=true")),
            r#"{"type":"bind","source":"/a","target":"/b","readOnly":true,"create":true}"#
        );
        assert!(long("type=bind,source=/a").is_err() && long("type=x,target=/b").is_err());
        assert!(long("source=a,target=/b,colour=red").is_err());
    }
}
