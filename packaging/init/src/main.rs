//! `skerry-init`: pid 1 of the Skerry image, twice: in the initramfs, and in the root it finds.
//!
//! Only decides which part this process plays. The kernel also runs it as `modprobe`, when it meets a
//! file system or an algorithm whose module is not loaded. It must never end as pid 1: the kernel would
//! panic. Next: `initramfs.rs` (finds the slot), then `boot.rs` (the story of a boot), then `life.rs`.

use std::path::Path;
use std::process::ExitCode;

mod block;
mod boot;
mod clock;
mod data;
mod device;
mod gpt;
mod grow;
mod initramfs;
mod life;
mod modules;
mod mounts;
mod name;
mod network;
mod node;
mod seed;
mod settings;
mod shutdown;
mod slots;
mod supervise;
mod tell;
mod timeline;
mod trouble;
mod uevent;
mod watchdog;

fn main() -> ExitCode {
    let mut args = std::env::args();
    let called = args.next().unwrap_or_default();
    let first = args.next();
    if Path::new(&called).file_name().is_some_and(|name| name == "modprobe") {
        let name = first.into_iter().chain(args).find(|word| !word.starts_with('-'));
        return modules::modprobe(&name.unwrap_or_default());
    }
    if std::process::id() != 1 {
        eprintln!("skerry-init is pid 1 of the Skerry image, and does nothing elsewhere");
        return ExitCode::from(2);
    }
    match first.as_deref() {
        Some("root") => boot::run(),
        _ => initramfs::run(),
    }
}
