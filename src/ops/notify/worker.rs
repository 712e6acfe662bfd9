//! The queue of one channel and the thread that empties it: tries, pauses between them, and the
//! end, which waits no longer than it is told to. What there is no room for is counted.
//!
//! Knows nothing of where messages go.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::channel::{Deliver, Refusal};
use crate::base::clock;
use crate::base::text::count;
use crate::event::NoticeKind;
use crate::observe::notify::Notice;

/// How many messages may wait. The end of a run always has room.
const ROOM: usize = 256;
/// Where more wait than these, the end of a run comes before them.
const FEW: usize = 8;
/// How long a pause is at most that we choose.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// For so long the other side is left alone at most where it wants to be.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// How a message is delivered that is not taken at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For one try.
    pub(super) timeout: Duration,
    pub(super) retries: u64,
    pub(super) first_pause: Duration,
}

/// Takes messages and never waits.
pub(super) struct Worker {
    shared: Arc<Shared>,
    /// Until the first message.
    idle: Mutex<Option<Box<dyn Deliver>>>,
    patience: Patience,
    place: String,
    /// How long it takes at most to give up.
    last_words: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Notice>>,
    in_hand: Option<NoticeKind>,
    /// From here on nothing is delivered any more.
    deadline: Option<Instant>,
    /// What is said of what is not delivered by then.
    late: String,
    over: bool,
    lost: u64,
    dropped: u64,
    first: Option<Problem>,
}

/// The first message that was not delivered.
struct Problem {
    kind: NoticeKind,
    why: String,
    help: &'static str,
    tries: u64,
}

impl Worker {
    pub(super) fn new(deliver: Box<dyn Deliver>, patience: Patience) -> Self {
        let (place, last_words) = (deliver.place(), deliver.last_words());
        let idle = Mutex::new(Some(deliver));
        Self { shared: Arc::default(), idle, patience, place, last_words }
    }

    /// The first message starts the thread.
    pub(super) fn push(&self, notice: &Arc<Notice>) {
        {
            let mut state = self.shared.lock();
            let waiting = state.waiting.len();
            if state.over || (waiting >= ROOM && !notice.kind.is_end()) {
                state.dropped += 1;
                return;
            }
            if waiting > FEW && notice.kind.is_end() {
                state.waiting.push_front(Arc::clone(notice));
            } else {
                state.waiting.push_back(Arc::clone(notice));
            }
            self.shared.changed.notify_all();
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(deliver) = idle {
            let (shared, patience) = (Arc::clone(&self.shared), self.patience);
            let life = move || Life { shared: &shared, patience, deliver, rest: None }.live();
            if let Err(error) = thread::Builder::new().name("notify".into()).spawn(life) {
                let mut state = self.shared.lock();
                state.waiting.clear();
                (state.over, state.lost) = (true, 1);
                let why = format!("no thread can be started: {error}");
                state.first = Some(Problem { kind: notice.kind, why, help: "", tries: 0 });
            }
        }
    }

    /// No message comes any more. What is not delivered by then is lost, and `late` said of it.
    pub(super) fn close(&self, deadline: Instant, late: &str) {
        let mut state = self.shared.lock();
        (state.deadline, state.late) = (Some(deadline), late.to_owned());
        self.shared.changed.notify_all();
    }

    /// Waits for the end of all deliveries, and not longer than so; whether it has come.
    pub(super) fn is_over_within(&self, time: Duration) -> bool {
        let state = self.shared.lock();
        if self.idle.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return true;
        }
        let waited = self.shared.changed.wait_timeout_while(state, time, |state| !state.over);
        waited.unwrap_or_else(PoisonError::into_inner).0.over
    }

    /// After the deadline, or the end of all deliveries: what went wrong, in one sentence.
    pub(super) fn finish(&self) -> Option<String> {
        // What can give up in an orderly way does.
        self.is_over_within(self.last_words);
        let mut state = self.shared.lock();
        state.lose_the_rest();
        state.sentence(&self.place)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| clock::instant() >= deadline)
    }

    fn lose(&mut self, problem: Problem) {
        self.lost += 1;
        self.first.get_or_insert(problem);
    }

    fn late(&self, kind: NoticeKind) -> Problem {
        let help = "see whether the other side can be reached, or raise \
                    `notifications.max_wait_seconds`";
        Problem { kind, why: self.late.clone(), help, tries: 0 }
    }

    /// The time is up for what is under way and for all that waits.
    fn lose_the_rest(&mut self) {
        let waiting = self.waiting.drain(..).map(|notice| notice.kind);
        for kind in self.in_hand.take().into_iter().chain(waiting).collect::<Vec<_>>() {
            let problem = self.late(kind);
            self.lose(problem);
        }
    }

    fn sentence(&self, place: &str) -> Option<String> {
        let dropped = || {
            format!(
                "{} had no room, because events come faster than they are delivered: choose \
                 fewer",
                count(usize::try_from(self.dropped).unwrap_or(usize::MAX), "message")
            )
        };
        let Some(Problem { kind, why, help, tries }) = &self.first else {
            return (self.dropped > 0).then(|| format!("{place}: {}", dropped()));
        };
        let mut text = format!("{place}: `{kind}` was not delivered: {why}");
        if *tries > 1 {
            text.push_str(&format!(" (tried {tries} times)"));
        }
        if self.lost > 1 {
            text.push_str(&format!("; {} more are lost", self.lost - 1));
        }
        if self.dropped > 0 {
            text.push_str(&format!("; {}", dropped()));
        }
        if !help.is_empty() {
            text.push_str(&format!("; {help}"));
        }
        Some(text)
    }
}

/// The thread.
struct Life<'a> {
    shared: &'a Shared,
    patience: Patience,
    deliver: Box<dyn Deliver>,
    /// Until then the other side wants to be left alone, by whatever message.
    rest: Option<Instant>,
}

impl Life<'_> {
    fn live(&mut self) {
        // One that is dead is not asked again and again for each message.
        let mut retries = self.patience.retries;
        while let Some(notice) = self.next() {
            let delivered = self.deliver(&notice, retries);
            let mut state = self.shared.lock();
            state.in_hand = None;
            retries = if delivered.is_ok() { self.patience.retries } else { 0 };
            if let Err(problem) = delivered {
                let (place, event) = (self.deliver.place(), problem.kind.name());
                tracing::warn!(place, event, problem = problem.why, "message was not delivered");
                state.lose(problem);
            }
        }
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
    }

    /// The next message; none: the end has come.
    fn next(&self) -> Option<Arc<Notice>> {
        let state = self.shared.lock();
        let calm = |state: &mut State| state.waiting.is_empty() && state.deadline.is_none();
        let waited = self.shared.changed.wait_while(state, calm);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_late() {
            state.lose_the_rest();
        }
        let notice = state.waiting.pop_front()?;
        state.in_hand = Some(notice.kind);
        Some(notice)
    }

    fn deliver(&mut self, notice: &Notice, retries: u64) -> Result<(), Problem> {
        let mut tries = 0;
        loop {
            if let Some(rest) = self.rest {
                if !self.wait_until(rest) {
                    let why = "the other side wants to be left alone for longer".to_owned();
                    return Err(Problem { kind: notice.kind, why, help: "", tries: 0 });
                }
                self.rest = None;
            }
            tries += 1;
            let shared = self.shared;
            let left = shared.lock().deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(clock::instant())
            });
            let limit = self.patience.timeout.min(left).max(Duration::from_millis(1));
            let give_up = || shared.lock().is_late();
            let refusal = match self.deliver.deliver(notice, limit, &give_up) {
                Ok(answer) => {
                    tracing::debug!(event = notice.kind.name(), answer, tries, "message delivered");
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            let now = clock::instant();
            self.rest = refusal.after().map(|after| now + after.min(LONGEST_REST));
            if tries > retries || !refusal.may_pass() || !self.pause(tries) {
                return Err(self.problem(notice.kind, &refusal, tries));
            }
        }
    }

    fn problem(&self, kind: NoticeKind, refusal: &Refusal, tries: u64) -> Problem {
        let state = self.shared.lock();
        // What was cut short by the end says nothing of the other side.
        if state.is_late() && refusal.may_pass() {
            return state.late(kind);
        }
        Problem { kind, why: refusal.to_string(), help: refusal.help(), tries }
    }

    /// Waits before another try; false: the end would come first.
    fn pause(&self, tries: u64) -> bool {
        let doubled = u32::try_from(tries - 1).unwrap_or(u32::MAX).min(16);
        let whole = self.patience.first_pause.saturating_mul(2_u32.pow(doubled));
        // A part of it is chance, so that many do not come back at the same moment.
        let chance = u32::try_from(clock::now_ns().rem_euclid(256)).unwrap_or(0);
        let pause = whole.saturating_sub(whole * chance / 1024);
        let again = clock::instant() + pause.min(LONGEST_PAUSE);
        self.wait_until(self.rest.map_or(again, |rest| rest.max(again)))
    }

    /// False: the end would come first.
    fn wait_until(&self, again: Instant) -> bool {
        let in_time = |state: &State| state.deadline.is_none_or(|deadline| deadline > again);
        let mut state = self.shared.lock();
        loop {
            let left = again.saturating_duration_since(clock::instant());
            if !in_time(&state) {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;
    use crate::base::http::Fault;
    use crate::base::net::Undelivered;
    use crate::exec::GiveUp;
    use crate::observe::notify::{What, Whence};

    /// Refuses so many times with this status; is held up while the other end of `held` is there.
    struct Fake {
        calls: Arc<AtomicUsize>,
        refuses: usize,
        status: u16,
        after: Option<Duration>,
        held: Option<Receiver<()>>,
    }

    impl Deliver for Fake {
        fn place(&self) -> String {
            "there".to_owned()
        }

        fn deliver(&mut self, _: &Notice, _: Duration, _: GiveUp<'_>) -> Result<String, Refusal> {
            if let Some(held) = &self.held {
                let _ = held.recv();
            }
            if self.calls.fetch_add(1, Ordering::SeqCst) < self.refuses {
                let (fault, said) = (Fault::Status(self.status), String::new());
                return Err(Undelivered::Http { fault, said, after: self.after }.into());
            }
            Ok(String::new())
        }
    }

    fn notice(kind: NoticeKind) -> Arc<Notice> {
        let whence = Arc::new(Whence { folder: "/p".into(), host: "h".into() });
        Arc::new(Notice::new(kind, 0, whence, What::Test))
    }

    /// The calls, and the sentence at the end.
    fn run(fake: Fake, messages: usize, bound: Duration) -> (usize, Option<String>) {
        let calls = Arc::clone(&fake.calls);
        let first_pause = Duration::from_millis(1);
        let patience = Patience { timeout: Duration::from_secs(5), retries: 3, first_pause };
        let worker = Worker::new(Box::new(fake), patience);
        for _ in 0..messages {
            worker.push(&notice(NoticeKind::TaskFailed));
        }
        let deadline = clock::instant() + bound;
        worker.close(deadline, "it is late");
        worker.is_over_within(bound);
        let said = worker.finish();
        (calls.load(Ordering::SeqCst), said)
    }

    fn fake(refuses: usize, status: u16) -> Fake {
        let calls = Arc::default();
        Fake { calls, refuses, status, after: None, held: None }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_is_told_at_once() {
        assert_eq!(run(fake(0, 0), 3, LONG), (3, None));
        assert_eq!(run(fake(2, 503), 1, LONG), (3, None));
        let (calls, said) = run(fake(9, 500), 1, LONG);
        let said = said.expect("it was not delivered");
        assert_eq!(calls, 4);
        assert!(
            said.starts_with(
                "there: `task_failed` was not delivered: the answer was 500 Internal Server \
                 Error (tried 4 times); "
            ),
            "{said}"
        );
        let (calls, said) = run(fake(9, 400), 1, LONG);
        assert_eq!((calls, said.is_some_and(|said| !said.contains("tried"))), (1, true));
    }

    #[test]
    fn one_that_is_dead_is_asked_once_for_each_further_message_and_named_once() {
        let (calls, said) = run(fake(99, 500), 3, LONG);
        assert_eq!(calls, 4 + 1 + 1);
        assert!(said.expect("a sentence").contains("(tried 4 times); 2 more are lost; "));
        // Once it is back, it is asked as patiently as before.
        assert_eq!(run(fake(5, 500), 3, LONG).0, 6);
    }

    #[test]
    fn the_end_does_not_wait_for_one_that_wants_to_be_left_alone_for_longer() {
        let after = Some(Duration::from_secs(30));
        let (calls, said) = run(Fake { after, ..fake(1, 429) }, 1, Duration::from_secs(5));
        assert_eq!(calls, 1);
        assert!(said.expect("a sentence").contains("429 Too Many Requests; "));
        let after = Some(Duration::from_millis(5));
        assert_eq!(run(Fake { after, ..fake(1, 429) }, 1, LONG), (2, None));
    }

    #[test]
    fn one_that_wants_to_be_left_alone_is_spared_the_next_messages_too() {
        for seconds in [30, 3600 * 24 * 365 * 1000] {
            let after = Some(Duration::from_secs(seconds));
            let (calls, said) = run(Fake { after, ..fake(1, 429) }, 3, Duration::from_secs(5));
            assert_eq!(calls, 1);
            let said = said.expect("a sentence");
            assert!(said.contains("429 Too Many Requests; 2 more are lost; "), "{said}");
        }
        // Also where the first has had all its tries.
        let after = Some(Duration::from_millis(5));
        assert_eq!(run(Fake { after, ..fake(4, 429) }, 2, LONG).0, 5);
    }

    #[test]
    fn the_end_waits_no_longer_than_its_bound() {
        let (_holds, held) = mpsc::channel();
        let stuck = Fake { held: Some(held), ..fake(0, 0) };
        let (_, said) = run(stuck, 5, Duration::from_millis(50));
        let said = said.expect("a sentence");
        assert!(said.contains("was not delivered: it is late; 4 more are lost; "), "{said}");
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let (_holds, held) = mpsc::channel();
        let stuck = Fake { held: Some(held), ..fake(0, 0) };
        let (_, said) = run(stuck, ROOM + 10, Duration::from_millis(10));
        let said = said.expect("a sentence");
        // One or none is in hand when the last comes.
        assert!(said.contains("; 9 messages had no room") || said.contains("; 10 messages had no"));
    }

    /// Notes what comes, and takes the first only when the other end is gone.
    struct Noting(Receiver<()>, Sender<NoticeKind>);

    impl Deliver for Noting {
        fn place(&self) -> String {
            "there".to_owned()
        }

        fn deliver(
            &mut self,
            notice: &Notice,
            _: Duration,
            _: GiveUp<'_>,
        ) -> Result<String, Refusal> {
            let _ = self.0.recv();
            self.1.send(notice.kind).expect("it listens");
            Ok(String::new())
        }
    }

    #[test]
    fn the_end_of_a_run_has_room_and_comes_before_the_many_that_wait() {
        let ((go_on, held), (sender, told)) = (mpsc::channel(), mpsc::channel());
        let first_pause = Duration::from_millis(1);
        let patience = Patience { timeout: LONG, retries: 3, first_pause };
        let worker = Worker::new(Box::new(Noting(held, sender)), patience);
        for _ in 0..ROOM + 10 {
            worker.push(&notice(NoticeKind::TaskFailed));
        }
        worker.push(&notice(NoticeKind::RunFailed));
        drop(go_on);
        let deadline = clock::instant() + LONG;
        worker.close(deadline, "it is late");
        assert!(worker.is_over_within(LONG));
        worker.finish().expect("some had no room");
        drop(worker);
        let told: Vec<NoticeKind> = told.iter().collect();
        let at = told.iter().position(|kind| *kind == NoticeKind::RunFailed);
        assert!(at.is_some_and(|at| at <= 1) && told.len() > ROOM, "{at:?} of {}", told.len());
    }

    #[test]
    fn without_a_message_there_is_no_thread_to_wait_for() {
        assert_eq!(run(fake(0, 0), 0, LONG), (0, None));
    }
}
