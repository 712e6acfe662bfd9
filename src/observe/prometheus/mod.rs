//! Figures for Prometheus: the page, and a listener that keeps them current while a run goes on.

mod page;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use page::{CONTENT_TYPE, page};

use crate::base::clock;
use crate::event::{Event, Figures, LastRun, Observer, Stamped, Tally};

/// How the figures of earlier runs are had.
type Earlier = Box<dyn Fn() -> Figures + Send>;

/// The figures of a run as it goes on, on top of those of earlier runs. Clones share them.
#[derive(Clone)]
pub struct Live(Arc<Mutex<Inner>>);

struct Inner {
    earlier: Earlier,
    /// None: the run has not begun; it may wait for another one, which will add to them.
    before: Option<Figures>,
    tally: Tally,
    began_ns: i64,
    /// Counted at the end, when the run itself is one.
    is_over: bool,
}

impl Live {
    /// `earlier` is asked when the run has begun, and nobody else can change them any more.
    pub fn new(earlier: impl Fn() -> Figures + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            earlier: Box::new(earlier),
            before: None,
            tally: Tally::new(),
            began_ns: 0,
            is_over: false,
        })))
    }

    /// The listener that keeps them current.
    pub fn listener(&self) -> Box<dyn Observer> {
        Box::new(Listener(self.clone()))
    }

    /// The figures now, the cache aside.
    pub fn figures(&self) -> Figures {
        let inner = self.lock();
        let Some(before) = &inner.before else { return (inner.earlier)() };
        let mut figures = before.clone();
        let now_ns = clock::now_ns();
        let ran = u64::try_from(now_ns - inner.began_ns).unwrap_or(0);
        let so_far = inner.tally.so_far();
        let summary = match inner.is_over {
            true => so_far.clone(),
            false => inner.tally.summary(Duration::from_nanos(ran)),
        };
        match inner.is_over {
            true => figures.totals.add_run(&summary, inner.tally.measures()),
            false => figures.totals.add(&summary, inner.tally.measures()),
        }
        // What the program itself uses is known when it ends.
        let memory_bytes = figures.last.memory_bytes;
        figures.last = LastRun { time_ns: now_ns, memory_bytes, summary };
        figures
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

struct Listener(Live);

impl Observer for Listener {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        let mut inner = self.0.lock();
        match &event.event {
            Event::RunStarted { .. } => {
                inner.before = Some((inner.earlier)());
                inner.began_ns = event.time_ns;
            }
            Event::RunFinished { .. } => inner.is_over = true,
            _ => {}
        }
        inner.tally.fold(event);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "prometheus"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::event::{Summary, Totals};

    fn tell(listener: &mut Box<dyn Observer>, event: Event) {
        let stamped = Stamped { seq: 1, time_ns: clock::now_ns(), run: "r".into(), event };
        listener.observe(&stamped).expect("nothing can fail");
    }

    fn started(tasks: usize) -> Event {
        Event::RunStarted {
            version: String::new(),
            manifest: String::new(),
            project: String::new(),
            jobs: 1,
            targets: Vec::new(),
            tasks,
            dry_run: false,
            force: false,
            containment: String::new(),
        }
    }

    #[test]
    fn a_run_adds_to_what_was_there_when_it_began() {
        let tasks = Arc::new(AtomicU64::new(10));
        let seen = Arc::clone(&tasks);
        let live = Live::new(move || Figures {
            totals: Totals { tasks: seen.load(Ordering::SeqCst), ..Totals::default() },
            ..Figures::default()
        });
        let mut listener = live.listener();
        assert_eq!(live.figures().totals.tasks, 10);
        // Another run ends, and ours begins.
        tasks.store(20, Ordering::SeqCst);
        tell(&mut listener, started(3));
        assert_eq!((live.figures().totals.tasks, live.figures().totals.runs_succeeded), (23, 0));
        let summary = Summary { total: 3, elapsed_ms: 7, ..Summary::default() };
        tell(&mut listener, Event::RunFinished { summary });
        // What is kept of our run now is not counted again.
        tasks.store(23, Ordering::SeqCst);
        let figures = live.figures();
        assert_eq!((figures.totals.tasks, figures.totals.runs_succeeded), (23, 1));
        assert_eq!(figures.last.summary.elapsed_ms, 7);
    }
}
