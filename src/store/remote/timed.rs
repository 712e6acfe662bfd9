//! A remote store that measures how long its requests take, with all their tries.

use std::sync::{Mutex, PoisonError};

use super::{Name, Presence, Remote};
use crate::base::clock::Stopwatch;
use crate::base::http::{HttpError, Payload, Sink};
use crate::event::{Measure, Measures};

/// A store around a store.
#[derive(Debug)]
pub struct Timed {
    inner: Box<dyn Remote>,
    measures: Mutex<Measures>,
}

impl Timed {
    pub(super) fn new(inner: Box<dyn Remote>) -> Self {
        Self { inner, measures: Mutex::default() }
    }

    /// All that was measured so far.
    pub fn measures(&self) -> Measures {
        self.measures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn time<T>(&self, request: impl FnOnce(&dyn Remote) -> T) -> T {
        let watch = Stopwatch::start();
        let answer = request(self.inner.as_ref());
        let mut measures = self.measures.lock().unwrap_or_else(PoisonError::into_inner);
        measures.add(Measure::Remote, watch.elapsed());
        answer
    }
}

impl Remote for Timed {
    fn address(&self, name: &Name) -> String {
        self.inner.address(name)
    }

    fn get(&self, name: &Name, size: u64, into: &mut dyn Sink) -> Result<bool, HttpError> {
        self.time(|remote| remote.get(name, size, into))
    }

    fn look_for(&self, name: &Name) -> Result<Presence, HttpError> {
        self.time(|remote| remote.look_for(name))
    }

    fn put(&self, name: &Name, payload: Payload<'_>) -> Result<(), HttpError> {
        self.time(|remote| remote.put(name, payload))
    }
}
