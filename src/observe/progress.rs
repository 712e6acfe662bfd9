//! The progress of a run at the bottom of a terminal: a bar, and the tasks that run.
//!
//! Redraws itself from a thread of its own, since ages and estimates change without events.

mod display;
mod early;
mod fold;
mod frame;

use std::io::{self, Write};
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::paint::Paint;
use crate::base::clock;
use crate::event::{Event, Observer, Stamped};
use display::{Display, Terminal};
use early::Early;
use frame::{Size, Style};

/// Between two looks at what is to be drawn. What ends sooner is never seen.
const TICK: Duration = Duration::from_millis(100);
/// Where the terminal does not know.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// The listener. Erases the display when the run ends, and when it is dropped.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
    early: Option<Early>,
}

#[derive(Debug)]
struct Shared {
    display: Mutex<Display>,
    over: Condvar,
}

impl Progress {
    /// On stderr, which must be a terminal. `unicode`: it shows more than ASCII.
    pub fn on_stderr(paint: Paint, unicode: bool) -> Self {
        let terminal = Terminal { out: Box::new(io::stderr()), size: Box::new(stderr_size) };
        let mut progress = Self::new(terminal, Style { paint, unicode });
        progress.early = Some(Early::watch());
        let shared = Arc::clone(&progress.shared);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            shared.clear_way();
            before(panic);
        }));
        progress
    }

    fn new(terminal: Terminal, style: Style) -> Self {
        let display = Mutex::new(Display::new(terminal, style));
        let shared = Arc::new(Shared { display, over: Condvar::new() });
        let ticking = Arc::clone(&shared);
        // A machine out of threads shows no progress.
        let ticker = thread::Builder::new().name("progress".into()).spawn(move || ticking.tick());
        if ticker.is_err() {
            // Nothing would be passed on by time alone.
            shared.lock().end();
        }
        Self { shared, ticker: ticker.ok(), early: None }
    }

    /// A writer for lines above the display.
    pub fn above(&self) -> Above {
        Above(Arc::clone(&self.shared))
    }

    fn end(&mut self) {
        self.shared.lock().end();
        self.shared.over.notify_all();
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
        self.early = None;
    }
}

fn stderr_size() -> Size {
    match terminal_size::terminal_size_of(io::stderr()) {
        Some((columns, rows)) if columns.0 > 0 && rows.0 > 0 => {
            Size { columns: columns.0.into(), rows: rows.0.into() }
        }
        _ => USUAL,
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Display> {
        self.display.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redraws until the display is over.
    fn tick(&self) {
        let mut display = self.lock();
        while !display.is_over() {
            let waited = self.over.wait_timeout(display, TICK);
            display = waited.unwrap_or_else(PoisonError::into_inner).0;
            display.draw(clock::now_ns());
        }
    }

    /// Erases the display without waiting for anyone: this may be within it.
    fn clear_way(&self) {
        match self.display.try_lock() {
            Ok(mut display) => display.end(),
            Err(TryLockError::Poisoned(display)) => display.into_inner().end(),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        match event.event {
            // What a dry run says is all that it does.
            Event::RunFinished { .. } | Event::RunStarted { dry_run: true, .. } => self.end(),
            // From here on the engine listens for signals.
            Event::RunStarted { .. } => self.early = None,
            _ => {}
        }
        self.shared.lock().fold.fold(event);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "progress"
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes above the display, each piece in one go with what stands below it.
#[derive(Debug)]
pub struct Above(Arc<Shared>);

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().above(bytes, clock::now_ns())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_finds_the_display_gone() {
        let size = Box::new(|| USUAL);
        let terminal = Terminal { out: Box::new(Vec::new()), size };
        let progress = Progress::new(terminal, Style { paint: Paint(false), unicode: false });
        progress.shared.lock().draw(0);
        progress.shared.clear_way();
        assert!(progress.shared.lock().is_over());

        // Also where the panic is in the middle of drawing.
        let held = progress.shared.lock();
        progress.shared.clear_way();
        drop(held);
    }
}
