//! The collection at the end of a run: only where something was stored, and where the cache may
//! have become too large or was not looked at for a day.

use std::time::Duration;

use super::{Rules, Step, Stop, collect, lock, size};
use crate::base::FileError;
use crate::base::clock::{self, Stopwatch};
use crate::config::Cache;
use crate::event::Collected;
use crate::home::Home;

/// The end of a run is held up no longer; what is not done then is done by a later run.
const BUDGET: Duration = Duration::from_secs(5);
/// Of that, to find out what goes. What is known then is removed in the rest, so that a cache that
/// takes longer becomes smaller all the same.
const TO_LOOK: Duration = Duration::from_secs(3);
/// So often the whole is looked at, for what has become too old.
const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;
/// Where all that is there is needed, or there was no time for all, the next look is so long, or so
/// much more, later.
const AGAIN_NS: i64 = 10 * 60 * 1_000_000_000;

/// A cache that is being made has nothing in it. The lock is made with it, so that those who only
/// look at it later make nothing in it.
pub(in crate::ops) fn note_new_cache(home: &Home) {
    lock::lay(home);
    tell(size::write(home, Some(0)));
}

/// Notes what was added by somebody who does not collect: the next run that stores something does,
/// where that is too much.
pub(in crate::ops) fn note_added(home: &Home, bytes: u64) {
    if bytes > 0 {
        tell(size::add(home, bytes));
    }
}

/// Notes what a run has added, and collects where that is due. None: it was not, or somebody else
/// is at it. `interrupted` says whether the run is to end now.
pub(in crate::ops) fn collect_after_run(
    home: &Home,
    settings: &Cache,
    added_bytes: u64,
    interrupted: &dyn Fn() -> bool,
) -> Option<Collected> {
    if added_bytes == 0 {
        return None;
    }
    note_added(home, added_bytes);
    let rules = Rules::new(settings, home);
    if interrupted() {
        return None;
    }
    let guess = size::read(home);
    if !is_due(guess, rules.limit, clock::now_ns()) {
        return None;
    }
    let _lock = match lock::try_alone(home) {
        Ok(lock) => lock?,
        Err(error) => {
            tell(Err(error));
            return None;
        }
    };
    let watch = Stopwatch::start();
    let stop: &Stop<'_> = &|step| {
        let budget = if step == Step::Look { TO_LOOK } else { BUDGET };
        watch.elapsed() > budget || interrupted()
    };
    let done = collect(home, &rules, false, stop);
    // Who calls `reprovm gc` is told; nobody else can do anything about it.
    for problem in done.problems.iter().chain(&done.notes) {
        tracing::warn!(problem, "garbage stays");
    }
    (done.problems.is_empty() || done.totals.files() > 0).then_some(done.totals)
}

fn is_due(guess: Option<size::Guess>, limit: Option<u64>, now: i64) -> bool {
    let Some(size::Guess { counted, counted_ns, added }) = guess else { return true };
    let age = now.saturating_sub(counted_ns);
    if !(0..DAY_NS).contains(&age) {
        return true;
    }
    let may_again = age >= AGAIN_NS || limit.is_some_and(|limit| added > limit / 10);
    match (counted, limit) {
        (None, _) => may_again,
        (Some(_), None) => false,
        // Where it was too large after the last collection, that could not be helped.
        (Some(counted), Some(limit)) if counted > limit => may_again,
        (Some(counted), Some(limit)) => counted.saturating_add(added) > limit,
    }
}

/// A guess that cannot be kept is made anew.
fn tell(kept: Result<(), FileError>) {
    if let Err(error) = kept {
        let problem = format!("{error}: {}", error.source);
        tracing::debug!(problem, "the size of the cache is not known");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_looked_at_when_it_may_be_too_large_or_a_day_has_gone() {
        let guess = |counted, added| size::Guess { counted: Some(counted), counted_ns: 0, added };
        assert!(is_due(None, None, 1), "it was never counted");
        assert!(!is_due(Some(guess(90, 10)), Some(100), 1));
        assert!(is_due(Some(guess(90, 11)), Some(100), 1));
        assert!(!is_due(Some(guess(90, u64::MAX)), None, 1), "there is no limit");
        assert!(is_due(Some(guess(0, 1)), None, DAY_NS));
        assert!(is_due(Some(guess(0, 1)), None, -1), "the clock was put back");
        // All that was there was needed when it was collected.
        assert!(!is_due(Some(guess(200, 10)), Some(100), 1));
        assert!(is_due(Some(guess(200, 11)), Some(100), 1));
        assert!(is_due(Some(guess(200, 1)), Some(100), AGAIN_NS));
        // There was no time to count it.
        let unknown = |added| Some(size::Guess { counted: None, counted_ns: 0, added });
        assert!(!is_due(unknown(10), Some(100), 1) && !is_due(unknown(u64::MAX), None, 1));
        assert!(is_due(unknown(11), Some(100), 1));
        assert!(is_due(unknown(1), Some(100), AGAIN_NS) && is_due(unknown(1), None, AGAIN_NS));
    }
}
