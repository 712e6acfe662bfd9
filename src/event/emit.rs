//! The stream: stamps events and hands them to the observers.
//!
//! Until the stream is set going, observers are called at once, in the emitting thread: a run
//! with nothing to do starts no thread. After that one thread delivers, from a bounded queue, so
//! that a slow terminal holds up no task; what finds the queue full is dropped and counted.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Event, Measures, Summary, Tally};
use crate::base::clock;

/// How many events may wait for a slow observer.
const QUEUE: usize = 1 << 16;
/// How long events are gathered before they are delivered. No person sees it, and a thread that
/// is woken for a few events finds nothing of its own in the processor's caches.
const PAUSE: Duration = Duration::from_millis(5);
/// After so long without an event the observers are told that nothing happens.
const QUIET: Duration = Duration::from_millis(20);

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    pub run: String,
    #[serde(flatten)]
    pub event: Event,
}

/// Someone who is told. Called from one thread at a time, in the order of `seq`. An error is
/// final: the observer is not called again, and its message is kept for the run's end.
pub trait Observer: Send {
    fn observe(&mut self, event: &Stamped) -> Result<(), String>;

    /// All that happened has been told, nothing did for a moment, and it may be long until
    /// something does: what is held back for others to see is written.
    fn idle(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// No event comes any more; whatever is held back is written now.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// For the message when it fails.
    fn name(&self) -> &'static str;
}

struct Listeners {
    live: Vec<Box<dyn Observer>>,
    problems: Vec<String>,
}

impl Listeners {
    fn deliver(&mut self, event: &Stamped) {
        self.each(|observer| observer.observe(event));
    }

    fn each(&mut self, tell: impl Fn(&mut dyn Observer) -> Result<(), String>) {
        let problems = &mut self.problems;
        self.live.retain_mut(|observer| match tell(observer.as_mut()) {
            Ok(()) => true,
            Err(problem) => {
                problems.push(format!("{}: {problem}", observer.name()));
                false
            }
        });
    }
}

enum Mode {
    Inline,
    Threaded { sender: Sender<Stamped>, queue: Arc<Queue>, thread: JoinHandle<Option<Listeners>> },
}

/// What both ends of the queue know of it.
#[derive(Default)]
struct Queue {
    waiting: AtomicUsize,
    /// No more events come.
    is_closed: AtomicBool,
}

struct Inner {
    seq: u64,
    run: String,
    tally: Tally,
    /// None only while the mode changes, and after the end.
    listeners: Option<Listeners>,
    mode: Mode,
}

/// Where events go in. Shared by reference between threads.
pub struct Emitter {
    inner: Mutex<Inner>,
    dropped: AtomicU64,
}

impl Emitter {
    /// `run` identifies the run in every event.
    pub fn new(run: String, observers: Vec<Box<dyn Observer>>) -> Self {
        let listeners = Listeners { live: observers, problems: Vec::new() };
        Self {
            inner: Mutex::new(Inner {
                seq: 0,
                run,
                tally: Tally::new(),
                listeners: Some(listeners),
                mode: Mode::Inline,
            }),
            dropped: AtomicU64::new(0),
        }
    }

    /// From here on events are delivered by a thread of their own.
    pub fn go_async(&self) {
        self.deliver_by(thread::Builder::new().name("events".into()));
    }

    fn deliver_by(&self, thread: thread::Builder) {
        let mut inner = self.lock();
        let Some(listeners) = inner.listeners.take() else { return };
        // A channel with a bound takes all of its memory at once: megabytes, and milliseconds.
        let (sender, receiver) = mpsc::channel();
        let queue = Arc::new(Queue::default());
        let taken = Arc::clone(&queue);
        let hand = Arc::new(Mutex::new(Some(listeners)));
        let taker = Arc::clone(&hand);
        let deliver = move || take(&taker).map(|all| deliver_all(all, &receiver, &taken));
        match thread.spawn(deliver) {
            Ok(thread) => inner.mode = Mode::Threaded { sender, queue, thread },
            // On a machine out of threads whoever emits delivers as well.
            Err(_) => inner.listeners = take(&hand),
        }
    }

    /// Stamps and hands on. Never fails; once the stream goes, never waits.
    pub fn emit(&self, event: Event) {
        let mut inner = self.lock();
        inner.seq += 1;
        let stamped =
            Stamped { seq: inner.seq, time_ns: clock::now_ns(), run: inner.run.clone(), event };
        inner.tally.fold(&stamped);
        match &inner.mode {
            Mode::Threaded { sender, queue, .. } => {
                // The end of a run must arrive, however slow the terminal is.
                let is_end = matches!(stamped.event, Event::RunFinished { .. });
                if queue.waiting.load(Ordering::Relaxed) >= QUEUE && !is_end {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                } else {
                    queue.waiting.fetch_add(1, Ordering::Relaxed);
                    // Whoever takes them ends only after this.
                    let _ = sender.send(stamped);
                }
            }
            Mode::Inline => {
                if let Some(listeners) = &mut inner.listeners {
                    listeners.deliver(&stamped);
                }
            }
        }
    }

    /// The totals of all that was emitted, for a run of this length.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        self.lock().tally.summary(elapsed)
    }

    /// How long things took in all that was emitted.
    pub fn measures(&self) -> Measures {
        self.lock().tally.measures().clone()
    }

    /// Waits until all is delivered and ends the observers; what went wrong with them, a line
    /// each. Later events are lost.
    pub fn finish(&self) -> Vec<String> {
        let (mode, listeners) = {
            let mut inner = self.lock();
            (std::mem::replace(&mut inner.mode, Mode::Inline), inner.listeners.take())
        };
        let listeners = match mode {
            Mode::Inline => listeners,
            Mode::Threaded { sender, queue, thread } => {
                drop(sender);
                // Said first: the thread may wait for an event when it is woken, and for the pause
                // after that event then.
                queue.is_closed.store(true, Ordering::Release);
                thread.thread().unpark();
                thread.join().ok().flatten()
            }
        };
        let Some(mut listeners) = listeners else { return Vec::new() };
        for observer in &mut listeners.live {
            if let Err(problem) = observer.finish() {
                listeners.problems.push(format!("{}: {problem}", observer.name()));
            }
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            listeners
                .problems
                .push(format!("{dropped} events were dropped: a listener was too slow"));
        }
        listeners.problems
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that ends early ends its observers too, before anyone says why.
impl Drop for Emitter {
    fn drop(&mut self) {
        self.finish();
    }
}

fn take(hand: &Mutex<Option<Listeners>>) -> Option<Listeners> {
    hand.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn deliver_all(mut listeners: Listeners, receiver: &Receiver<Stamped>, queue: &Queue) -> Listeners {
    while let Some(event) = next(&mut listeners, receiver) {
        queue.waiting.fetch_sub(1, Ordering::Relaxed);
        listeners.deliver(&event);
        for event in receiver.try_iter() {
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
            listeners.deliver(&event);
        }
        // To wake a thread for each event costs more than the event. The end does not wait.
        if !queue.is_closed.load(Ordering::Acquire) {
            thread::park_timeout(PAUSE);
        }
    }
    listeners
}

/// The next event; where none comes soon the listeners are told so, once.
fn next(listeners: &mut Listeners, receiver: &Receiver<Stamped>) -> Option<Stamped> {
    match receiver.recv_timeout(QUIET) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            listeners.each(|observer| observer.idle());
            receiver.recv().ok()
        }
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Emitter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is held up by its first event until it is told to go on.
    struct Slow(mpsc::Receiver<()>, Arc<AtomicUsize>);

    impl Observer for Slow {
        fn observe(&mut self, _: &Stamped) -> Result<(), String> {
            if self.1.fetch_add(1, Ordering::SeqCst) == 0 {
                self.0.recv().map_err(|error| error.to_string())?;
            }
            Ok(())
        }

        fn name(&self) -> &'static str {
            "slow"
        }
    }

    /// Counts what it hears.
    struct Counting(Arc<AtomicUsize>);

    impl Observer for Counting {
        fn observe(&mut self, _: &Stamped) -> Result<(), String> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        fn name(&self) -> &'static str {
            "counting"
        }
    }

    #[test]
    fn where_no_thread_can_be_had_the_listeners_hear_all_the_same() {
        let seen = Arc::new(AtomicUsize::new(0));
        let emitter = Emitter::new("r".into(), vec![Box::new(Counting(Arc::clone(&seen)))]);
        // More than any machine has.
        emitter.deliver_by(thread::Builder::new().stack_size(1 << 60));
        emitter.emit(Event::CancelRequested { signal: 2 });
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        assert!(emitter.finish().is_empty());
    }

    #[test]
    fn what_a_slow_listener_has_no_room_for_is_dropped_and_counted() {
        let (go_on, held) = mpsc::channel();
        let seen = Arc::new(AtomicUsize::new(0));
        let slow = Slow(held, Arc::clone(&seen));
        let emitter = Emitter::new("r".into(), vec![Box::new(slow)]);
        emitter.go_async();
        // One is with the listener, or is the first of those that wait.
        for _ in 0..QUEUE + 100 {
            emitter.emit(Event::CancelRequested { signal: 2 });
        }
        let summary = emitter.summary(Duration::ZERO);
        emitter.emit(Event::RunFinished { summary });
        go_on.send(()).expect("it listens");
        let problems = emitter.finish();
        let seen = seen.load(Ordering::SeqCst);
        assert!((QUEUE + 1..=QUEUE + 2).contains(&seen), "{seen}");
        let dropped = QUEUE + 101 - seen;
        assert_eq!(problems, [format!("{dropped} events were dropped: a listener was too slow")]);
    }

    /// Says how much it was told each time that it is idle.
    struct Gathering(mpsc::Sender<u64>, u64);

    impl Observer for Gathering {
        fn observe(&mut self, event: &Stamped) -> Result<(), String> {
            self.1 = event.seq;
            Ok(())
        }

        fn idle(&mut self) -> Result<(), String> {
            self.0.send(self.1).map_err(|error| error.to_string())
        }

        fn name(&self) -> &'static str {
            "gathering"
        }
    }

    #[test]
    fn a_listener_hears_when_all_has_been_told_though_the_run_goes_on() {
        let (idle, heard) = mpsc::channel();
        let emitter = Emitter::new("r".into(), vec![Box::new(Gathering(idle, 0))]);
        emitter.go_async();
        for last in [1, 4] {
            let count = if last == 1 { 1 } else { 3 };
            (0..count).for_each(|_| emitter.emit(Event::CancelRequested { signal: 2 }));
            // Not before all of them, unless this thread was held up between two.
            assert!(heard.iter().any(|seq| seq == last));
        }
        assert_eq!(emitter.finish(), [""; 0]);
    }
}
