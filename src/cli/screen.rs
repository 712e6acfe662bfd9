//! The standard streams: whether they are coloured, and writing to them. A reader that has gone
//! is no error.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use super::Failure;
use super::exit::Code;
use crate::config::Environment;
use crate::observe::Paint;

/// Whether the environment leaves colours on.
pub(super) fn may_colour(environment: &Environment) -> bool {
    let empty = |name: &str| environment.get(name).is_none_or(|value| value.is_empty());
    let ours = environment.get("REPROVM_NO_COLOR").is_none_or(|value| {
        ["", "0", "false", "no", "off"].iter().any(|off| value.eq_ignore_ascii_case(off))
    });
    empty("NO_COLOR") && ours && environment.get("TERM").is_none_or(|term| term != "dumb")
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
#[derive(Debug)]
pub(super) struct Screen {
    out: bool,
    err: bool,
}

impl Screen {
    pub(super) fn new(may_colour: bool) -> Self {
        Self {
            out: may_colour && io::stdout().is_terminal(),
            err: may_colour && io::stderr().is_terminal(),
        }
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
            may_colour(&Environment::from_pairs(
                pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())),
            ))
        };
        assert!(case(&[]));
        assert!(case(&[("TERM", "xterm"), ("NO_COLOR", ""), ("REPROVM_NO_COLOR", "0")]));
        assert!(!case(&[("NO_COLOR", "0")]));
        assert!(!case(&[("REPROVM_NO_COLOR", "1")]));
        assert!(!case(&[("REPROVM_NO_COLOR", "true")]));
        assert!(!case(&[("TERM", "dumb")]));
    }
}
