//! A run again, as its listeners heard it.

use std::path::Path;

use super::find::{self, RunHead};
use crate::config::Config;
use crate::engine::kept_output;
use crate::event::{Event, Observer, Output, Stamped};
use crate::home::Home;
use crate::observe::{Odd, read};
use crate::ops::types::Error;
use crate::store::DiskStore;

/// What came of telling a run again.
#[derive(Debug)]
pub struct Replayed {
    pub head: RunHead,
    pub odd: Odd,
    /// Listeners that failed, a sentence each.
    pub problems: Vec<String>,
}

/// Tells the observers the events of a run, with the whole of what tasks wrote where the cache
/// still has it.
pub fn replay_run(
    which: Option<&str>,
    config: &Config,
    observers: Vec<Box<dyn Observer>>,
) -> Result<Replayed, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let found = find::one(&home, which, config)?;
    let store = DiskStore::new(&home);
    let stage = home.stage();
    let (mut live, mut problems) = (observers, Vec::new());
    let mut tell = |live: &mut Vec<Box<dyn Observer>>, event: &Stamped| {
        live.retain_mut(|observer| match observer.observe(event) {
            Ok(()) => true,
            Err(problem) => {
                problems.push(format!("{}: {problem}", observer.name()));
                false
            }
        });
    };
    let (_, odd) = read(&found.path, |event| {
        tell(&mut live, &whole(event, &store, &stage));
        !live.is_empty()
    })?;
    for observer in &mut live {
        if let Err(problem) = observer.finish() {
            problems.push(format!("{}: {problem}", observer.name()));
        }
    }
    Ok(Replayed { head: found.head, odd, problems })
}

/// The event with all of its output, if the store has it.
fn whole(mut event: Stamped, store: &DiskStore, stage: &Path) -> Stamped {
    if let Event::TaskOutput { output, .. } = &mut event.event
        && let Output::Clipped { object, len, .. } = output
        && let Ok(kept) = kept_output(store, stage, object, *len)
    {
        *output = kept;
    }
    event
}
