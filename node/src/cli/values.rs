//! Values for configs and secrets as they stand on a command line: `KEY=VALUE`, `KEY=-` for standard
//! input, `KEY` alone to be asked for, and files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use skerry_core::ids::DataKey;

use super::failure::Usage;

/// Larger values are refused by the node; this keeps a device file from filling memory.
const VALUE_MAX: u64 = 8 << 20;

/// One value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    key: DataKey,
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Word(String),
    Input,
    Person,
    File(PathBuf),
}

/// `KEY=VALUE`, `KEY=-` or `KEY`.
pub fn given(text: &str) -> Result<Given, String> {
    let (key, from) = match text.split_once('=') {
        None => (text, From::Person),
        Some((key, "-")) => (key, From::Input),
        Some((key, value)) => (key, From::Word(value.to_owned())),
    };
    Ok(Given { key: key.parse().map_err(|error| format!("{error}"))?, from })
}

/// `KEY=FILE`, or `FILE` for a key of the file's name.
pub fn given_file(text: &str) -> Result<Given, String> {
    let (key, file) = match text.split_once('=') {
        Some((key, file)) => (key.to_owned(), file),
        None => {
            let name = Path::new(text).file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), text)
        }
    };
    let key = key.parse().map_err(|error| format!("{error}"))?;
    Ok(Given { key, from: From::File(file.into()) })
}

/// Gets all the values that were given.
pub fn collect(given: &[Given]) -> anyhow::Result<BTreeMap<DataKey, Vec<u8>>> {
    if given.iter().filter(|one| one.from == From::Input).count() > 1 {
        return Err(Usage("standard input can be one value only".to_owned()).into());
    }
    let mut values = BTreeMap::new();
    for Given { key, from } in given {
        let value = match from {
            From::Word(word) => word.clone().into_bytes(),
            From::Input => without_line_end(read(io::stdin())?),
            From::Person => ask(key)?,
            From::File(path) => {
                let shown = path.display();
                let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
                read(file).with_context(|| format!("cannot read {shown}"))?
            }
        };
        if values.insert(key.clone(), value).is_some() {
            return Err(Usage(format!("'{key}' is given twice")).into());
        }
    }
    Ok(values)
}

fn read(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut value = Vec::new();
    from.take(VALUE_MAX).read_to_end(&mut value)?;
    Ok(value)
}

/// As `$(…)` of a shell does, but for one line end only: `echo` adds one.
fn without_line_end(mut value: Vec<u8>) -> Vec<u8> {
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    value
}

/// Asks at the terminal, which shows nothing of what is typed.
fn ask(key: &DataKey) -> anyhow::Result<Vec<u8>> {
    let input = io::stdin();
    if !input.is_terminal() {
        let text = format!("'{key}' has no value; give {key}=VALUE, {key}=- or --from-file");
        return Err(Usage(text).into());
    }
    let before = tcgetattr(&input).context("cannot look at the terminal")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    {
        use io::Write;
        write!(io::stderr(), "{key}: ").context("cannot write to the terminal")?;
    }
    tcsetattr(&input, OptionalActions::Flush, &silent).context("cannot silence the terminal")?;
    let mut line = String::new();
    let read = input.read_line(&mut line);
    let back = tcsetattr(&input, OptionalActions::Flush, &before);
    super::failure::blank_line();
    read.context("cannot read from the terminal")?;
    back.context("cannot set the terminal back")?;
    Ok(without_line_end(line.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_by_their_form() {
        let of = |text: &str| given(text).map(|given| given.from);
        assert_eq!(of("A=b=c"), Ok(From::Word("b=c".into())));
        assert_eq!(of("A="), Ok(From::Word(String::new())));
        assert_eq!(of("A=-"), Ok(From::Input));
        assert_eq!(of("A"), Ok(From::Person));
        assert!(of("a b=c").is_err() && of("=c").is_err());
        assert_eq!(given_file("/x/app.conf").unwrap().key.as_str(), "app.conf");
        assert_eq!(given_file("k=/x/app.conf").unwrap().key.as_str(), "k");
    }

    #[test]
    fn a_key_is_given_once_and_a_line_end_is_no_part_of_a_word() {
        let twice = ["A=1", "A=2"].map(|text| given(text).unwrap());
        assert!(collect(&twice).is_err());
        assert_eq!(without_line_end(b"word\n".to_vec()), b"word");
        assert_eq!(without_line_end(b"two\n\n".to_vec()), b"two\n");
    }
}
