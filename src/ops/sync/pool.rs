//! The same work for many things on a few threads: nearly all of it is waiting for answers.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::ops::types::Error;

/// How many requests are under way at a time.
const THREADS: usize = 16;

/// Does the work for each, and returns what came of them in their order. After an error nothing
/// more is begun, and the first one is returned.
pub(super) fn each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Mutex<Vec<(usize, Result<R, Error>)>> = Mutex::default();
    let serve = || {
        while !stopped.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let result = work(item);
            if result.is_err() {
                stopped.store(true, Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS.min(items.len()) {
            // A machine out of threads does it with fewer.
            let _ = std::thread::Builder::new().name("sync".into()).spawn_scoped(scope, serve);
        }
        serve();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_once_and_stay_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&items, |item| Ok(item * 2)).expect("no error"), {
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        });
        assert!(each(&Vec::<u8>::new(), |_| Ok(())).expect("no error").is_empty());
    }

    #[test]
    fn an_error_ends_it() {
        let begun = AtomicUsize::new(0);
        let items: Vec<usize> = (0..100_000).collect();
        let ended = each(&items, |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Error::Busy { holder: None })
        });
        assert!(ended.is_err() && begun.into_inner() <= THREADS);
    }
}
