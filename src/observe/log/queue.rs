//! The queue between those who log and a slow disk: a bounded buffer of whole lines and a thread
//! that empties it. What finds it full is counted and dropped; nobody waits.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait.
const ROOM: usize = 4 << 20;
/// Lines are gathered for so long before they are written in one call, unless one is urgent.
const GATHER: Duration = Duration::from_millis(50);
/// At the end the disk is waited for as long as it takes something within this time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where lines end up.
pub(super) type Write = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Takes lines and never waits.
#[derive(Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to do.
    work: Condvar,
    /// For whoever ends it: something was written, or the thread is over.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// How many lines wait, and how many the thread has in hand.
    lines: u64,
    in_hand: u64,
    urgent: bool,
    closing: bool,
    over: bool,
    /// Pieces of work that the thread has done.
    done: u64,
    dropped: u64,
    /// Lines that were not written, and why the first was not.
    lost: u64,
    problem: Option<String>,
}

/// What became of the lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// There was no room for so many.
    pub(super) dropped: u64,
    /// The disk did not take so many.
    pub(super) lost: u64,
    pub(super) problem: Option<String>,
}

impl Queue {
    /// Starts the thread.
    pub(super) fn start(name: &str, write: Write) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || empty(&own, write))?;
        Ok(Self(shared))
    }

    /// Takes a line with its end. An urgent one is written at once.
    pub(super) fn push(&self, line: &[u8], urgent: bool) {
        let mut state = lock(&self.0);
        if state.waiting.len() + line.len() > ROOM || state.closing {
            state.dropped += 1;
            return;
        }
        let first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        state.lines += 1;
        state.urgent |= urgent;
        if first || urgent {
            self.0.work.notify_one();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        lock(&self.0).dropped
    }

    /// Waits until all is written, unless nothing moves any more.
    pub(super) fn finish(&self) -> Losses {
        let mut state = lock(&self.0);
        state.closing = true;
        self.0.work.notify_one();
        while !state.over {
            let before = state.done;
            let waited = self
                .0
                .progress
                .wait_timeout_while(state, PATIENCE, |state| state.done == before && !state.over);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.done == before && !state.over {
                let stuck = state.lines + state.in_hand;
                state.lost += stuck;
                state.problem.get_or_insert_with(|| "it takes nothing any more".to_owned());
                break;
            }
        }
        Losses { dropped: state.dropped, lost: state.lost, problem: state.problem.clone() }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of the thread.
fn empty(shared: &Shared, mut write: Write) {
    let mut batch = Vec::new();
    loop {
        let mut state = lock(shared);
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closing;
        state = shared.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            state.over = true;
            shared.progress.notify_all();
            return;
        }
        let calm = |state: &mut State| !state.urgent && !state.closing;
        let gathered = shared.work.wait_timeout_while(state, GATHER, calm);
        state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        batch.clear();
        std::mem::swap(&mut batch, &mut state.waiting);
        let lines = std::mem::take(&mut state.lines);
        state.in_hand = lines;
        state.urgent = false;
        drop(state);
        let written = write(&batch);
        let mut state = lock(shared);
        state.in_hand = 0;
        state.done += 1;
        if let Err(error) = written {
            state.lost += lines;
            state.problem.get_or_insert_with(|| error.to_string());
        }
        shared.progress.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn lines_arrive_in_order_and_whole() {
        let (sender, receiver) = mpsc::channel();
        let write = move |bytes: &[u8]| sender.send(bytes.to_vec()).map_err(io::Error::other);
        let queue = Queue::start("test", Box::new(write)).expect("a thread");
        for number in 0..1000 {
            queue.push(format!("{number}\n").as_bytes(), number % 100 == 0);
        }
        assert_eq!(queue.finish(), Losses::default());
        let pieces: Vec<Vec<u8>> = receiver.iter().collect();
        assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(pieces.concat()).expect("text"), expected);
    }

    #[test]
    fn a_disk_that_is_stuck_holds_nobody_up_and_the_rest_is_counted() {
        let (release, stuck) = mpsc::channel::<()>();
        let write = move |_: &[u8]| {
            let _ = stuck.recv();
            Ok(())
        };
        let queue = Queue::start("test", Box::new(write)).expect("a thread");
        let line = [b'x'; 1 << 10];
        for _ in 0..3 * (ROOM / line.len()) {
            queue.push(&line, true);
        }
        let losses = queue.finish();
        assert!(losses.dropped >= (ROOM / line.len()) as u64, "{losses:?}");
        assert_eq!(losses.dropped + losses.lost, 3 * (ROOM / line.len()) as u64);
        assert_eq!(losses.problem.as_deref(), Some("it takes nothing any more"));
        drop(release);
    }

    #[test]
    fn an_error_is_kept_once_and_its_lines_are_counted() {
        let mut calls = 0;
        let write = move |_: &[u8]| {
            calls += 1;
            Err(io::Error::other(format!("error {calls}")))
        };
        let queue = Queue::start("test", Box::new(write)).expect("a thread");
        for _ in 0..10 {
            queue.push(b"x\n", true);
        }
        let losses = queue.finish();
        assert_eq!(losses, Losses { dropped: 0, lost: 10, problem: Some("error 1".into()) });
    }
}
