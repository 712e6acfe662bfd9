//! What listeners cost for the events of a run of 10,000 tasks that all execute, which is how it
//! is said in shares of such a run: benches/overhead.rs measures the whole, where a busy machine
//! hides what is small.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use reprovm::base::fs::rotating::Rotation;
use reprovm::base::{Cancel, TaskName};
use reprovm::event::{
    Emitter, Event, Level, MissReason, Observer, Operation, Outcome, Span, Stamped, Turn, Usage,
    Work,
};
use reprovm::observe::{
    Audit, AuditOptions, Header, Journal, JournalOptions, LogEvents, LogHandle, LogOptions,
    Metrics, Paint, start_log,
};

use super::{digest, empty_folder};

const TASKS: usize = 10_000;

/// The log of the process is one, so all samples are in one file.
#[divan::bench(sample_count = 20)]
fn listeners_log_of_10_000_tasks(bencher: Bencher) {
    static LOG: LazyLock<LogHandle> = LazyLock::new(|| {
        let options = LogOptions {
            level: Level::Info,
            file: Some(empty_folder("log").join("run.log")),
            json: false,
            rotation: Rotation { max_bytes: 1 << 30, keep: 1 },
            console: false,
            paint: Paint(false),
            journal: false,
        };
        start_log(&options).expect("a writable folder")
    });
    assert!(LOG.is_on());
    let events = events();
    // Its thread writes what came in one sample before the next begins, so that nothing is dropped.
    let pause = || std::thread::sleep(Duration::from_millis(100));
    bencher.counter(ItemsCount::new(TASKS)).with_inputs(pause).bench_local_values(|()| {
        tell(&mut LogEvents, &events);
    });
}

/// Makes them and counts, with nobody who listens.
#[divan::bench(sample_count = 20)]
fn events_of_10_000_tasks_alone(bencher: Bencher) {
    let events = events();
    bencher.counter(ItemsCount::new(TASKS)).with_inputs(|| events.clone()).bench_local_values(
        |events| {
            let emitter = Emitter::new("run".to_owned(), Vec::new());
            for stamped in events {
                emitter.emit(stamped.event);
            }
            emitter.summary(Duration::from_secs(1))
        },
    );
}

#[divan::bench(sample_count = 20)]
fn listeners_metrics_of_10_000_tasks(bencher: Bencher) {
    let folder = empty_folder("metrics");
    told(bencher, || Box::new(Metrics::new(folder.join("m.json"), Duration::from_secs(5))));
}

#[divan::bench(sample_count = 20)]
fn listeners_journal_of_10_000_tasks(bencher: Bencher) {
    told(bencher, || {
        let header = Header::new(1, "reprovm manifest.txt".to_owned(), Default::default());
        // A run writes its journal once.
        let (folder, max_bytes) = (empty_folder("journal").to_path_buf(), 1 << 30);
        Box::new(Journal::new(JournalOptions { folder, keep: 1, max_bytes, header }))
    });
}

#[divan::bench(sample_count = 20)]
fn listeners_audit_of_10_000_tasks(bencher: Bencher) {
    let folder = empty_folder("audit");
    let events = events();
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let audit = audit(folder.join("audit.log"));
        let mut listener = audit.listener();
        tell(listener.as_mut(), &events);
        drop(listener);
        let ended = audit.finish(&warned());
        assert!(ended.failed.is_none() && ended.problems.is_empty());
        super::set_aside(&folder.join("audit.log"));
    });
}

fn audit(file: PathBuf) -> Audit {
    let options = AuditOptions {
        file,
        key: None,
        anchor: None,
        syslog: None,
        console: false,
        required: false,
        config: String::new(),
        stop: Cancel::new(),
    };
    Audit::start(options, &warned(), &warned()).expect("a writable folder")
}

/// Any operation will do.
fn warned() -> Operation {
    Operation::Warned { what: "run".to_owned(), problem: "none".to_owned() }
}

/// The listener hears all, and comes to its end.
fn told(bencher: Bencher, make: impl Fn() -> Box<dyn Observer>) {
    let events = events();
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let mut listener = make();
        tell(listener.as_mut(), &events);
        listener.finish().expect("a writable folder");
    });
}

fn tell(listener: &mut dyn Observer, events: &[Stamped]) {
    for event in events {
        listener.observe(event).expect("a writable folder");
    }
}

/// What a run says of tasks of which each is executed.
fn events() -> Vec<Stamped> {
    let mut all = vec![Event::RunStarted {
        version: "1".to_owned(),
        manifest: "manifest.txt".to_owned(),
        project: "/project".to_owned(),
        jobs: 2,
        targets: Vec::new(),
        tasks: TASKS,
        dry_run: false,
        force: true,
        containment: String::new(),
    }];
    for number in 0..TASKS {
        all.extend(of_task(number));
    }
    let stamp = |(at, event): (usize, Event)| Stamped {
        seq: at as u64 + 1,
        time_ns: 1_764_000_000_000_000_000 + at as i64 * 100_000,
        run: "0123456789abcdef".to_owned(),
        event,
    };
    all.into_iter().enumerate().map(stamp).collect()
}

fn of_task(number: usize) -> [Event; 6] {
    let task = TaskName::parse(&format!("t{number}")).expect("a good name");
    let key = digest(number);
    let works = [Work::Key, Work::Lookup, Work::Prepare, Work::Command, Work::Store];
    let span = |(at, work): (usize, Work)| Span { work, at_us: at as u64 * 100, took_us: 100 };
    let spans = works.into_iter().enumerate().map(span).collect();
    let turn = Turn { slot: number % 2, began_ns: 1_764_000_000_000_000_000, took_us: 500, spans };
    let usage = Usage { duration_ms: 1, attempts: 1, ..Usage::default() };
    let reasons = vec![MissReason::Forced];
    [
        Event::TaskQueued { task: task.clone(), after: None },
        Event::CacheMiss { task: task.clone(), key, reasons: reasons.clone() },
        Event::TaskStarted { task: task.clone(), attempt: 1, command: format!("true {number}") },
        Event::CacheStored { task: task.clone(), key, outputs: 0 },
        Event::TaskTimed { task: task.clone(), turn },
        Event::TaskFinished { task, outcome: Outcome::Executed, usage, reasons },
    ]
}
