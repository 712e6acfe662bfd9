//! Collecting while others put things there: no record names what is gone.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use super::*;
use crate::base::{Kind, RelPath};
use crate::cache::recipe::RecipeBuilder;
use crate::cache::record::{Output, Record};
use crate::event::Usage;
use crate::store::User;

const HOUR: u64 = 3600;

struct Cache {
    _folder: tempfile::TempDir,
    home: Home,
    store: DiskStore,
    records: Records,
}

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = Home::new(Some(folder.path()));
        for made in [home.objects(), home.store_tmp(), home.records()] {
            fs::create_private_dir(&made).expect("a folder");
        }
        let (store, records) = (DiskStore::new(&home), Records::new(&home));
        Self { _folder: folder, home, store, records }
    }

    fn put(&self, bytes: &[u8]) -> Digest {
        self.store.put_bytes(bytes).expect("room for it")
    }

    /// The record of a task with this command that made one file.
    fn record(&self, command: &str, bytes: &[u8]) -> Digest {
        let mut recipe = RecipeBuilder::new();
        recipe.command(command);
        let path = RelPath::parse(b"out").expect("a good path");
        let (size, digest) = (bytes.len() as u64, Digest::of(bytes));
        let record = Record {
            recipe: recipe.finish(),
            outputs: vec![Output { path, kind: Kind::File, mode: 0o644, size, digest }],
            log: Digest::of(b""),
            log_size: 0,
            usage: Usage::default(),
        };
        let key = record.recipe.key();
        self.records.put(&key, &record).expect("room for it");
        key
    }

    fn rules(&self, limit: Option<u64>, ttl_hours: u64) -> Rules {
        let settings = Cache::settings(ttl_hours);
        Rules { limit, ..Rules::new(&settings, &self.home) }
    }

    fn settings(ttl_hours: u64) -> crate::config::Cache {
        crate::config::Cache {
            cache_dir: PathBuf::new(),
            max_cache_size_mb: crate::config::Limit(None),
            cache_ttl_hours: crate::config::Limit(Some(ttl_hours)),
        }
    }

    fn collect(&self, rules: &Rules) -> Garbage {
        let done = collect(&self.home, rules, false, &|_| false);
        assert!(done.problems.is_empty(), "{:?}", done.problems);
        done
    }

    #[track_caller]
    fn assert_no_record_dangles(&self) {
        for key in self.records.keys().expect("the keys") {
            let (_, record) = self.records.load(&key).expect("a whole record");
            for (digest, size) in record.objects() {
                assert!(self.store.has(&digest, size), "{} is gone", digest.short());
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test sets the times of files")]
fn age(path: &Path, hours: u64) {
    let time = SystemTime::now() - Duration::from_secs(hours * HOUR);
    File::open(path).and_then(|file| file.set_modified(time)).expect("a file of ours");
}

/// An object is there and old; a run finds it there and does not write it again, and names it in
/// a record, while it is collected.
#[test]
fn what_is_put_while_it_is_collected_is_there_when_its_record_is() {
    const OBJECTS: usize = 32;
    let mut removed = 0;
    for round in 0..4 {
        let cache = Cache::new();
        let all: Vec<Vec<u8>> = (0..OBJECTS).map(|i| format!("{round} {i}").into_bytes()).collect();
        for (number, bytes) in all.iter().enumerate() {
            let digest = cache.put(bytes);
            // Half of them are held by records that are too old, half are orphans.
            if number % 2 == 0 {
                let key = cache.record(&format!("old {number}"), bytes);
                age(&cache.records.path(&key), 100);
            }
            age(&cache.store.path(&digest), 100);
        }
        let mut sorted = all.clone();
        sorted.sort_by_key(|bytes| Digest::of(bytes));
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            let collector = scope.spawn(|| {
                start.wait();
                cache.collect(&cache.rules(None, 10)).totals.objects
            });
            for writer in 0..2 {
                let (cache, start, sorted) = (&cache, &start, &sorted);
                scope.spawn(move || {
                    let user = User::enter(&cache.home).expect("a file of ours");
                    start.wait();
                    // Against the order of the collector, so that they meet.
                    for (number, bytes) in sorted.iter().enumerate().rev() {
                        cache.put(bytes);
                        cache.record(&format!("new {writer} {number}"), bytes);
                    }
                    drop(user);
                });
            }
            removed += collector.join().expect("no panic");
        });
        cache.assert_no_record_dangles();
        assert_eq!(cache.records.keys().expect("the keys").len() % 2, 0);
    }
    assert!(removed > 0, "nothing was collected in any round");
}

/// The record is used between the look at it and its removal.
#[test]
fn what_is_used_after_it_was_looked_at_stays() {
    let cache = Cache::new();
    cache.put(b"x");
    let key = cache.record("c", b"x");
    let path = cache.records.path(&key);
    age(&path, 100);
    let seen = fs::modified_ns(&path).expect("a time");
    cache.records.used(&key, seen + 1);
    let aside = Aside::new(&cache.home);
    aside.prepare().expect("a folder");
    assert_eq!(aside.sweep(&path, seen).expect("a removal"), Swept::Kept);
    cache.records.load(&key).expect("the record");
    let now = fs::modified_ns(&path).expect("a time");
    assert_eq!(aside.sweep(&path, now).expect("a removal"), Swept::Gone);
    assert_eq!(aside.sweep(&path, now).expect("a removal"), Swept::Kept);
    assert!(fs::names(&cache.home.going()).expect("the folder").is_empty());
}

/// One that is killed between the two may have moved something that is needed.
#[test]
fn what_a_dead_collection_has_moved_aside_comes_back() {
    let cache = Cache::new();
    let digest = cache.put(b"x");
    let key = cache.record("c", b"x");
    let aside = Aside::new(&cache.home);
    aside.prepare().expect("a folder");
    for (path, name) in [
        (cache.store.path(&digest), format!("object-{}", digest.hex())),
        (cache.records.path(&key), format!("record-{}", key.hex())),
    ] {
        fs::rename(&path, &cache.home.going().join(name)).expect("a move");
    }
    cache.collect(&cache.rules(None, 10));
    assert_eq!(cache.records.keys().expect("the keys"), [key]);
    cache.assert_no_record_dangles();
    assert!(!cache.home.going().exists());
}

#[test]
fn what_is_younger_than_the_oldest_run_at_work_stays() {
    let cache = Cache::new();
    cache.put(b"x");
    let key = cache.record("c", b"x");
    for path in [cache.records.path(&key), cache.store.path(&Digest::of(b"x"))] {
        age(&path, 20);
    }
    let user = User::enter(&cache.home).expect("a file of ours");
    let name = fs::names(&cache.home.users()).expect("the folder").remove(0);
    age(&cache.home.users().join(name), 21);
    let rules = cache.rules(Some(1), 10);
    let done = cache.collect(&rules);
    assert_eq!((done.totals.records, done.totals.objects), (0, 0));
    assert!(done.totals.is_over());
    drop(user);
    let done = cache.collect(&cache.rules(Some(1), 10));
    assert_eq!((done.totals.records, done.totals.objects), (1, 1));
    assert_eq!((done.totals.kept_bytes, done.totals.kept_files), (Some(0), Some(0)));
}

/// The file of the lock is not there before the first collection.
#[test]
fn while_a_cache_is_read_that_was_never_collected_no_collection_begins() {
    let cache = Cache::new();
    let patience = Duration::ZERO;
    let held = hold_off_gc(&cache.home, patience, || {}).expect("no other");
    assert!(held.is_some() && lock::try_alone(&cache.home).expect("a lock").is_none());
    let second = hold_off_gc(&cache.home, patience, || {}).expect("one beside it");
    drop((held, second));
    let alone = lock::try_alone(&cache.home).expect("a lock");
    assert!(alone.is_some() && hold_off_gc(&cache.home, patience, || {}).is_err());
    let nowhere = Home::new(Some(&cache.home.cache_dir().join("nothing")));
    assert!(hold_off_gc(&nowhere, patience, || {}).expect("no other").is_none());
    assert!(!nowhere.cache_dir().exists());
}

/// `libc` does not have it.
const F_SETSIG: libc::c_int = 10;

/// As long as it lives, the file cannot be read, by whoever it is: to open it would wait.
struct Unreadable(File);

impl Unreadable {
    fn new(path: &Path) -> Self {
        let file = File::open(path).expect("a file of ours");
        for (command, value) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)] {
            // SAFETY: both take a number, and the descriptor is open.
            let done = unsafe { libc::fcntl(file.as_raw_fd(), command, value) };
            assert_eq!(done, 0, "a lease: {}", std::io::Error::last_os_error());
        }
        assert!(fs::read_regular(path, 1000).is_err());
        Self(file)
    }
}

impl Drop for Unreadable {
    fn drop(&mut self) {
        // SAFETY: it takes a number, and the descriptor is open.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}

/// Its objects are no orphans, though nobody can say that it needs them.
#[test]
fn while_a_record_cannot_be_read_no_orphan_goes() {
    let cache = Cache::new();
    let held = cache.put(b"held");
    let orphan = cache.put(b"orphan");
    let key = cache.record("c", b"held");
    for path in [cache.store.path(&held), cache.store.path(&orphan), cache.records.path(&key)] {
        age(&path, 2);
    }
    let rules = cache.rules(None, 10);
    let unreadable = Unreadable::new(&cache.records.path(&key));
    let done = collect(&cache.home, &rules, false, &|_| false);
    assert_eq!((done.totals.files(), done.problems.len()), (0, 1), "{:?}", done.problems);
    assert!(done.problems[0].contains("what no record names stays"), "{:?}", done.problems);
    drop(unreadable);
    // The same of another version of the program, which is nothing wrong.
    let path = cache.records.path(&key);
    let good = fs::read(&path).expect("the record");
    let mut other = good.clone();
    other[7] += 1;
    fs::write_atomic(&path, &other).expect("room for it");
    age(&path, 2);
    let done = cache.collect(&rules);
    assert_eq!((done.totals.files(), done.notes.len()), (0, 1), "{:?}", done.notes);
    fs::write_atomic(&path, &good).expect("room for it");
    let done = cache.collect(&rules);
    assert_eq!((done.totals.objects, done.totals.records), (1, 0));
    cache.assert_no_record_dangles();
    assert_eq!(cache.records.keys().expect("the keys"), [key]);
    // Of what is damaged for ever nobody needs anything.
    fs::write_atomic(&path, b"no record").expect("room for it");
    assert_eq!(cache.collect(&rules).totals.objects, 1);
}

/// What keeps them goes first where the cache is too large, and they with the last of it.
#[test]
fn orphans_go_with_the_last_record_that_may_need_them() {
    let cache = Cache::new();
    let (other, ours) = (cache.put(&[1; 900]), cache.put(&[2; 900]));
    let keys = [cache.record("other", &[1; 900]), cache.record("ours", &[2; 900])];
    for (at, digest) in [other, ours].iter().enumerate() {
        let path = cache.records.path(&keys[at]);
        let mut bytes = fs::read(&path).expect("the record");
        bytes[7] += u8::from(at == 0);
        fs::write_atomic(&path, &bytes).expect("room for it");
        age(&path, 5 - at as u64);
        age(&cache.store.path(digest), 5);
    }
    assert_eq!(cache.collect(&cache.rules(Some(5000), 10)).totals.files(), 0);
    let done = cache.collect(&cache.rules(Some(2000), 10));
    assert_eq!((done.totals.records, done.totals.objects), (1, 1));
    assert!(!cache.store.has(&other, 900) && cache.store.has(&ours, 900));
    assert!(done.notes.is_empty(), "{:?}", done.notes);
}

#[test]
fn while_a_pin_cannot_be_read_no_record_goes_that_may_be_pinned() {
    let cache = Cache::new();
    let digest = cache.put(b"x");
    let key = cache.record("c", b"x");
    for path in [cache.store.path(&digest), cache.records.path(&key)] {
        age(&path, 20);
    }
    let pin = cache.home.pins().join("0123456789abcdef");
    fs::create_private_dir(&cache.home.pins()).expect("a folder");
    fs::write_atomic(&pin, format!("p\nm\nt\n{}\n", key.hex()).as_bytes()).expect("room for it");
    let unreadable = Unreadable::new(&pin);
    for limit in [None, Some(1)] {
        let done = collect(&cache.home, &cache.rules(limit, 10), false, &|_| false);
        assert_eq!((done.totals.files(), done.problems.len()), (0, 1), "{:?}", done.problems);
        assert!(done.problems[0].contains("may be pinned"), "{:?}", done.problems);
    }
    drop(unreadable);
    assert_eq!(cache.collect(&cache.rules(Some(1), 10)).totals.files(), 0);
    fs::remove_file(&pin).expect("the pin");
    assert_eq!(cache.collect(&cache.rules(Some(1), 10)).totals.files(), 2);
}

#[test]
fn one_that_is_stopped_leaves_nothing_wrong() {
    let cache = Cache::new();
    for number in 0..8 {
        let bytes = format!("{number}").into_bytes();
        let digest = cache.put(&bytes);
        age(&cache.records.path(&cache.record(&format!("c {number}"), &bytes)), 100);
        age(&cache.store.path(&digest), 100);
    }
    let rules = cache.rules(None, 10);
    for after in 0.. {
        let asked = std::cell::Cell::new(0);
        let stop = |_| {
            asked.set(asked.get() + 1);
            asked.get() > after
        };
        let done = collect(&cache.home, &rules, false, &stop);
        cache.assert_no_record_dangles();
        if !done.totals.unfinished {
            assert!(after > 8);
            break;
        }
    }
    assert!(cache.records.keys().expect("the keys").is_empty());
    assert_eq!(std::fs::read_dir(cache.home.store_tmp()).expect("the folder").count(), 0);
}

/// There is time for so many questions whether to stop while it is found out what goes.
fn collect_after(cache: &Cache, rules: &Rules, questions: usize) -> Garbage {
    let asked = std::cell::Cell::new(0);
    let stop = |step| {
        asked.set(asked.get() + usize::from(step == Step::Look));
        step == Step::Look && asked.get() > questions
    };
    let done = collect(&cache.home, rules, false, &stop);
    assert!(done.problems.is_empty(), "{:?}", done.problems);
    cache.assert_no_record_dangles();
    done
}

/// Eight records of this age, each with an object of its own.
fn eight(hours: u64) -> Cache {
    let cache = Cache::new();
    for number in 0..8 {
        let bytes = [number; 1000];
        age(&cache.store.path(&cache.put(&bytes)), hours);
        age(&cache.records.path(&cache.record(&format!("c {number}"), &bytes)), hours);
    }
    cache
}

#[test]
fn a_cache_for_which_there_is_no_time_becomes_smaller_all_the_same() {
    let shelves = |cache: &Cache| {
        let count = |folder: PathBuf| fs::names(&folder).expect("the folder").len();
        count(cache.home.objects()) + count(cache.home.records())
    };
    // No record was read, and none must be to be too old.
    let cache = eight(100);
    let done = collect_after(&cache, &cache.rules(None, 10), shelves(&cache));
    assert_eq!((done.totals.records, done.totals.objects), (8, 0));
    assert!(done.totals.unfinished && done.totals.pinned_bytes.is_none());
    let done = cache.collect(&cache.rules(None, 10));
    assert_eq!((done.totals.objects, done.totals.kept_bytes), (8, Some(0)));
    // Of too much, what was chosen so far goes with its objects.
    let cache = eight(100);
    let done = collect_after(&cache, &cache.rules(Some(1), 1000), shelves(&cache) + 8 + 3);
    assert_eq!((done.totals.records, done.totals.objects), (3, 3));
    assert!(done.totals.unfinished && done.totals.is_over());
}

/// The next run would have no more time.
#[test]
fn what_there_was_no_time_to_count_is_not_told_and_holds_the_next_one_off() {
    let cache = eight(100);
    for questions in 0..3 {
        let done = collect_after(&cache, &cache.rules(Some(1), 10), questions);
        let Collected { kept_bytes, kept_files, pinned_bytes, .. } = done.totals;
        assert_eq!((kept_bytes, kept_files, pinned_bytes), (None, None, None));
        let guess = size::read(&cache.home).expect("a note");
        assert_eq!(guess.counted, None);
        let settings = Cache::settings(10);
        assert!(collect_after_run(&cache.home, &settings, 1, &|| false).is_none());
    }
    assert_eq!(cache.records.keys().expect("the keys").len(), 8);
}

#[test]
fn what_went_is_told_also_where_something_could_not_go() {
    let cache = eight(100);
    let key = cache.records.keys().expect("the keys")[0];
    age(&cache.records.path(&key), 1);
    let _unreadable = Unreadable::new(&cache.records.path(&key));
    let ran = collect_after_run(&cache.home, &Cache::settings(10), 1, &|| false);
    let done = ran.expect("something went");
    assert_eq!((done.records, done.objects), (7, 7));
    let kept = done.kept_bytes.filter(|kept| *kept > 0).expect("it was counted");
    assert_eq!(size::read(&cache.home).and_then(|guess| guess.counted), Some(kept));
}

/// What it has in the making may be older than any grace: it is a large object.
#[test]
fn what_recompress_has_in_the_making_goes_only_where_it_is_not_at_work() {
    let cache = Cache::new();
    fs::create_private_dir(&cache.home.recompress()).expect("a folder");
    let lock = fs::open_append(&cache.home.recompress_lock()).expect("a file");
    lock.try_lock().expect("nobody else");
    let making = cache.home.recompress().join(fs::unique_name());
    fs::create_new(&making).expect("a file");
    age(&making, 2);
    assert_eq!(cache.collect(&cache.rules(None, 10)).totals.files(), 0);
    drop(lock);
    assert_eq!(cache.collect(&cache.rules(None, 10)).totals.remains, 1);
    assert!(!making.exists() && cache.home.recompress_lock().exists());
}
