//! Signals while nothing has begun: they end the process at once, and the display must not stay.
//! Once someone else takes them (the engine, so that a run ends in good order) they are theirs.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};

use super::display::ERASE;

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Whether there is a display to erase. Who took a signal after us may still call our handler.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// Erases the display, and lets the signal do what it does by default unless someone else takes
/// it. It may call only what is safe within a handler.
extern "C" fn erase(number: libc::c_int) {
    if !WATCHING.load(Ordering::SeqCst) {
        return;
    }
    // SAFETY: all calls are safe within a handler, the bytes are constant, and an all-zero
    // `sigaction` is a valid value of that plain C struct that means the default.
    unsafe {
        libc::write(libc::STDERR_FILENO, ERASE.as_ptr().cast(), ERASE.len());
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &raw mut now);
        if now.sa_sigaction == erase as *const () as usize {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(number, &raw const default, std::ptr::null_mut());
            libc::raise(number);
        }
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
        WATCHING.store(true, Ordering::SeqCst);
        Self { before: SIGNALS.map(install) }
    }
}

/// A signal that someone else takes, or that was switched off, is left as it is.
fn install(signal: Signal) -> Option<SigAction> {
    let ours = SigAction::new(SigHandler::Handler(erase), SaFlags::empty(), SigSet::empty());
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
        WATCHING.store(false, Ordering::SeqCst);
        for (signal, before) in SIGNALS.iter().zip(&self.before) {
            let Some(before) = before else { continue };
            // SAFETY: what was there before is valid.
            let Ok(now) = (unsafe { signal::sigaction(*signal, before) }) else { continue };
            if !matches!(now.handler(), SigHandler::Handler(handler) if std::ptr::fn_addr_eq(handler, erase as extern "C" fn(i32)))
            {
                // Someone has taken the signal meanwhile: it stays theirs.
                // SAFETY: what was there a moment ago is valid.
                let _ = unsafe { signal::sigaction(*signal, &now) };
            }
        }
    }
}
