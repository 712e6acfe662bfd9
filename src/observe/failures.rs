//! What kinds of failures a run had, for the exit code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::{Event, Failure, Observer, Outcome, Stamped};

/// Listens for failed tasks.
#[derive(Debug, Default)]
pub struct Failures(FailureKinds);

/// What was seen; stays readable after the run.
#[derive(Debug, Clone, Default)]
pub struct FailureKinds(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    timeout: AtomicBool,
    other: AtomicBool,
}

impl Failures {
    pub fn new() -> (Self, FailureKinds) {
        let kinds = FailureKinds::default();
        (Self(kinds.clone()), kinds)
    }
}

impl FailureKinds {
    /// Whether tasks failed and each of them because its time was up.
    pub fn only_timeouts(&self) -> bool {
        self.0.timeout.load(Ordering::SeqCst) && !self.0.other.load(Ordering::SeqCst)
    }
}

impl Observer for Failures {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        if let Event::TaskFinished { outcome: Outcome::Failed { failure }, .. } = &event.event {
            let seen = &self.0.0;
            match failure {
                Failure::TimedOut { .. } => seen.timeout.store(true, Ordering::SeqCst),
                _ => seen.other.store(true, Ordering::SeqCst),
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "failures"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TaskName;
    use crate::event::Usage;

    fn seen(failures: &[Failure]) -> bool {
        let (mut observer, kinds) = Failures::new();
        for failure in failures {
            let event = Event::TaskFinished {
                task: TaskName::parse("a").expect("a good name"),
                outcome: Outcome::Failed { failure: failure.clone() },
                usage: Usage::default(),
                reasons: Vec::new(),
            };
            let event = Stamped { seq: 1, time_ns: 0, run: "r".into(), event };
            observer.observe(&event).expect("nothing can fail");
        }
        kinds.only_timeouts()
    }

    #[test]
    fn only_timeouts_means_some_and_nothing_else() {
        let timeout = Failure::TimedOut { after_ms: 1 };
        let exit = Failure::Exit { code: 1, withheld: Vec::new() };
        assert!(!seen(&[]));
        assert!(seen(&[timeout.clone(), timeout.clone()]));
        assert!(!seen(&[timeout, exit]));
    }
}
