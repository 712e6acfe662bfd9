//! Signals while nothing has begun: they end the process at once, and the display must not stay.
//! Once the run has begun the engine takes them, and the run ends in good order.

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};

use super::display::ERASE;

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Erases the display, and lets the signal do what it does by default. It may call only what is
/// safe within a handler.
extern "C" fn erase(number: libc::c_int) {
    // SAFETY: `write` and `raise` are safe within a handler, and the bytes are constant. The
    // handler is gone once it is called, so the signal that is raised ends the process.
    unsafe {
        libc::write(libc::STDERR_FILENO, ERASE.as_ptr().cast(), ERASE.len());
        libc::raise(number);
    }
}

/// Erases the display from stderr at a signal, while it lives.
#[derive(Debug)]
pub(super) struct Early {
    /// What the signals did before, by [`SIGNALS`].
    before: [Option<SigAction>; 3],
}

impl Early {
    pub(super) fn watch() -> Self {
        Self { before: SIGNALS.map(install) }
    }
}

/// A signal that someone else takes, or that was switched off, is left as it is.
fn install(signal: Signal) -> Option<SigAction> {
    let ours = SigAction::new(SigHandler::Handler(erase), SaFlags::SA_RESETHAND, SigSet::empty());
    // SAFETY: the handler calls only what is safe within one.
    let before = unsafe { signal::sigaction(signal, &ours) }.ok()?;
    if matches!(before.handler(), SigHandler::SigDfl) {
        return Some(before);
    }
    // SAFETY: what was there before is valid.
    let _ = unsafe { signal::sigaction(signal, &before) };
    None
}

impl Drop for Early {
    fn drop(&mut self) {
        for (signal, before) in SIGNALS.iter().zip(&self.before) {
            if let Some(before) = before {
                // SAFETY: what was there before is valid.
                let _ = unsafe { signal::sigaction(*signal, before) };
            }
        }
    }
}
