//! `skerry image pack`: a folder becomes an image, without docker.

use std::path::{Path, PathBuf};

use clap::Args;
use skerry_images::{Output, PackOptions, Platform};

use super::failure::Usage;
use super::run_spec::{Words, variable, words};
use super::{image, output, units};

/// Packs a folder into an image of one layer; the same folder always gives the same digest
#[derive(Debug, Clone, Args)]
pub struct PackArgs {
    /// The folder that becomes the root of the agent's file system
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The program; a word, or a JSON list of words
    #[arg(long, value_name = "WORDS", value_parser = words)]
    entrypoint: Words,
    /// Its default arguments; a word, or a JSON list of words
    #[arg(long, value_name = "WORDS", value_parser = words)]
    cmd: Option<Words>,
    /// Set a variable; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The user, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Set a label; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    label: Vec<(String, String)>,
    /// What the files are for, such as linux/arm64; this machine
    #[arg(long)]
    platform: Option<Platform>,
    /// The image's name, such as sensor:1.0
    #[arg(long)]
    name: Option<String>,
    /// A .tar file or a new folder; the node's store by default
    #[arg(short, long, value_name = "OUT.tar|OUTDIR")]
    output: Option<PathBuf>,
}

/// Packs, and prints name and digest.
pub fn pack(state_dir: &Path, args: PackArgs) -> anyhow::Result<()> {
    if args.name.is_none() && args.output.is_none() {
        return Err(
            Usage("an image in the store needs a name; give --name, or --output".into()).into()
        );
    }
    let options = PackOptions {
        entrypoint: args.entrypoint,
        cmd: args.cmd.unwrap_or_default(),
        env: args.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        workdir: args.workdir,
        user: args.user,
        labels: args.label.into_iter().collect(),
        reference: args.name,
        platform: args.platform.unwrap_or_else(Platform::this_machine),
        ..PackOptions::default()
    };
    let packed = match args.output {
        Some(path) if path.extension().is_some_and(|e| e == "tar") => {
            skerry_images::pack(&args.folder, &options, Output::OciTar(path))?
        }
        Some(path) => skerry_images::pack(&args.folder, &options, Output::OciDir(path))?,
        None => {
            let store = image::open(state_dir)?;
            skerry_images::pack(&args.folder, &options, Output::Store(&store))?
        }
    };
    let name = packed.name.as_deref().unwrap_or("(no name)");
    output::line(&format!("{name}  {}  {}", packed.digest, units::bytes(packed.layer_size)))
}
