//! The second half: in the slot's root, from a mounted root to everything that `life.rs` keeps alive.
//!
//! Told in the order in which it happens. What the node needs comes first, and everything that it can do
//! without (drivers of other devices, the network, a watchdog) comes after its start.

use std::fs;
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, set_cad_enabled};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::block::{self, Partition};
use crate::device::{Console, Device, Settings};
use crate::life::Life;
use crate::modules::Loader;
use crate::node::{self, Trial};
use crate::settings::{self, BOOT, GOOD, VENDOR};
use crate::supervise::unblock_signals;
use crate::tell::{Level, announce, console_shows, tell};
use crate::timeline::{self, Timeline, now};
use crate::trouble::{Doing, Trouble, invalid};
use crate::uevent::Uevents;
use crate::{clock, data, grow, mounts, name, network, shutdown};

/// Where the kernel shows its devices.
pub const SYS: &str = "/sys";
/// A device whose state can't be reached tries again for so long, and then restarts.
const DATA_DEADLINE: Duration = Duration::from_secs(300);
const DATA_RETRY: Duration = Duration::from_secs(30);
/// Descriptors a process may have: soft, hard. The kernel's own 1,024 are few for many agents.
const DESCRIPTORS: (u64, u64) = (8192, 65_536);

/// What the kernel tells pid 1.
#[derive(Debug)]
pub struct Ears {
    /// Signals, children's ends among them.
    pub signals: SignalFd,
    /// Devices.
    pub uevents: Uevents,
}

/// Never returns: it lives until the device goes down.
pub fn run() -> ExitCode {
    match story() {
        Ok(life) => life.live(),
        Err(error) => {
            announce(error);
            std::thread::sleep(DATA_RETRY);
            shutdown::end(RebootMode::RB_AUTOBOOT, None, None)
        }
    }
}

fn story() -> Result<Life, Trouble> {
    let mut timeline = Timeline::parse(&std::env::var(timeline::VARIABLE).unwrap_or_default());
    timeline.mark("init");
    // The initramfs moved these here; without one they are missing.
    let early = if Path::new("/proc/self").exists() { &[] } else { mounts::EARLY.as_slice() };
    for row in early.iter().copied().chain(mounts::ROOT) {
        mounts::mount_row(row)?;
    }
    fs::create_dir_all("/run/skerry-init").doing("make", "/run/skerry-init")?;
    fs::create_dir_all(node::RUN).doing("make", node::RUN)?;
    let ears = listen()?;
    timeline.mark("mounts");
    let mut loader = Loader::new();
    timeline.mark("modules-known");
    mount_boot(&mut loader);
    let theirs = settings::usable(&[BOOT]).into_iter().next().map(|found| found.settings);
    let first = theirs.clone().unwrap_or_default();
    console_shows(first.device.console == Console::Log);
    let built = clock::read(Path::new(clock::BUILT)).unwrap_or_default();
    clock::set_forward(built, "when this image was built");
    timeline.mark("boot-partition");
    await_data(&ears, &mut loader, &first.device)?;
    if let Some(saved) = clock::saved(&Path::new(data::DEVICE).join("clock"), built) {
        clock::set_forward(saved, "which was saved here");
    }
    timeline.mark("data");
    let choices =
        settings::usable(if theirs.is_some() { &[BOOT, GOOD, VENDOR] } else { &[GOOD, VENDOR] });
    let settings = choices.first().map(|best| best.settings.clone()).unwrap_or_default();
    console_shows(settings.device.console == Console::Log);
    let hostname = set_name(&settings, &ears, &mut loader);
    timeline.mark("name");
    timeline.save();
    Life::new(ears, loader, timeline, settings, hostname, Trial::new(choices))
}

/// From here on signals wait to be read, and ctrl-alt-del is a signal.
fn listen() -> Result<Ears, Trouble> {
    let mut mask = SigSet::empty();
    let ours = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR2];
    ours.into_iter().for_each(|signal| mask.add(signal));
    mask.thread_block().doing("block", "signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&mask, flags).doing("listen on", "signals")?;
    let _ = set_cad_enabled(false);
    let _ = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.0, DESCRIPTORS.1);
    Ok(Ears { signals, uevents: Uevents::open()? })
}

/// The partition of that name on the disk that the root is on.
fn ours(name: &'static str) -> Result<Partition, Trouble> {
    let device = fs::metadata("/").doing("look at", "/")?.st_dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let disk = block::disk_of(Path::new(SYS), major, minor);
    block::find(Path::new(SYS), name, disk.as_deref())
        .ok_or_else(|| invalid("find the partition", name, "the root's disk has none of that name"))
}

/// Without it the device comes up with what it had before.
fn mount_boot(loader: &mut Loader) {
    loader.load("fs-vfat");
    loader.load("nls_cp437");
    loader.load("nls_ascii");
    let options = "umask=0077,utf8";
    let mounted = ours("skerry-boot")
        .and_then(|found| mounts::mount_read_only(&found.node(), "/boot", "vfat", options));
    if let Err(error) = mounted {
        announce(error);
    }
}

fn mount_data(loader: &mut Loader) -> Result<(), Trouble> {
    let sys = Path::new(SYS);
    let found = ours("skerry-data")?;
    if let Err(error) = grow::grow(sys, &found) {
        announce(error);
    }
    data::mount_data(sys, &found, loader)
}

/// State lives nowhere else: without it nothing is started.
fn await_data(ears: &Ears, loader: &mut Loader, device: &Device) -> Result<(), Trouble> {
    let Err(mut error) = mount_data(loader) else { return Ok(()) };
    let deadline = now() + DATA_DEADLINE;
    if device.shell {
        let mut shell = network::shell(&terminal());
        unblock_signals(&mut shell);
        let _ = shell.spawn();
    }
    // Whoever has a shell may need more time.
    while now() < deadline || device.shell {
        announce(format!("{error}. No agent can run without it; trying again"));
        let until = now() + DATA_RETRY;
        while now() < until {
            hear(ears, loader);
        }
        match mount_data(loader) {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    Err(error)
}

/// Waits a second at most for a word of the kernel's, and does what must not wait.
fn hear(ears: &Ears, loader: &mut Loader) {
    let mut waiting = [
        PollFd::new(ears.signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(ears.uevents.as_fd(), PollFlags::POLLIN),
    ];
    let _ = poll(&mut waiting, PollTimeout::from(1000_u16));
    while let Ok(Some(info)) = ears.signals.read_signal() {
        let signal =
            i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        if let Some(mode) = signal.and_then(shutdown::mode_of) {
            shutdown::end(mode, None, None);
        }
    }
    while let Some(event) = ears.uevents.next() {
        if let Some(alias) = event.modalias {
            loader.load(&alias);
        }
    }
}

/// Gives the device its name. Only a device that must make one waits for its network cards.
fn set_name(settings: &Settings, ears: &Ears, loader: &mut Loader) -> String {
    let (kept, sys) = (Path::new(data::DEVICE).join("name"), Path::new(SYS));
    if name::is_missing(settings, &kept) {
        loader.cold_plug(sys);
        let deadline = now() + Duration::from_secs(3);
        while network::wired(sys).is_empty() && now() < deadline {
            hear(ears, loader);
        }
    }
    let name = name::choose(settings, &kept, sys);
    if let Err(error) = nix::unistd::sethostname(&name) {
        tell(Level::Error, format!("cannot set the host name {name}: {error}"));
    }
    name
}

/// The console that a person is at.
pub fn terminal() -> String {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let last = active.split_whitespace().last().unwrap_or("tty1");
    // `tty0` is whichever screen is in front.
    if last == "tty0" { "tty1".to_owned() } else { last.to_owned() }
}
