//! The last few events, for the report of a crash: their names and tasks, not what they say.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use crate::base::{TaskName, clock};
use crate::event::{Observer, Stamped};

/// How many are remembered.
const COUNT: usize = 50;

/// Remembers events; its clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    events: Arc<Mutex<VecDeque<Seen>>>,
    panics_at: Option<&'static str>,
}

#[derive(Debug)]
struct Seen {
    seq: u64,
    time_ns: i64,
    name: &'static str,
    task: Option<TaskName>,
}

impl Recent {
    /// A listener of the same events that panics when one of this name comes: for the test of
    /// what a panic leaves.
    pub fn panicking_at(&self, name: Option<&'static str>) -> Self {
        Self { panics_at: name, ..self.clone() }
    }

    /// A line for each event, the newest last. Never waits: whoever crashed may have the lock.
    pub fn lines(&self) -> Vec<String> {
        let events = match self.events.try_lock() {
            Ok(events) => events,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return vec!["(not to be had)".to_owned()],
        };
        let line = |seen: &Seen| {
            let Seen { seq, time_ns, name, task } = seen;
            let task = task.as_ref().map_or("", TaskName::as_str);
            format!("{} {seq} {name} {task}", clock::rfc3339_ms(*time_ns)).trim_end().to_owned()
        };
        events.iter().map(line).collect()
    }
}

impl Observer for Recent {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        let Stamped { seq, time_ns, event, .. } = event;
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == COUNT {
            events.pop_front();
        }
        events.push_back(Seen {
            seq: *seq,
            time_ns: *time_ns,
            name: event.name(),
            task: event.task().cloned(),
        });
        drop(events);
        assert!(self.panics_at != Some(event.name()), "a listener was told to panic");
        Ok(())
    }

    fn name(&self) -> &'static str {
        "crash report"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn only_the_last_are_remembered() {
        let recent = Recent::default();
        let mut listener = recent.clone();
        let task = TaskName::parse("a").expect("a good name");
        for seq in 1..=60 {
            let event = Event::TaskQueued { task: task.clone(), after: None };
            listener.observe(&Stamped { seq, time_ns: 0, run: String::new(), event }).expect("ok");
        }
        let lines = recent.lines();
        assert_eq!(lines.len(), COUNT);
        assert_eq!(lines[0], "1970-01-01T00:00:00.000Z 11 task_queued a");
        assert_eq!(lines[49], "1970-01-01T00:00:00.000Z 60 task_queued a");
    }
}
