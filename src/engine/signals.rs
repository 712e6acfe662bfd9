//! The signals that ask a run to stop, as messages.

use std::io;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use signal_hook::iterator::{Handle, Signals};

use super::drive::Message;
use crate::base::signals;

/// Listens while it lives.
#[derive(Debug)]
pub(super) struct Ears {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Ears {
    /// Each signal is sent on as a message.
    pub(super) fn listen(to: Sender<Message>) -> io::Result<Self> {
        let mut signals = Signals::new(signals::asking_to_stop())?;
        let handle = signals.handle();
        let thread = thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if to.send(Message::Signal(signal)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
