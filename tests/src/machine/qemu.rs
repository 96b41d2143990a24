//! The command line of one machine, from what the test asked for.
//!
//! Only words; [`super::Machine`] starts it. Disks are written through to the host, so that what the
//! guest was told to be on its disk is there when the process is killed.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::arch::Arch;
use crate::process::need_tool;

/// What a machine is switched on with.
#[derive(Debug, Clone)]
pub(super) struct Wiring<'a> {
    /// Its processor architecture.
    pub(super) arch: Arch,
    /// Mebibytes of memory.
    pub(super) memory: u32,
    /// What it boots.
    pub(super) start: Start<'a>,
    /// Its disks in order.
    pub(super) disks: &'a [Drive<'a>],
    /// Which of them its firmware boots from.
    pub(super) from: usize,
    /// Whether it has a network device at all.
    pub(super) network: bool,
    /// What its clock shows when it is switched on; the right time without.
    pub(super) clock: Option<&'a str>,
    /// Where its sockets and the log of its console go.
    pub(super) folder: &'a Path,
    /// Whether its shell has a line of its own, or sits on the console.
    pub(super) own_line: bool,
}

/// A file as a disk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Drive<'a> {
    /// It can't be written.
    ReadOnly(&'a Path),
    /// A write is in the file before the machine is told so.
    Through(&'a Path),
    /// It has a cache of its own, and every write and flush goes to a log as well.
    Logged(&'a Path, &'a Path),
}

/// What a machine boots.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    /// A kernel, its initramfs and its arguments.
    Kernel(&'a Path, &'a Path, &'a str),
    /// Firmware, which looks for the rest on the first disk.
    Firmware(&'a Path),
}

impl Drive<'_> {
    fn connect(self, number: usize, first: bool, command: &mut Command) {
        let mut device = format!("virtio-blk-pci,drive=disk{number}");
        if first {
            device.push_str(",bootindex=0");
        }
        let plain = |file: &Path, rest: &str| {
            format!("if=none,id=disk{number},format=raw,file={}{rest}", file.display())
        };
        match self {
            Self::ReadOnly(file) => command.arg("-drive").arg(plain(file, ",readonly=on")),
            Self::Through(file) => command.arg("-drive").arg(plain(file, ",cache=writethrough")),
            Self::Logged(file, log) => {
                device.push_str(",write-cache=on");
                command.arg("-blockdev").arg(format!(
                    "driver=blklogwrites,node-name=disk{number},\
                     file.driver=raw,file.file.driver=file,file.file.filename={},\
                     log.driver=raw,log.file.driver=file,log.file.filename={}",
                    file.display(),
                    log.display()
                ))
            }
        };
        command.arg("-device").arg(device);
    }
}

/// The name of the network device, for QEMU's control socket.
pub(super) const NETWORK: &str = "net0";

impl Wiring<'_> {
    /// The command that switches it on.
    pub(super) fn command(&self) -> Command {
        let (program, package) = self.arch.emulator();
        need_tool(program, package);
        let mut command = Command::new(program);
        command.args([
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-accel",
            "tcg,thread=multi",
        ]);
        command.args(self.arch.board()).args(["-m", &self.memory.to_string()]);
        match self.start {
            Start::Kernel(kernel, initrd, arguments) => {
                command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
                command.args(["-append", arguments]);
            }
            Start::Firmware(file) => {
                let mut flash = OsString::from("if=pflash,format=raw,readonly=on,file=");
                flash.push(file);
                command.arg("-drive").arg(flash);
            }
        }
        for (number, drive) in self.disks.iter().enumerate() {
            let first = matches!(self.start, Start::Firmware(_)) && number == self.from;
            drive.connect(number, first, &mut command);
        }
        self.network(&mut command);
        self.lines(&mut command);
        if let Some(clock) = self.clock {
            command.arg("-rtc").arg(format!("base={clock}"));
        }
        command.args(["-device", "virtio-rng-pci"]);
        command
    }

    fn network(&self, command: &mut Command) {
        if self.network {
            command.arg("-netdev").arg(format!("user,id={NETWORK}"));
            command.arg("-device");
            command.arg(format!("virtio-net-pci,id=card0,netdev={NETWORK},romfile="));
        } else {
            command.args(["-nic", "none"]);
        }
    }

    fn lines(&self, command: &mut Command) {
        let place = |name: &str| self.folder.join(name).display().to_string();
        let shell = format!("socket,id=shell,path={},server=on,wait=off", place("shell"));
        let log = place("console.log");
        if self.own_line {
            command.arg("-chardev").arg(format!("file,id=console,path={log},append=on"));
            command.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
            command.args(["-chardev", &shell, "-device", "virtserialport,chardev=shell"]);
        } else {
            command.arg("-chardev").arg(format!("{shell},logfile={log},logappend=on"));
            command.args(["-serial", "chardev:shell"]);
        }
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", place("control")));
    }
}
