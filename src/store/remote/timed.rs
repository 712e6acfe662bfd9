//! A remote store that remembers its requests and how long they take, with all their tries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Name, Presence, Remote};
use crate::base::clock::{self, Stopwatch};
use crate::base::http::{HttpError, Payload, Sink};
use crate::event::{Measure, Measures, Request};

/// How many requests are remembered one by one.
const MOST: usize = 10_000;

/// A store around a store.
#[derive(Debug)]
pub struct Timed {
    inner: Box<dyn Remote>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    measures: Measures,
    requests: Vec<Request>,
}

impl Timed {
    pub(super) fn new(inner: Box<dyn Remote>) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    /// All that was measured so far.
    pub fn measures(&self) -> Measures {
        self.seen().measures.clone()
    }

    /// The first requests, in the order of their ends.
    pub fn requests(&self) -> Vec<Request> {
        self.seen().requests.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time<T>(
        &self,
        kind: &'static str,
        name: &Name,
        request: impl FnOnce(&dyn Remote) -> T,
    ) -> T {
        let (began_ns, watch) = (clock::now_ns(), Stopwatch::start());
        let answer = request(self.inner.as_ref());
        let took = watch.elapsed();
        let mut seen = self.seen();
        seen.measures.add(Measure::Remote, took);
        if seen.requests.len() < MOST {
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            seen.requests.push(Request { kind, name: name.path(), began_ns, took_us });
        }
        answer
    }
}

impl Remote for Timed {
    fn address(&self, name: &Name) -> String {
        self.inner.address(name)
    }

    fn get(&self, name: &Name, size: u64, into: &mut dyn Sink) -> Result<bool, HttpError> {
        self.time("get", name, |remote| remote.get(name, size, into))
    }

    fn look_for(&self, name: &Name) -> Result<Presence, HttpError> {
        self.time("look", name, |remote| remote.look_for(name))
    }

    fn put(&self, name: &Name, payload: Payload<'_>) -> Result<(), HttpError> {
        self.time("put", name, |remote| remote.put(name, payload))
    }
}
