//! What is executed for a command: the program itself or a shell that reads the text, with the
//! environment and the folder that either sees.
//!
//! Knows nothing of starting.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::env::TAG;
use super::runner::Command;
use super::{direct, env};

/// All that starting takes, made before the slot is locked.
pub(super) struct Launch {
    /// Tried in turn while they cannot be executed.
    pub programs: Vec<Program>,
    pub env: Vec<CString>,
    pub cwd: CString,
}

impl Launch {
    pub(super) fn of(command: &Command<'_>, tag: &str) -> io::Result<Self> {
        let cwd = if command.cwd.as_os_str().is_empty() { Path::new(".") } else { &command.cwd };
        let pwd = working_folder(&command.env, cwd);
        let mut env = Vec::with_capacity(command.env.len() + 2);
        for (name, value) in &command.env {
            if name != TAG && !(name == "PWD" && pwd.is_some()) {
                env.push(entry(name, value)?);
            }
        }
        if let Some(pwd) = pwd {
            env.push(entry(OsStr::new("PWD"), pwd.as_os_str())?);
        }
        env.push(entry(OsStr::new(TAG), OsStr::new(tag))?);
        let programs = programs(command.text, command.shell, &command.env, cwd)?;
        Ok(Self { programs, env, cwd: CString::new(cwd.as_os_str().as_bytes())? })
    }
}

fn entry(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = name.as_bytes().to_vec();
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
    Ok(CString::new(text)?)
}

/// What `PWD` must say, as a shell would set it, so that the direct way is no other. None: what
/// the environment says is right, or nothing can be said.
fn working_folder(env: &[(OsString, OsString)], cwd: &Path) -> Option<PathBuf> {
    let here = cwd.metadata().ok()?;
    let right = env::lookup(env, "PWD").map(Path::new).is_some_and(|given| {
        given.is_absolute()
            && given.metadata().is_ok_and(|is| (is.dev(), is.ino()) == (here.dev(), here.ino()))
    });
    if right { None } else { cwd.canonicalize().ok() }
}

/// A program with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub path: CString,
    pub argv: Vec<CString>,
}

/// The programs to try in turn, never none. The direct way comes first where there is one; if it
/// cannot be executed, the shell says so in its own words and with its own code.
fn programs(
    text: &str,
    shell: Option<&[String]>,
    variables: &[(OsString, OsString)],
    cwd: &Path,
) -> io::Result<Vec<Program>> {
    if let Some([program, arguments @ ..]) = shell {
        let path = direct::find(program, env::lookup(variables, "PATH"), cwd).ok_or_else(|| {
            let problem = format!("the shell `{program}` is not to be found on the task's PATH");
            io::Error::new(io::ErrorKind::NotFound, problem)
        })?;
        let words = [program.as_str()].into_iter().chain(arguments.iter().map(String::as_str));
        return Ok(vec![Program { path, argv: argv(words.chain([text]))? }]);
    }
    let shell = Program { path: c"/bin/sh".to_owned(), argv: argv(["/bin/sh", "-c", text])? };
    let mut programs = Vec::with_capacity(2);
    if let Some(words) = direct::words(text)
        && direct::passes_through(variables)
        && let Some(path) = direct::find(words[0], env::lookup(variables, "PATH"), cwd)
    {
        programs.push(Program { path, argv: argv(words)? });
    }
    programs.push(shell);
    Ok(programs)
}

fn argv<'a>(words: impl IntoIterator<Item = &'a str>) -> io::Result<Vec<CString>> {
    words
        .into_iter()
        .map(|word| {
            CString::new(word).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidInput, "the command holds a NUL byte")
            })
        })
        .collect()
}
