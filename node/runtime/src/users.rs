//! Who is meant by a name such as `app:www`: looked up in the image's own `/etc/passwd` and
//! `/etc/group`.
//!
//! Reads the unpacked layers as the agent would see them: the topmost wins, what a layer hides is
//! hidden, links lead within the image only. Reads a bounded part of bounded files, and never runs
//! anything of the image.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::launch::User;

/// Why it is not known who is meant.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such name.
    #[error("the image's {file} has no {kind} '{name}'; use a number, or an image that has it")]
    Unknown {
        /// User or group.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// The file is larger than any real one.
    #[error("the image's {file} is larger than 1 MiB, or its links do not end")]
    Odd {
        /// The file.
        file: String,
    },
    /// A layer cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The path on the host.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const MOST_BYTES: u64 = 1 << 20;
const MOST_LINKS: u32 = 40;
/// As many groups as a process can be in on older kernels.
const MOST_GROUPS: usize = 256;

/// The user, its group, and the further groups that the image puts it in. `text` is `USER`,
/// `USER:GROUP`, or empty for root, each by name or number. A user by number need not be known to
/// the image; its group is then 0.
///
/// # Errors
/// A name is unknown to the image, or its files cannot be read.
pub fn resolve_user(lowers: &[PathBuf], text: &str) -> Result<User, UserError> {
    let (user, group) = text.split_once(':').map_or((text, ""), |parts| parts);
    let user = if user.is_empty() { "0" } else { user };
    let passwd = Table::read(lowers, PASSWD)?;
    let known = passwd.rows().find(|row| match user.parse::<u32>() {
        Ok(uid) => row.number(2) == Some(uid),
        Err(_) => row.name() == user,
    });
    let unknown = |kind, name: &str, file| UserError::Unknown { kind, name: name.to_owned(), file };
    let uid = match (user.parse(), known.and_then(|row| row.number(2))) {
        (Ok(uid), _) | (Err(_), Some(uid)) => uid,
        _ => return Err(unknown("user", user, PASSWD)),
    };
    let groups = Table::read(lowers, GROUP)?;
    let gid = match group {
        "" => known.and_then(|row| row.number(3)).unwrap_or(0),
        group => match group.parse() {
            Ok(gid) => gid,
            Err(_) => {
                let found = groups.rows().find(|row| row.name() == group);
                let gid = found.and_then(|row| row.number(2));
                gid.ok_or_else(|| unknown("group", group, GROUP))?
            }
        },
    };
    let mut additional_gids: Vec<u32> = Vec::new();
    if let Some(name) = known.map(|row| row.name()) {
        let member = |row: &Row<'_>| row.field(3).split(',').any(|member| member == name);
        let found = groups.rows().filter(member).filter_map(|row| row.number(2));
        additional_gids.extend(found.filter(|found| *found != gid).take(MOST_GROUPS));
    }
    additional_gids.sort_unstable();
    additional_gids.dedup();
    Ok(User { uid, gid, additional_gids })
}

/// Lines of fields with colons between them.
struct Table(String);

#[derive(Clone, Copy)]
struct Row<'a>(&'a str);

impl Table {
    fn read(lowers: &[PathBuf], file: &'static str) -> Result<Self, UserError> {
        let content = read(lowers, Path::new(file))?.unwrap_or_default();
        Ok(Self(String::from_utf8_lossy(&content).into_owned()))
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let lines = self.0.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(Row)
    }
}

impl<'a> Row<'a> {
    fn field(self, number: usize) -> &'a str {
        self.0.split(':').nth(number).unwrap_or_default()
    }

    fn name(self) -> &'a str {
        self.field(0)
    }

    fn number(self, number: usize) -> Option<u32> {
        self.field(number).parse().ok()
    }
}

/// What a file of the image holds; `None` if there is none.
fn read(lowers: &[PathBuf], file: &Path) -> Result<Option<Vec<u8>>, UserError> {
    let odd = || UserError::Odd { file: file.display().to_string() };
    let mut ahead: VecDeque<OsString> = parts(file).collect();
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let place = at.join(&part);
        let Some((path, found)) = look(lowers, &place)? else { return Ok(None) };
        if found.is_dir() {
            at = place;
        } else if found.is_symlink() {
            links += 1;
            let target = std::fs::read_link(&path)
                .map_err(|source| UserError::Io { path: path.clone(), source })?;
            if links > MOST_LINKS {
                return Err(odd());
            }
            if target.is_absolute() {
                at = PathBuf::new();
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(part);
            }
        } else if found.is_file() && ahead.is_empty() {
            let mut content = Vec::new();
            let open = File::open(&path)
                .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut content));
            open.map_err(|source| UserError::Io { path, source })?;
            return if content.len() as u64 > MOST_BYTES { Err(odd()) } else { Ok(Some(content)) };
        } else {
            return Ok(None);
        }
    }
    Ok(None)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

/// What is at a path of which all but the last part are folders, in the topmost layer that has it.
fn look(lowers: &[PathBuf], place: &Path) -> Result<Option<(PathBuf, Metadata)>, UserError> {
    for layer in lowers.iter().rev() {
        let mut path = layer.clone();
        let mut covers = false;
        let mut names = place.components().peekable();
        while let Some(name) = names.next() {
            path.push(name);
            let found = match std::fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(UserError::Io { path, source }),
            };
            // As overlayfs marks what is hidden.
            if found.file_type().is_char_device() && found.rdev() == 0 {
                return Ok(None);
            }
            if names.peek().is_none() {
                return Ok(Some((path, found)));
            }
            if !found.is_dir() {
                return Ok(None);
            }
            covers |= is_opaque(&path);
        }
        if covers {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Whether a folder hides what layers below have in it.
fn is_opaque(folder: &Path) -> bool {
    let mut value = [0_u8; 1];
    let name = OsStr::new("trusted.overlay.opaque");
    rustix::fs::lgetxattr(folder, name, &mut value).is_ok_and(|size| size == 1 && value == *b"y")
}

#[cfg(test)]
mod tests;
