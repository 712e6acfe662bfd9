//! `notify test`, and messages beside a run or a check.

use std::fmt::Write as _;

use super::cache::json;
use crate::base::text::shown;
use crate::cli::args::{Flags, Format, NotifyVerb};
use crate::cli::{Call, Code, Failure};
use crate::observe::Paint;
use crate::ops::notify::{Notifier, Tried, try_channels};

/// Who tells others, where the settings want that.
pub(in crate::cli) fn beside(call: &Call) -> Result<Option<Notifier>, Failure> {
    Ok(Notifier::new(&call.settings.config.notifications, &call.environment)?)
}

/// Waits for what is under way, and says what did not arrive. It changes no exit code.
pub(in crate::cli) fn end(notifier: Notifier, call: &Call) {
    for problem in notifier.finish() {
        call.screen.warning(&shown(problem.as_bytes()));
    }
}

pub(in crate::cli) fn run(verb: &NotifyVerb, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let NotifyVerb::Test { channel } = verb;
    let settings = &call.settings.config.notifications;
    let tried = try_channels(settings, &call.environment, *channel)?;
    let text = match flags.output {
        Format::Json => json(&tried)?,
        Format::Text => table(&tried, call.screen.output_paint()),
    };
    call.screen.output(text.as_bytes())?;
    if !settings.enabled {
        call.screen.warning("nobody is told of runs: `notifications.enabled` is not set");
    }
    let arrived = tried.iter().all(|one| one.delivered);
    Ok(if arrived { Code::Success } else { Code::NetworkError } as u8)
}

fn table(tried: &[Tried], paint: Paint) -> String {
    let mut out = String::new();
    for one in tried {
        let Tried { place, delivered, answer, help, elapsed_ms, .. } = one;
        let (place, answer) = (shown(place.as_bytes()), shown(answer.as_bytes()));
        let word = if *delivered { "delivered".to_owned() } else { paint.error("not delivered") };
        writeln!(out, "{place}: {word}: {answer} ({elapsed_ms} ms)")
            .expect("writing to a string cannot fail");
        if let Some(help) = help {
            writeln!(out, "  {} {help}", paint.help("help:"))
                .expect("writing to a string cannot fail");
        }
    }
    out
}
