//! Skerry's TUF client as a program: the command-line protocol of the public TUF conformance suite.
//!
//! Does what [`skerry_core::trust::client`] asks: it brings files from a folder and over HTTP, and keeps
//! what is to be kept. It decides nothing, and must never be shipped: it alone reads ECDSA keys, which
//! the product does not speak. Linked dynamically, so that faketime can move its clock.

mod kept;
mod p256_keys;
mod web;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use skerry_core::trust::client::{Answer, Client, Next, Place, percent_encode};
use skerry_core::trust::search::Found;
use skerry_core::trust::{Clock, Limits};

use kept::Kept;
use web::Web;

/// A target that is asked for here is held in memory; the suites have none that is larger.
const TARGET_MAX: u64 = 64 << 20;

#[derive(Parser)]
#[command(about = "Skerry's TUF client, for tests")]
struct Options {
    /// The folder of trusted metadata.
    #[arg(long)]
    metadata_dir: PathBuf,
    /// Where the repository's metadata is.
    #[arg(long)]
    metadata_url: Option<String>,
    /// The path of a target; may be given more than once.
    #[arg(long)]
    target_name: Vec<String>,
    /// The folder for downloaded targets.
    #[arg(long)]
    target_dir: Option<PathBuf>,
    /// Where the repository's targets are.
    #[arg(long)]
    target_base_url: Option<String>,
    /// The longest that one file may take, in seconds.
    #[arg(long, default_value_t = 30)]
    patience: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes a root to trust.
    Init {
        /// Its file.
        trusted_root: PathBuf,
    },
    /// Updates the metadata.
    Refresh,
    /// Updates the metadata, and downloads targets.
    Download,
}

fn main() -> ExitCode {
    // Not `parse`, which ends with 2 where the protocol says 1.
    let result =
        Options::try_parse().map_err(anyhow::Error::from).and_then(|options| run(&options));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let kept = Kept::new(&options.metadata_dir);
    match &options.command {
        Command::Init { trusted_root } => {
            let root = std::fs::read(trusted_root).context("the trusted root")?;
            kept.keep("root.json", &root)
        }
        Command::Refresh => refresh(options, &kept).map(drop),
        Command::Download => download(options, &kept),
    }
}

/// What one run needs: where files come from, and where they are kept.
struct Session<'a> {
    client: Client,
    kept: &'a Kept,
    metadata_url: &'a str,
    web: Web,
}

impl Session<'_> {
    /// Answers until nothing is wanted any more.
    fn drive(&mut self) -> Result<()> {
        while let Next::Want(want) = self.client.next() {
            let file = match want.place {
                Place::Kept => self.kept.read(&want.file, want.max_length)?,
                Place::Repository => {
                    self.web.fetch(&web::join(self.metadata_url, &want.file), want.max_length)?
                }
            };
            let answer = file.as_deref().map_or(Answer::Missing, Answer::File);
            for change in self.client.give(answer)? {
                self.kept.apply(&change)?;
            }
        }
        Ok(())
    }

    fn find(&mut self, path: &str) -> Result<Found> {
        self.client.find(path)?;
        self.drive()?;
        Ok(self.client.found()?)
    }
}

fn refresh<'a>(options: &'a Options, kept: &'a Kept) -> Result<Session<'a>> {
    let metadata_url = options.metadata_url.as_deref().context("--metadata-url is needed")?;
    let limits = Limits::DEFAULT;
    let root = kept.read("root.json", limits.root as u64)?.context("no root is trusted yet")?;
    let now = Timestamp::now();
    // Without a floor of its own: what is tested is the workflow, at whatever time the suite sets.
    let clock = Clock { now, floor: Timestamp::UNIX_EPOCH };
    let client = Client::with_other_keys(&root, limits, clock, Some(p256_keys::read))?;
    let web = Web::new(Duration::from_secs(options.patience));
    let mut session = Session { client, kept, metadata_url, web };
    session.drive()?;
    Ok(session)
}

fn download(options: &Options, kept: &Kept) -> Result<()> {
    let folder = options.target_dir.as_deref().context("--target-dir is needed")?;
    let base = options.target_base_url.as_deref().context("--target-base-url is needed")?;
    if options.target_name.is_empty() {
        bail!("--target-name is needed");
    }
    let mut session = refresh(options, kept)?;
    for path in &options.target_name {
        let found = session.find(path)?;
        let consistent = session.client.trusted().root().consistent_snapshot;
        let url = web::join(base, &web::path(&found.file_name(consistent)));
        fetch_target(&session.web, &found, path, folder, &url)?;
    }
    Ok(())
}

/// Fetches a target unless it is there already.
fn fetch_target(web: &Web, found: &Found, path: &str, folder: &Path, url: &str) -> Result<()> {
    let length = found.meta().length;
    if length > TARGET_MAX {
        bail!("'{path}' has {length} bytes, more than the {TARGET_MAX} allowed");
    }
    let targets = Kept::new(folder);
    let file = percent_encode(path);
    if targets.read(&file, length)?.is_some_and(|bytes| found.check(&bytes).is_ok()) {
        return Ok(());
    }
    let bytes =
        web.fetch(url, length)?.with_context(|| format!("the repository has no '{path}'"))?;
    let verified = found.verify(&bytes)?;
    targets.keep(&file, verified.value())
}
