//! Writes man pages and completions out of a command line's grammar.
//!
//! Part of `skerry` and of `skerry-fleet` when they are built with the feature `generate`, which no
//! shipped program is. `packaging/build` calls it as `PROGRAM generate DIR`, and packs what it made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// Does it and ends, if the arguments (program name included) say `generate DIR`.
pub fn dispatch(args: impl IntoIterator<Item = OsString>, grammar: Command) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != "generate" {
        return None;
    }
    let folder = PathBuf::from(args.next()?);
    Some(match write(grammar, &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    })
}

/// `DIR/man` gets one page for the program and one for each verb, `DIR/completions` one file for each
/// shell, named as the shell wants it.
fn write(mut grammar: Command, folder: &Path) -> std::io::Result<()> {
    let (pages, completions) = (folder.join("man"), folder.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    let name = grammar.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut grammar, &name, &completions)?;
    }
    clap_mangen::generate_to(grammar, &pages)
}
