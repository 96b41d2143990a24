//! A virtual device before it is switched on: what it boots, its settings, disks and surroundings.
//!
//! It only collects; [`Machine`] does. Settings are the node's own, with the folder in which the
//! device finds its files put in.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Machine;
use super::arch::Arch;
use super::cache::Cache;
use super::disk::Disk;
use super::image;
use super::kit::Kit;
use crate::mosquitto::Mosquitto;
use crate::scratch::Scratch;

/// The host, as a guest behind QEMU's user network sees it.
const HOST: &str = "10.0.2.2";
/// The size of a device's disk for its state, in MiB.
const DISK: u32 = 256;
const MEMORY: u32 = 512;

/// How a device comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// Debian's kernel, an initramfs, and the kit as root: no image needed, and the quickest.
    Initramfs,
    /// The flashable image, whose kernel QEMU loads itself.
    Image,
    /// The flashable image as on a board: the firmware looks for a loader on its boot partition.
    Firmware,
}

/// A device before it is switched on.
#[derive(Debug)]
pub struct MachineSetup {
    pub(super) name: String,
    pub(super) arch: Arch,
    pub(super) boot: Boot,
    pub(super) memory: u32,
    pub(super) folder: PathBuf,
    pub(super) config: Table,
    pub(super) root: Option<PathBuf>,
    pub(super) files: Vec<(String, PathBuf)>,
    pub(super) tools: Vec<(String, PathBuf)>,
    pub(super) disk: Option<Disk>,
    pub(super) disk_size: u32,
    pub(super) quotas: bool,
    pub(super) beside: Option<Disk>,
    pub(super) network: bool,
    pub(super) clock: Option<String>,
    pub(super) cache: Cache,
}

impl MachineSetup {
    pub(super) fn new(scratch: &Scratch, name: &str) -> Self {
        let setup = Self {
            name: name.to_owned(),
            arch: Arch::X86_64,
            boot: Boot::Initramfs,
            memory: MEMORY,
            folder: scratch.folder(name),
            config: Table::new(),
            root: None,
            files: Vec::new(),
            tools: Vec::new(),
            disk: None,
            disk_size: DISK,
            quotas: false,
            beside: None,
            network: true,
            clock: None,
            cache: Cache::Through,
        };
        setup.set("node", name)
    }

    /// Gives it another processor architecture than a PC's.
    #[must_use]
    pub fn arch(mut self, arch: Arch) -> Self {
        self.arch = arch;
        self
    }

    /// How it comes up; from an initramfs by default.
    #[must_use]
    pub fn boot(mut self, boot: Boot) -> Self {
        self.boot = boot;
        self
    }

    /// Gives it so many MiB of memory.
    #[must_use]
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.memory = mebibytes;
        self
    }

    /// Sets a key of the node's configuration; a dotted one goes into its section (`broker.url`).
    ///
    /// # Panics
    /// When a section of that name is a value already.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let (sections, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.config;
        for part in sections.split('.').filter(|part| !part.is_empty()) {
            let section = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            table = section.as_table_mut().unwrap_or_else(|| panic!("{part} is no section"));
        }
        table.insert(last.to_owned(), value.into());
        self
    }

    /// Connects it to a broker on the host, which it meets without long pauses.
    #[must_use]
    pub fn connect(self, broker: &Mosquitto) -> Self {
        self.set("broker.url", format!("mqtt://{HOST}:{}", broker.port()))
            .set("broker.reconnect_min", "50ms")
            .set("broker.reconnect_max", "500ms")
    }

    /// The root of trust it accepts documents under.
    #[must_use]
    pub fn root(mut self, file: &Path) -> Self {
        self.root = Some(file.to_owned());
        self
    }

    /// Puts a file into the folder `/run/kit` of the device.
    #[must_use]
    pub fn file(mut self, name: &str, from: &Path) -> Self {
        self.files.push((name.to_owned(), from.to_owned()));
        self
    }

    /// Puts a program of the host into the folder `/run/kit` of the device.
    #[must_use]
    pub fn tool(mut self, name: &str, from: &Path) -> Self {
        self.tools.push((name.to_owned(), from.to_owned()));
        self
    }

    /// Gives it a disk for its state that was used before, instead of an empty one.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Gives it an empty disk of so many MiB for its state.
    #[must_use]
    pub fn disk_size(mut self, mebibytes: u32) -> Self {
        self.disk_size = mebibytes;
        self
    }

    /// Has the empty disk for its state keep project quotas.
    #[must_use]
    pub fn project_quotas(mut self) -> Self {
        self.quotas = true;
        self
    }

    /// Puts another disk before its own; it still boots from its own.
    #[must_use]
    pub fn beside(mut self, disk: Disk) -> Self {
        self.beside = Some(disk);
        self
    }

    /// What the disk for its state does with writes when the power goes.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// Whether it has a network device.
    #[must_use]
    pub fn network(mut self, network: bool) -> Self {
        self.network = network;
        self
    }

    /// What its clock shows when it is switched on, such as `1970-01-01T00:00:01`.
    #[must_use]
    pub fn clock(mut self, clock: &str) -> Self {
        self.clock = Some(clock.to_owned());
        self
    }

    /// Switches it on, and waits until its node answers.
    ///
    /// # Panics
    /// When it does not come so far, with what its console and its node said.
    #[must_use]
    pub fn start(self) -> Machine {
        let mut machine = Machine::new(self);
        machine.boot();
        machine
    }

    /// Lays out what it needs before it is switched on: the kit, and the disk that keeps its state.
    pub(super) fn prepare(&mut self) -> [Disk; 2] {
        let kit = Kit::new(self.folder.join("kit"));
        for (name, from) in &self.files {
            kit.file(&format!("kit/{name}"), from);
        }
        for (name, from) in &self.tools {
            kit.tool(&format!("kit/{name}"), from);
        }
        if self.quotas {
            kit.write("kit/disk", "OPTIONS=$OPTIONS,prjquota\n");
        }
        let used = self.disk.take();
        let file = self.folder.join("data.disk");
        let data = match self.boot {
            Boot::Initramfs => used.unwrap_or_else(|| match self.quotas {
                true => Disk::with_quotas(&file, self.disk_size),
                false => Disk::blank(&file, self.disk_size),
            }),
            Boot::Image | Boot::Firmware => {
                used.unwrap_or_else(|| image::disk(self.arch, &file, self.disk_size))
            }
        };
        let kit = match self.boot {
            Boot::Initramfs => {
                kit.write("kit/skerry.toml", &self.settings("/kit"));
                if let Some(root) = &self.root {
                    kit.file("kit/root.json", root);
                }
                kit.with_root(self.arch)
            }
            Boot::Image | Boot::Firmware => {
                // Else a kernel on a busy host finds that its timer does not tick, and panics.
                image::write(&data, "EFI/skerry/user.cfg", b"set user_args=\"no_timer_check\"\n");
                image::write(&data, "skerry.toml", self.settings("/boot").as_bytes());
                if let Some(root) = &self.root {
                    let root = fs::read(root).expect("reading the trust root");
                    image::write(&data, "root.json", &root);
                }
                kit
            }
        };
        [kit.disk(&self.folder.join("kit.disk")), data]
    }

    /// The configuration, with the folder in which the device finds what is beside it.
    fn settings(&self, folder: &str) -> String {
        let mut config = self.config.clone();
        if self.root.is_some() {
            let trust = config.entry("trust").or_insert_with(|| Value::Table(Table::new()));
            let trust = trust.as_table_mut().expect("trust is a section");
            trust.insert("root".to_owned(), format!("{folder}/root.json").into());
        }
        if self.boot != Boot::Initramfs {
            let device = Table::from_iter([("shell".to_owned(), Value::Boolean(true))]);
            config.insert("device".to_owned(), Value::Table(device));
        }
        config.to_string()
    }

    /// The log of its console, over all boots.
    pub(super) fn console(&self) -> String {
        let bytes = fs::read(self.folder.join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
