//! The last steps before a program: finding it as the agent's user, and becoming it.
//!
//! Used inside the container by the container's first process (`monitor/build.rs`) and by `exec.rs`
//! alike, so that both find programs alike and run under the same filter.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::privileges::{PrivilegeError, Privileges};
use crate::spec::DEFAULT_PATH;
use crate::sys;

/// Why a program does not start.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// No such file.
    #[error("there is no program '{name}' in the image")]
    Absent {
        /// The path asked for.
        name: String,
    },
    /// No such file in any folder of the path.
    #[error("there is no program '{name}' in the image's PATH ({search})")]
    NotInPath {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        search: String,
    },
    /// The file is there and cannot be executed.
    #[error("'{name}' is not a file that this user may execute")]
    Forbidden {
        /// The path asked for.
        name: String,
    },
    /// There is no process for it beside the first one.
    #[error("cannot split the first process from the program")]
    Split(#[source] io::Error),
    /// It does not get what it may do.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The kernel refused.
    #[error("cannot run {path}")]
    Execute {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The file to execute, looked for as a shell would.
pub fn find<'a>(
    name: &str,
    env: impl IntoIterator<Item = &'a String>,
) -> Result<PathBuf, ProgramError> {
    let runs = |path: &Path| {
        path.is_file() && accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()).is_ok()
    };
    let owned = || name.to_owned();
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match (runs(&path), path.exists()) {
            (true, _) => Ok(path),
            (false, true) => Err(ProgramError::Forbidden { name: owned() }),
            (false, false) => Err(ProgramError::Absent { name: owned() }),
        };
    }
    let search = env.into_iter().filter_map(|entry| entry.strip_prefix("PATH=")).last();
    let search = search.unwrap_or(DEFAULT_PATH);
    let mut candidates = search.split(':').map(|folder| Path::new(folder).join(name));
    let found = candidates.find(|path| runs(path));
    found.ok_or_else(|| ProgramError::NotInPath { name: owned(), search: search.to_owned() })
}

/// Becomes the program: signals as new, the filter in force, then exec. The privileges have been taken
/// on before.
pub fn become_program(
    path: &Path,
    args: &[String],
    env: &[String],
    privileges: &Privileges,
) -> Result<Infallible, ProgramError> {
    let execute = |source| ProgramError::Execute { path: path.to_owned(), source };
    let c_string = |text: &[u8]| CString::new(text).map_err(|error| execute(error.into()));
    let c_path = c_string(path.as_os_str().as_encoded_bytes())?;
    let c_strings = |texts: &[String]| {
        texts.iter().map(|text| c_string(text.as_bytes())).collect::<Result<Vec<_>, _>>()
    };
    let (args, env) = (c_strings(args)?, c_strings(env)?);
    sys::restore_signals();
    privileges.seal()?;
    let Err(errno) = nix::unistd::execve(&c_path, &args, &env);
    Err(execute(errno.into()))
}
