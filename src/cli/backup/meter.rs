//! How far a verb of backups has come: a line that is drawn again on a terminal, or each tenth of
//! the way where all is told.

use std::time::Duration;

use crate::base::clock::Stopwatch;
use crate::base::size::ByteSize;
use crate::cli::{Call, screen};
use crate::observe::words;
use crate::ops::backup::Progress;

/// A line on a terminal is not drawn more often.
const APART: Duration = Duration::from_millis(100);
/// To the line's begin, and away with what is there.
const ERASE: &str = "\r\x1b[K";

/// Tells it on stderr.
pub(super) struct Meter<'a> {
    call: &'a Call,
    begun: Stopwatch,
    /// Whether the line can be drawn again.
    is_drawn: bool,
    /// When it last was.
    drawn: Option<Duration>,
    tenth: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        let output = &call.settings.config.output;
        let is_drawn = output.progress && !output.quiet && screen::may_progress(&call.environment);
        Self { call, begun: Stopwatch::start(), is_drawn, drawn: None, tenth: 0 }
    }

    pub(super) fn tell(&mut self, progress: Progress) {
        let took = self.begun.elapsed();
        if self.is_drawn {
            if self.drawn.is_none_or(|last| took.saturating_sub(last) >= APART) {
                self.drawn = Some(took);
                self.call.screen.error(&format!("{ERASE}{}", line(progress, took)));
            }
            return;
        }
        let tenth = (percent(progress) / 10).max(self.tenth);
        if self.call.settings.config.output.verbose && tenth > self.tenth {
            self.tenth = tenth;
            self.call.screen.error(&format!("{}\n", line(progress, took)));
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            self.call.screen.error(ERASE);
        }
    }
}

/// Rounded down, so that nothing but all is 100.
fn percent(progress: Progress) -> u64 {
    let Progress { files, bytes, of_files, of_bytes } = progress;
    match bytes.saturating_mul(100).checked_div(of_bytes) {
        Some(percent) if files < of_files => percent.min(99),
        _ => 100,
    }
}

/// `42 %  2 of 5 files, 1.2 GiB of 3.4 GiB, 120.0 MiB/s, ETA: 19s`
fn line(progress: Progress, took: Duration) -> String {
    let Progress { files, bytes, of_files, of_bytes } = progress;
    let (percent, done, all) = (percent(progress), ByteSize(bytes), ByteSize(of_bytes));
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = ByteSize(bytes.saturating_mul(1000) / took_ms);
    let left = of_bytes.saturating_sub(bytes);
    let eta = match took_ms.saturating_mul(left).checked_div(bytes) {
        Some(ms) => format!(", ETA: {}", words::whole_seconds(ms)),
        None => String::new(),
    };
    format!("{percent} %  {files} of {of_files} files, {done} of {all}, {rate}/s{eta}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_bytes_the_rate_and_the_time_that_is_left() {
        let at = |files, bytes| Progress { files, bytes, of_files: 4, of_bytes: 4 << 20 };
        let said = |files, bytes, seconds| line(at(files, bytes), Duration::from_secs(seconds));
        assert_eq!(
            said(1, 1 << 20, 2),
            "25 %  1 of 4 files, 1.0 MiB of 4.0 MiB, 512.0 KiB/s, ETA: 6s"
        );
        assert_eq!(
            said(4, 4 << 20, 4),
            "100 %  4 of 4 files, 4.0 MiB of 4.0 MiB, 1.0 MiB/s, ETA: 0s"
        );
        assert_eq!(said(1, 0, 1), "0 %  1 of 4 files, 0 B of 4.0 MiB, 0 B/s");
        // What is empty is not all of it.
        assert_eq!(percent(at(3, 4 << 20)), 99);
        assert_eq!(percent(Progress { files: 2, bytes: 0, of_files: 2, of_bytes: 0 }), 100);
    }
}
