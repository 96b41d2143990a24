//! What a person may say of the device itself: the `[device]` table of `/boot/skerry.toml`.
//!
//! Pure. The node reads the same file and passes over this table. A mistake here must not cost more than
//! what it is about: what cannot be understood is named, and the default stands.

use serde::Deserialize;
use toml::{Table, Value};

/// The table.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Device {
    /// The host name; the node's name by default.
    pub hostname: Option<String>,
    /// A root shell on the serial console.
    pub shell: bool,
    /// Whether the log goes to the console.
    pub console: Console,
    /// Modules to load besides those that devices ask for.
    pub modules: Vec<String>,
    /// Time servers; none means that the clock is nobody's business.
    pub ntp: Vec<String>,
    /// Whether a hardware watchdog is used, if there is one.
    pub watchdog: bool,
    /// How the device is on the network.
    pub network: Network,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            hostname: None,
            shell: false,
            console: Console::Quiet,
            modules: Vec::new(),
            ntp: Vec::new(),
            watchdog: true,
            network: Network::default(),
        }
    }
}

/// What the console shows.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Console {
    /// What a person must know.
    #[default]
    Quiet,
    /// The kernel's and the node's log.
    Log,
}

/// The network: DHCP on every wired interface, unless there is an address.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// The interface that has the address; the first that appears by default.
    pub interface: Option<String>,
    /// Address and length of the prefix, such as `192.168.1.10/24`.
    pub address: Option<String>,
    /// The way out.
    pub gateway: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
}

/// What a configuration says that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The `[device]` table.
    pub device: Device,
    /// The node's name, if the file gives one.
    pub node: Option<String>,
    /// What could not be understood; the defaults stand in its place.
    pub problems: Vec<String>,
}

/// Reads a configuration.
///
/// # Errors
/// It is not TOML: nothing of it can be used.
pub fn parse(text: &str) -> Result<Settings, Box<toml::de::Error>> {
    let mut table: Table = text.parse().map_err(Box::new)?;
    let node = table.get("node").and_then(Value::as_str).map(str::to_owned);
    let mut settings = Settings { node, ..Settings::default() };
    let Some(device) = table.remove("device") else { return Ok(settings) };
    let Value::Table(device) = device else {
        settings.problems.push("device must be a table".to_owned());
        return Ok(settings);
    };
    settings.device = sift(device, &mut settings.problems);
    Ok(settings)
}

/// Takes the keys one by one, so that a wrong one spoils nothing else.
fn sift(table: Table, problems: &mut Vec<String>) -> Device {
    let mut good = Table::new();
    for (key, value) in table {
        let mut tried = good.clone();
        tried.insert(key.clone(), value);
        match Value::Table(tried.clone()).try_into::<Device>() {
            Ok(_) => good = tried,
            Err(error) => {
                let why = error.message().lines().next().unwrap_or_default();
                problems.push(format!("device.{key}: {why}"));
            }
        }
    }
    Value::Table(good).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
