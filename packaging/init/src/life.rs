//! Pid 1 at rest: it waits for the kernel's word and for timers, and keeps what must run running.
//!
//! One thread and one `poll`. Nothing here may block for long: the watchdog is fed from it. What is
//! decided about restarts and configurations is in `supervise.rs` and `node.rs`.

use std::collections::{BTreeSet, btree_set};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::reboot::RebootMode;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use crate::boot::{Ears, SYS, terminal};
use crate::device::Settings;
use crate::modules::{self, Loader};
use crate::node::{self, Trial, Verdict};
use crate::seed::Seeds;
use crate::settings::{self, BOOT};
use crate::supervise::{Child, Role, unblock_signals};
use crate::tell::{self, Level, announce, tell};
use crate::timeline::{Timeline, now};
use crate::trouble::{Doing, Trouble};
use crate::uevent::Event;
use crate::watchdog::Watchdog;
use crate::{clock, data, network, shutdown};

/// One small write soon after the boot and one a day, so that a device without a battery is never
/// much more than a day behind.
const SAVE_CLOCK_FIRST: Duration = Duration::from_secs(600);
const SAVE_CLOCK: Duration = Duration::from_secs(86_400);
/// A device whose data partition fails restarts so long after it noticed, and so long after its boot.
const RESTART_AFTER: Duration = Duration::from_secs(30);
const RESTART_NOT_BEFORE: Duration = Duration::from_secs(300);
/// How much of a child's output is passed on before pid 1 looks at other things.
const READS_MAX: usize = 16;
/// Output without an end of line is cut here.
const LINE_MAX: usize = 4096;

/// Everything that pid 1 keeps.
#[derive(Debug)]
pub struct Life {
    ears: Ears,
    loader: Loader,
    timeline: Timeline,
    settings: Settings,
    hostname: String,
    trial: Trial,
    children: Vec<Child>,
    node_says: Lines,
    others_say: Lines,
    run_folder: Inotify,
    /// What devices are found by whose drivers are still to be loaded.
    devices: btree_set::IntoIter<String>,
    interfaces: Vec<String>,
    watchdog: Option<Watchdog>,
    save_clock: Duration,
    seeds: Seeds,
    /// When the device restarts, if it must.
    restart: Option<Duration>,
}

impl Life {
    /// With everything that the boot has found.
    ///
    /// # Errors
    /// The kernel has no pipe or watch to give.
    pub fn new(
        ears: Ears,
        loader: Loader,
        timeline: Timeline,
        settings: Settings,
        hostname: String,
        trial: Trial,
    ) -> Result<Self, Trouble> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let run_folder = Inotify::init(flags).doing("watch", node::RUN)?;
        let new = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        run_folder.add_watch(node::RUN, new).doing("watch", node::RUN)?;
        Ok(Self {
            ears,
            loader,
            timeline,
            settings,
            hostname,
            trial,
            children: vec![Child::new(Role::Node, now())],
            node_says: Lines::new("skerry")?,
            others_say: Lines::new("skerry-device")?,
            run_folder,
            devices: BTreeSet::new().into_iter(),
            interfaces: Vec::new(),
            watchdog: None,
            save_clock: now() + SAVE_CLOCK_FIRST,
            seeds: Seeds::look(),
            restart: None,
        })
    }

    /// Starts the node, then the rest, then goes on for ever.
    pub fn live(mut self) -> ! {
        self.start_due();
        self.timeline.mark("node-started");
        self.start_rest();
        loop {
            self.start_due();
            self.load_next();
            self.wait();
            self.hear_signals();
            self.hear_devices();
            self.node_says.pump();
            self.others_say.pump();
            self.look_for_socket();
            self.mind_time();
        }
    }

    /// What the node did not have to wait for.
    fn start_rest(&mut self) {
        self.once(network::loopback());
        let device = self.settings.device.clone();
        if device.shell {
            self.children.push(Child::new(Role::Shell, now()));
        }
        self.children.push(Child::new(Role::Import, now()));
        if !device.ntp.is_empty() {
            self.children.push(Child::new(Role::Time, now()));
        }
        for name in &device.modules {
            if !self.loader.load(name) {
                announce(format!("device.modules: this image has no module '{name}'"));
            }
        }
        for interface in network::wired(Path::new(SYS)) {
            self.plug(&interface);
        }
        self.devices = modules::devices(Path::new(SYS));
        self.arm_watchdog();
    }

    /// The drivers of one kind of device: some take a second to look for what is not there, and between
    /// two of them pid 1 looks at everything else.
    fn load_next(&mut self) {
        if self.devices.len() == 0 {
            return;
        }
        if let Some(alias) = self.devices.next() {
            self.loader.load(&alias);
        }
        if self.devices.len() == 0 {
            self.timeline.mark("drivers");
            self.timeline.save();
        }
    }

    fn arm_watchdog(&mut self) {
        if self.watchdog.is_none() && self.settings.device.watchdog {
            self.watchdog = Watchdog::arm(now());
        }
    }

    /// Waits for a word or for the next thing that is due.
    fn wait(&mut self) {
        let due = [
            self.children.iter().filter_map(Child::due).min(),
            self.watchdog.as_ref().map(Watchdog::due),
            self.trial.due(),
            self.restart,
            Some(self.save_clock),
        ];
        let next = due.into_iter().flatten().min().unwrap_or(self.save_clock);
        // A millisecond more, or it wakes just too early, and again.
        let mut wait = next.saturating_sub(now()) + Duration::from_millis(1);
        if self.devices.len() > 0 {
            wait = Duration::ZERO;
        }
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut waiting = [
            self.ears.signals.as_fd(),
            self.ears.uevents.as_fd(),
            self.node_says.from.as_fd(),
            self.others_say.from.as_fd(),
            self.run_folder.as_fd(),
        ]
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let _ = poll(&mut waiting, timeout);
    }

    fn hear_signals(&mut self) {
        while let Ok(Some(info)) = self.ears.signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            let Ok(signal) = Signal::try_from(number) else { continue };
            if let Some(mode) = shutdown::mode_of(signal) {
                let node = self.pid_of(&Role::Node);
                shutdown::end(mode, node, self.watchdog.take());
            }
        }
        // Every child that ended, and every orphan that ended up here.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { break };
            self.reaped(pid.as_raw(), status);
        }
    }

    fn reaped(&mut self, pid: i32, status: WaitStatus) {
        let Some(child) = self.children.iter_mut().find(|child| child.pid == Some(pid)) else {
            return;
        };
        child.ended(now());
        match child.role {
            Role::Node => self.node_ended(status),
            Role::Import => {
                child.again(now());
                self.seeds.ended(matches!(status, WaitStatus::Exited(_, 0)));
            }
            _ => {}
        }
    }

    fn node_ended(&mut self, status: WaitStatus) {
        self.node_says.pump();
        tell(Level::Warning, format!("the node ended {}", how(status)));
        if data::is_read_only() && self.restart.is_none() {
            // Checking it needs it unmounted. Agents that run go on until then.
            self.restart = Some(RESTART_NOT_BEFORE.max(now() + RESTART_AFTER));
            announce(
                "the data partition has an error and can't be written; restarting to check it",
            );
        }
        let file = |trial: &Trial| trial.current().map_or("nothing", |choice| choice.file);
        let before = file(&self.trial);
        if self.trial.ended() {
            announce(format!("the node can't run with {before}: {}", self.node_says.last));
            announce(format!("going on with {}", file(&self.trial)));
        }
    }

    fn start_due(&mut self) {
        let time = now();
        let mut children = std::mem::take(&mut self.children);
        for child in children.iter_mut().filter(|child| child.due().is_some_and(|due| due <= time))
        {
            let command = match &child.role {
                Role::Node => self.trial.current().map(node::command),
                Role::Lease(interface) => Some(network::lease(interface, &self.hostname)),
                Role::Time => Some(network::time(&self.settings.device.ntp)),
                Role::Shell => Some(network::shell(&terminal())),
                Role::Import => self.seeds.next(),
            };
            let Some(command) = command else {
                child.rest();
                continue;
            };
            let is_node = child.role == Role::Node;
            let output = if is_node { &self.node_says.to } else { &self.others_say.to };
            child.start(command, output, time);
            if let Some(pid) = child.pid.filter(|_| is_node) {
                node::settle(pid);
            }
        }
        self.children = children;
    }

    /// Runs a command that ends by itself; it is reaped with the orphans.
    fn once(&self, mut command: std::process::Command) {
        let output = || {
            self.others_say.to.try_clone().map_or_else(|_| std::process::Stdio::null(), Into::into)
        };
        command.stdin(std::process::Stdio::null()).stdout(output()).stderr(output());
        unblock_signals(&mut command);
        if let Err(error) = command.spawn() {
            tell(Level::Error, format!("cannot start {:?}: {error}", command.get_program()));
        }
    }

    fn hear_devices(&mut self) {
        while let Some(event) = self.ears.uevents.next() {
            match event {
                Event { action, modalias: Some(alias), .. } if action == "add" => {
                    self.loader.load(&alias);
                }
                Event { action, interface: Some(name), .. } => match action.as_str() {
                    "add" if network::is_wired(Path::new(SYS), &name) => self.plug(&name),
                    "remove" => self.unplug(&name),
                    _ => {}
                },
                Event { subsystem, .. } if subsystem == "watchdog" => self.arm_watchdog(),
                _ => {}
            }
        }
    }

    fn plug(&mut self, interface: &str) {
        if self.interfaces.iter().any(|known| known == interface) {
            return;
        }
        let network = &self.settings.device.network;
        let fixed = network::is_fixed(interface, self.interfaces.len(), network);
        self.interfaces.push(interface.to_owned());
        match network::fixed(interface, network).filter(|_| fixed) {
            Some(command) => self.once(command),
            None => self.children.push(Child::new(Role::Lease(interface.to_owned()), now())),
        }
    }

    fn unplug(&mut self, interface: &str) {
        let role = Role::Lease(interface.to_owned());
        if let Some(pid) = self.pid_of(&role) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        self.children.retain(|child| child.role != role);
        self.interfaces.retain(|known| known != interface);
    }

    fn pid_of(&self, role: &Role) -> Option<i32> {
        self.children.iter().find(|child| child.role == *role)?.pid
    }

    /// The node shows by its socket that it is ready.
    fn look_for_socket(&mut self) {
        let events = self.run_folder.read_events().unwrap_or_default();
        let socket = |name: &std::ffi::OsString| name == node::SOCKET;
        if !events.iter().any(|event| event.name.as_ref().is_some_and(socket)) {
            return;
        }
        self.trial.is_ready(now());
        self.timeline.mark("node-ready");
        self.timeline.save();
        let file = self.trial.current().map_or("", |choice| choice.file);
        let seconds = now().as_secs_f64();
        announce(format!("node ready: {} after {seconds:.1} s, with {file}", self.hostname));
    }

    fn mind_time(&mut self) {
        let time = now();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.feed(time);
        }
        match self.trial.judge(time) {
            Verdict::Keep => {
                let theirs = self.trial.current().filter(|choice| choice.file == BOOT);
                theirs.into_iter().for_each(|choice| settings::keep(&choice.text));
            }
            Verdict::TryAgain => {
                if let Some(pid) = self.pid_of(&Role::Node) {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
            }
            Verdict::Wait => {}
        }
        if self.restart.is_some_and(|due| time >= due) {
            let node = self.pid_of(&Role::Node);
            shutdown::end(RebootMode::RB_AUTOBOOT, node, self.watchdog.take());
        }
        if time >= self.save_clock {
            self.save_clock = time + SAVE_CLOCK;
            if let Err(error) = clock::save(&Path::new(data::DEVICE).join("clock")) {
                tell(Level::Warning, error);
            }
        }
    }
}

/// How a process ended, in words.
fn how(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("with code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("by {signal}"),
        other => format!("{other:?}"),
    }
}

/// The output of children, as lines of the kernel's log.
#[derive(Debug)]
struct Lines {
    who: &'static str,
    from: File,
    to: OwnedFd,
    rest: Vec<u8>,
    /// The last line that came.
    last: String,
}

impl Lines {
    fn new(who: &'static str) -> Result<Self, Trouble> {
        let (from, to) = pipe2(OFlag::O_CLOEXEC).doing("make", "a pipe for output")?;
        // Ours alone: whoever writes may wait, but pid 1 may not.
        let flags = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&from, flags).doing("make", "a pipe for output")?;
        Ok(Self { who, from: from.into(), to, rest: Vec::new(), last: String::new() })
    }

    /// Passes on what is there, line by line, and some at a time: a child that babbles must not keep
    /// pid 1 from the rest.
    fn pump(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..READS_MAX {
            let Ok(length @ 1..) = self.from.read(&mut buffer) else { return };
            self.rest.extend_from_slice(buffer.get(..length).unwrap_or(&[]));
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                self.pass(&line);
            }
            if self.rest.len() > LINE_MAX {
                let line = std::mem::take(&mut self.rest);
                self.pass(&line);
            }
        }
    }

    fn pass(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if !line.is_empty() {
            tell::write(tell::level_of(line), self.who, line);
            line.clone_into(&mut self.last);
        }
    }
}
