//! A virtual device in QEMU: a real kernel with cgroup v2, a disk, a network, and a power switch.
//!
//! It boots the programs under test as a device would, is asked through a root shell on a line of its
//! own, and is treated as devices are: the power is cut ([`Machine::cut_power`] kills QEMU), the cable
//! is pulled ([`Machine::link`]), the clock is wrong ([`MachineSetup::clock`]), the disk is full. It
//! must never need KVM, nor reach anything but this host. `docs/testing.md` says how it is run; the
//! suites are in `tests/devices`, the endurance run is [`crate::powercut`].

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Background, Output};
use crate::scratch::Scratch;
use crate::until::{until, until_or_dump};
use qemu::{Drive, NETWORK, Start, Wiring};
use qmp::Qmp;
use shell::Shell;

mod agents;
mod arch;
mod cache;
mod disk;
mod image;
pub mod kit;
mod qemu;
mod qmp;
mod setup;
mod shell;

pub use arch::Arch;
pub use cache::Cache;
pub use disk::Disk;
pub use setup::{Boot, MachineSetup};
pub use shell::ShellError;

/// The longest that one thing may take in a device that is emulated on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What the kernel is told. Most of it makes it boot faster,
/// or on a busy machine at all, and changes nothing that is tested.
const KERNEL_ARGUMENTS: &str = "panic=-1 quiet mitigations=off rcupdate.rcu_expedited=1 \
                                cryptomgr.notests audit=0 no_timer_check";

/// Waits until the node answers, and puts the kit where it is looked for.
const AWAIT_NODE: &str = "\
    until skerry status >/dev/null 2>&1; do sleep 0.1; done
    [ -e /run/kit ] || { mkdir /run/kit.disk; mount -t ext4 -o ro /dev/vdb /run/kit.disk; \
    ln -s kit.disk/kit /run/kit; }";

/// The end of the node's log, wherever it goes.
const NODE_LOG: &str = "tail -n 60 /run/node.log 2>/dev/null || dmesg | tail -n 60";

/// How much of a log goes into a failure's text.
const LOG_TAIL: usize = 8 * 1024;

/// A virtual device. It is switched off when this value goes; its disk stays with the scratch place.
#[derive(Debug)]
pub struct Machine {
    setup: MachineSetup,
    disks: [Disk; 2],
    power: Option<Power>,
}

/// What there is only while it is switched on.
#[derive(Debug)]
struct Power {
    qemu: Background,
    shell: Mutex<Shell>,
    control: Mutex<Qmp>,
}

impl Machine {
    /// A device of that name: a PC with a network and an empty disk, until it is told otherwise.
    #[must_use]
    pub fn setup(scratch: &Scratch, name: &str) -> MachineSetup {
        MachineSetup::new(scratch, name)
    }

    fn new(mut setup: MachineSetup) -> Self {
        let disks = setup.prepare();
        Self { setup, disks, power: None }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// The disk that holds its state.
    #[must_use]
    pub fn data(&self) -> &Disk {
        &self.disks[1]
    }

    /// Switches it on and waits until its node answers. Returns how long that took.
    ///
    /// # Panics
    /// When it does not, with what its console and its node said.
    pub fn boot(&mut self) -> Duration {
        let start = Instant::now();
        if let Err(why) = self.try_boot() {
            panic!("{why}\n{}", self.log());
        }
        start.elapsed()
    }

    /// As [`Machine::boot`], for who wants to go on when it fails.
    ///
    /// # Errors
    /// It ended by itself, no shell answers, or the node does not.
    ///
    /// # Panics
    /// When QEMU can't be started.
    pub fn try_boot(&mut self) -> Result<(), String> {
        self.switch_on();
        let shell =
            self.power().shell.lock().unwrap_or_else(PoisonError::into_inner).ready(PATIENCE);
        shell.map_err(|error| format!("no shell in {}: {error}", self.name()))?;
        match self.try_sh(AWAIT_NODE, PATIENCE) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the node of {} does not answer: {error}", self.name())),
        }
    }

    /// Switches it on, and waits for nothing.
    ///
    /// # Panics
    /// When QEMU can't be started.
    pub fn switch_on(&mut self) {
        self.cut_power();
        let folder = self.setup.folder.clone();
        let sockets = ["shell", "control"].map(|name| folder.join(name));
        for socket in &sockets {
            let _ = fs::remove_file(socket);
        }
        self.remember();
        let mut command = self.command();
        let log = folder.join("qemu.log");
        let mut qemu = Background::start(&format!("QEMU of {}", self.name()), &mut command, &log);
        let [shell, control] = sockets;
        let what = format!("QEMU of {} listens", self.name());
        let (shell, control) = until(&what, Duration::from_secs(20), || {
            assert!(qemu.ended().is_none(), "QEMU ended at once\n{}", qemu.log());
            Some((Shell::connect(&shell).ok()?, Qmp::connect(&control).ok()?))
        });
        let (shell, control) = (Mutex::new(shell), Mutex::new(control));
        self.power = Some(Power { qemu, shell, control });
    }

    fn command(&self) -> std::process::Command {
        let MachineSetup { arch, boot, memory, folder, network, clock, .. } = &self.setup;
        let [kit, data] = &self.disks;
        let log = self.writes();
        let data = match self.setup.cache {
            Cache::Through => Drive::Through(data.path()),
            Cache::Volatile(_) | Cache::Lying(_) => Drive::Logged(data.path(), &log),
        };
        let kit = Drive::ReadOnly(kit.path());
        let beside = self.setup.beside.as_ref().map(|disk| Drive::Through(disk.path()));
        let flashed: Vec<Drive<'_>> = match beside {
            // The kit is the second, wherever the others are.
            Some(other) => vec![other, kit, data],
            None => vec![data, kit],
        };
        let wiring = |start, disks, from| Wiring {
            arch: *arch,
            memory: *memory,
            start,
            disks,
            from,
            network: *network,
            clock: clock.as_deref(),
            folder,
            own_line: *boot == Boot::Initramfs,
        };
        match boot {
            Boot::Initramfs => {
                let pieces = kit::pieces(*arch);
                let arguments = format!("console={} {KERNEL_ARGUMENTS}", arch.console());
                let (kernel, initrd) = (pieces.join("vmlinuz"), pieces.join("initrd"));
                wiring(Start::Kernel(&kernel, &initrd, &arguments), &[kit, data], 0).command()
            }
            Boot::Image => {
                let pieces = image::pieces(*arch);
                let arguments = format!("{} {KERNEL_ARGUMENTS}", pieces.arguments);
                let start = Start::Kernel(&pieces.kernel, &pieces.initrd, &arguments);
                wiring(start, &flashed, 0).command()
            }
            Boot::Firmware => {
                let firmware = image::firmware(*arch);
                let ours = if self.setup.beside.is_some() { 2 } else { 0 };
                wiring(Start::Firmware(&firmware), &flashed, ours).command()
            }
        }
    }

    /// Cuts the power: QEMU is killed, and with it all that had not reached the disk.
    pub fn cut_power(&mut self) {
        if let Some(mut power) = self.power.take() {
            power.qemu.kill9();
            self.settle();
        }
    }

    /// Where writes are logged, for a disk with a cache of its own.
    fn writes(&self) -> PathBuf {
        self.setup.folder.join("writes.log")
    }

    /// The disk as it is before a boot, where its cache will be lost.
    fn before(&self) -> PathBuf {
        self.setup.folder.join("before.disk")
    }

    /// Keeps what is needed to lose the disk's cache later.
    fn remember(&self) {
        if matches!(self.setup.cache, Cache::Through) {
            return;
        }
        let _ = Disk::copy_of(self.data().path(), &self.before());
        fs::write(self.writes(), []).expect("an empty log of writes");
    }

    /// Leaves on the disk what it would hold.
    fn settle(&mut self) {
        let (before, log) = (self.before(), self.writes());
        let disk = self.data().path().to_owned();
        cache::settle(&mut self.setup.cache, &before, &log, &disk)
            .unwrap_or_else(|error| panic!("losing the cache of {}: {error}", disk.display()));
    }

    /// Starts a script and cuts the power after a time, to the millisecond. Returns the lines that the
    /// script had brought out by then.
    ///
    /// # Errors
    /// The device was gone before its time.
    pub fn work_until_cut(
        &mut self,
        script: &str,
        after: Duration,
    ) -> Result<Vec<String>, ShellError> {
        let mut power = self.power.take().unwrap_or_else(|| panic!("it is switched off"));
        let shell = power.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        shell.start(script)?;
        let mut lines = Vec::new();
        while let Some(line) = shell.line(start, after)? {
            lines.push(line);
        }
        power.qemu.kill9();
        self.settle();
        // What had left the device is still on the line.
        while let Ok(Some(line)) = shell.line(Instant::now(), Duration::from_secs(1)) {
            lines.push(line);
        }
        Ok(lines)
    }

    /// Changes it for the next boot.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(MachineSetup) -> MachineSetup) -> Self {
        self.cut_power();
        let mut setup = change(self.setup);
        setup.disk = Some(self.disks[1].clone());
        Self::new(setup)
    }

    /// Pulls the network cable, or puts it back.
    ///
    /// # Panics
    /// When QEMU refuses.
    pub fn link(&self, up: bool) {
        let wish = json!({ "name": NETWORK, "up": up });
        let mut control = self.power().control.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = control.command("set_link", &wish).expect("setting the link");
    }

    /// Runs a script in its root shell, to its end.
    ///
    /// # Panics
    /// When the device does not answer.
    pub fn sh(&self, script: &str) -> Output {
        self.try_sh(script, PATIENCE).unwrap_or_else(|error| {
            panic!("`{script}` in {}: {error}\n{}", self.name(), self.outer_log())
        })
    }

    /// As [`Machine::sh`], for who expects the device to die in the middle.
    ///
    /// # Errors
    /// The device is gone, or did not answer in time.
    pub fn try_sh(&self, script: &str, limit: Duration) -> Result<Output, ShellError> {
        self.power().shell.lock().unwrap_or_else(PoisonError::into_inner).run(script, limit)
    }

    /// Runs `skerry ARGUMENTS…` in it, to its end.
    ///
    /// # Panics
    /// When the device does not answer.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        let words =
            arguments.into_iter().map(|word| shell::quoted(&word.as_ref().to_string_lossy()));
        self.sh(&std::iter::once("skerry".to_owned()).chain(words).collect::<Vec<_>>().join(" "))
    }

    /// Waits for a condition of this device; a failure brings its logs.
    ///
    /// # Panics
    /// When it does not come.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        until_or_dump(what, PATIENCE, || look(self), || self.log())
    }

    /// The ends of its logs: QEMU's, the console's, the node's.
    #[must_use]
    pub fn log(&self) -> String {
        let script = format!("{NODE_LOG}; skerry ps -a; df -h /var/lib/skerry");
        let node = match &self.power {
            None => "it is switched off".to_owned(),
            Some(_) => match self.try_sh(&script, Duration::from_secs(20)) {
                Ok(said) => said.stdout,
                Err(error) => error.to_string(),
            },
        };
        format!("{}\n-- node {}\n{node}", self.outer_log(), self.name())
    }

    fn outer_log(&self) -> String {
        let console = self.setup.console();
        let from = console.ceil_char_boundary(console.len().saturating_sub(LOG_TAIL));
        let qemu = self.power.as_ref().map_or(String::new(), |power| power.qemu.log());
        format!("{qemu}\n-- console of {}\n{}", self.name(), &console[from..])
    }

    fn power(&self) -> &Power {
        self.power.as_ref().unwrap_or_else(|| panic!("{} is switched off", self.name()))
    }

    /// What `skerry status` says.
    ///
    /// # Panics
    /// When the node does not answer.
    #[must_use]
    pub fn status(&self) -> Value {
        self.cli(["status", "--format", "json"]).ok().json()
    }
}
