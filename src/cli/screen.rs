//! The standard streams: whether they are coloured, and writing to them. A reader that has gone
//! is no error.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use super::exit::Code;
use super::{Failure, args};
use crate::config::Environment;
use crate::observe::Paint;

/// Whether the environment leaves colours on, the settings aside.
fn may_colour(environment: &Environment) -> bool {
    let is = |name: &str, text: &str| environment.get(name).is_some_and(|value| value == text);
    environment.get("NO_COLOR").is_none_or(|value| value.is_empty()) && !is("TERM", "dumb")
}

/// Whether the arguments and the environment leave colours on, before the settings are known.
fn early_colour(environment: &Environment, args: &[OsString]) -> bool {
    let ours = environment.get("REPROVM_NO_COLOR").is_none_or(|value| {
        ["", "0", "false", "no", "off"].iter().any(|off| value.eq_ignore_ascii_case(off))
    });
    may_colour(environment) && ours && !args::forbids_colour(args)
}

/// Whether stderr is a terminal whose cursor can be moved.
pub(super) fn may_progress(environment: &Environment) -> bool {
    let moves = environment.get("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    moves && io::stderr().is_terminal()
}

/// Whether the locale says that the terminal shows more than ASCII.
pub(super) fn knows_unicode(environment: &Environment) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| environment.get(name));
    let locale = set.map(|value| value.to_string_lossy().to_lowercase()).find(|it| !it.is_empty());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

/// Whether stderr leads to the systemd journal: `JOURNAL_STREAM` names the device and inode of
/// the stream that systemd gave us, which a redirection may have replaced (systemd.exec(5)).
pub(super) fn is_journal(environment: &Environment) -> bool {
    let Some(stream) = environment.get("JOURNAL_STREAM").and_then(|text| text.to_str()) else {
        return false;
    };
    let Ok(file) = io::stderr().as_fd().try_clone_to_owned().map(File::from) else { return false };
    file.metadata().is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

/// Where the program writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    may_colour: bool,
    out: bool,
    err: bool,
}

impl Screen {
    /// For what is said before the settings are known.
    pub(super) fn early(environment: &Environment, args: &[OsString]) -> Self {
        Self::new(environment, early_colour(environment, args))
    }

    pub(super) fn new(environment: &Environment, colours: bool) -> Self {
        let may_colour = colours && may_colour(environment);
        Self {
            may_colour,
            out: may_colour && io::stdout().is_terminal(),
            err: may_colour && io::stderr().is_terminal(),
        }
    }

    /// Whether anything may be coloured, terminals aside.
    pub(super) fn may_colour(&self) -> bool {
        self.may_colour
    }

    pub(super) fn output_paint(&self) -> Paint {
        Paint(self.out)
    }

    pub(super) fn error_paint(&self) -> Paint {
        Paint(self.err)
    }

    /// Writes data.
    pub(super) fn output(&self, text: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(text).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Failure::Output),
        }
    }

    /// Writes talk. Where even that fails there is nobody to tell.
    pub(super) fn error(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    pub(super) fn warning(&self, text: &str) {
        self.error(&format!("{} {text}\n", self.error_paint().warning("warning:")));
    }
}

/// Help, the version, or what is wrong with the arguments.
pub(super) fn say(message: &clap::Error, failed: bool) -> u8 {
    let printed = message.print();
    match (failed, printed) {
        (true, _) => Code::InvalidArg as u8,
        (false, Err(error)) if error.kind() != ErrorKind::BrokenPipe => Code::FileIo as u8,
        (false, _) => Code::Success as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_can_forbid_colours() {
        let case = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            early_colour(&Environment::from_pairs(pairs), &[])
        };
        assert!(case(&[]));
        assert!(case(&[("TERM", "xterm"), ("NO_COLOR", ""), ("REPROVM_NO_COLOR", "0")]));
        assert!(!case(&[("NO_COLOR", "0")]));
        assert!(!case(&[("REPROVM_NO_COLOR", "1")]));
        assert!(!case(&[("REPROVM_NO_COLOR", "true")]));
        assert!(!case(&[("TERM", "dumb")]));
    }

    #[test]
    fn the_first_variable_of_the_locale_that_is_set_decides() {
        let case = |pairs: &[(&str, &str)]| {
            knows_unicode(&Environment::from_pairs(
                pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())),
            ))
        };
        assert!(case(&[("LANG", "de_DE.UTF-8")]));
        assert!(case(&[("LANG", "C"), ("LC_CTYPE", "C.utf8"), ("LC_ALL", "")]));
        assert!(!case(&[("LANG", "C.UTF-8"), ("LC_ALL", "C")]));
        assert!(!case(&[("LANG", "C")]));
        assert!(!case(&[]));
    }
}
