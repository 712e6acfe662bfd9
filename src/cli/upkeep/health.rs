//! `health` and `--health-check`.

use std::fmt::Write as _;

use super::notify;
use crate::base::text::shown;
use crate::cli::args::{Flags, Format};
use crate::cli::{Call, Code, Failure};
use crate::observe::Paint;
use crate::ops::{self, Health, Status};

pub(in crate::cli) fn run(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let notifier = notify::beside(call)?;
    let health = ops::health(&call.settings.config);
    // Others are told also where nothing can be printed.
    if let Some(notifier) = &notifier {
        notifier.health(&health);
    }
    let shown = show(&health, flags, call);
    if let Some(notifier) = notifier {
        notify::end(notifier, call);
    }
    shown.map(|()| code(&health) as u8)
}

fn show(health: &Health, flags: &Flags, call: &Call) -> Result<(), Failure> {
    let text = match flags.output {
        Format::Json => super::cache::json(health)?,
        Format::Text => table(health, call.screen.output_paint()),
    };
    call.screen.output(text.as_bytes())
}

/// A warning is none: the build can go on.
fn code(health: &Health) -> Code {
    let worst = health.checks.all().into_iter().find(|(_, check)| check.status == Status::Critical);
    match worst.map(|(name, _)| name) {
        None => Code::Success,
        Some("cache") => Code::CacheError,
        Some("cas") => Code::CasError,
        Some("disk") => Code::FileIo,
        Some("memory") => Code::MemoryAlloc,
        Some(_) => Code::SystemError,
    }
}

fn table(health: &Health, paint: Paint) -> String {
    let mut out = format!("health  {}\n", word(health.status, paint).trim_end());
    for (name, check) in health.checks.all() {
        let message = shown(check.message.as_bytes());
        let status = word(check.status, paint);
        writeln!(out, "{name:6}  {status}  {message}  ({} ms)", check.response_time_ms)
            .expect("writing to a string cannot fail");
    }
    out
}

/// Padded, and then coloured.
fn word(status: Status, paint: Paint) -> String {
    match status {
        Status::Ok => "OK      ".to_owned(),
        Status::Unknown => paint.dim("UNKNOWN "),
        Status::Warning => paint.warning("WARNING "),
        Status::Critical => paint.error("CRITICAL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Check, Checks};

    fn health(statuses: [Status; 6]) -> Health {
        let check = |at: usize| Check {
            status: statuses[at],
            message: format!("message {at}"),
            response_time_ms: 1,
        };
        let checks = Checks {
            cache: check(0),
            cas: check(1),
            disk: check(2),
            memory: check(3),
            locks: check(4),
            remote: check(5),
        };
        Health { status: *statuses.iter().max().expect("six"), checks }
    }

    #[test]
    fn the_first_critical_check_gives_the_code() {
        use Status::{Critical, Ok, Unknown, Warning};
        let of = |statuses| code(&health(statuses)) as u8;
        assert_eq!(of([Ok; 6]), 0);
        assert_eq!(of([Warning, Unknown, Warning, Ok, Ok, Ok]), 0);
        assert_eq!(of([Critical; 6]), 8);
        assert_eq!(of([Ok, Critical, Critical, Ok, Ok, Ok]), 9);
        assert_eq!(of([Ok, Ok, Critical, Critical, Ok, Ok]), 3);
        assert_eq!(of([Ok, Warning, Ok, Critical, Ok, Ok]), 4);
    }

    #[test]
    fn the_table_is_aligned() {
        use Status::{Critical, Ok, Unknown, Warning};
        let all = health([Ok, Critical, Warning, Unknown, Ok, Ok]);
        assert_eq!(
            table(&all, Paint(false)),
            "\
health  CRITICAL
cache   OK        message 0  (1 ms)
cas     CRITICAL  message 1  (1 ms)
disk    WARNING   message 2  (1 ms)
memory  UNKNOWN   message 3  (1 ms)
locks   OK        message 4  (1 ms)
remote  OK        message 5  (1 ms)
"
        );
    }
}
