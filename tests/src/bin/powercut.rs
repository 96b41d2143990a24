//! `tests/powercut`, after it has got what virtual devices need: cuts the power many times, and says
//! whether anything was lost. See [`skerry_tests::powercut`].

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, ValueEnum};
use skerry_tests::machine::Boot;
use skerry_tests::powercut::{self, Run, Totals};

/// Cuts the power of virtual devices at random moments, boots them again, and looks for losses
#[derive(Debug, Parser)]
#[command(name = "tests/powercut")]
struct Wish {
    /// How many rounds: work, cut, boot, look
    #[arg(long, value_name = "N", default_value_t = 20)]
    count: u64,
    /// Repeats the schedule of an earlier run; another one each time by default
    #[arg(long, value_name = "S", visible_alias = "replay")]
    seed: Option<u64>,
    /// How many devices at once; their rounds add up to the count
    #[arg(long, value_name = "J", default_value_t = 1)]
    jobs: u64,
    /// On the flashable image instead of an initramfs
    #[arg(long)]
    image: bool,
    /// What the disk does when the power goes: `through` keeps every write, `volatile` those that were
    /// flushed, `lying` what it likes (which must end in losses: a test of this test)
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Through)]
    cache: Kind,
    /// Where disks are kept that lost something
    #[arg(long, value_name = "DIR", default_value = "target/powercut")]
    keep: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Through,
    Volatile,
    Lying,
}

fn main() -> ExitCode {
    let wish = Wish::parse();
    let new = || {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        now.as_micros() as u64 % 1_000_000_000
    };
    let run = Run {
        count: wish.count,
        seed: wish.seed.unwrap_or_else(new),
        jobs: wish.jobs.clamp(1, wish.count.max(1)),
        keep: wish.keep,
        boot: if wish.image { Boot::Image } else { Boot::Initramfs },
        cache: match wish.cache {
            Kind::Through => powercut::Kind::Through,
            Kind::Volatile => powercut::Kind::Volatile,
            Kind::Lying => powercut::Kind::Lying,
        },
    };
    println!("seed {}: {} rounds on {} devices", run.seed, run.count, run.jobs);
    let totals = run.go(|totals, time| progress(&run, totals, time));
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    for loss in &totals.losses {
        println!("LOSS: {loss}");
    }
    println!("{}, seed {}", totals.line(), run.seed);
    if totals.losses.is_empty() && totals.rounds == run.count {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One line that is written over on a terminal; elsewhere one now and then.
fn progress(run: &Run, totals: &Totals, time: Duration) {
    let line =
        format!("{}/{} after {} s: {}", totals.rounds, run.count, time.as_secs(), totals.line());
    if std::io::stderr().is_terminal() {
        eprint!("\r{line}\x1b[K");
        let _ = std::io::stderr().flush();
    } else if totals.rounds.is_multiple_of(10) || totals.rounds == 1 || totals.rounds == run.count {
        eprintln!("{line}");
    }
}
