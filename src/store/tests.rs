//! The store as a whole: forms beside each other, one after the other, damaged, and while they
//! change.

#![expect(clippy::disallowed_methods, reason = "the tests damage files")]

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::base::fs;
use crate::base::{Digest, Hasher};
use crate::config::Algorithm;
use crate::home::Home;

const ALL: [Algorithm; 5] =
    [Algorithm::None, Algorithm::Zlib, Algorithm::Gzip, Algorithm::Lz4, Algorithm::Zstd];

fn store() -> (TempDir, DiskStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = Home::new(Some(folder.path()));
    for made in [home.objects(), home.store_tmp()] {
        fs::create_private_dir(&made).expect("a folder");
    }
    let store = DiskStore::new(&home);
    store.expect_compressed();
    (folder, store)
}

fn with(store: &DiskStore, algorithm: Algorithm) -> DiskStore {
    store.clone().packing(Packing::new(algorithm, 3))
}

fn words(count: usize) -> Vec<u8> {
    (0..count).flat_map(|at| format!("word {}\n", at * 7919 % 10_007).into_bytes()).collect()
}

fn put_file(store: &DiskStore, bytes: &[u8]) -> (Digest, u64) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    file.rewind().expect("a seekable file");
    store.put_file(&mut file, Path::new("x")).expect("room for it")
}

/// The forms in which an object lies there.
fn forms(store: &DiskStore, digest: &Digest) -> Vec<Form> {
    form::present(&store.path(digest)).into_iter().map(|(form, _)| form).collect()
}

fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).expect("an object");
    std::fs::write(path, bytes).expect("a writable folder");
}

fn change(store: &DiskStore, digest: &Digest, algorithm: Algorithm) -> Change {
    let tmp = store.tmp().join(fs::unique_name());
    let packing = Packing::new(algorithm, 3);
    change_form(&store.path(digest), digest, packing, Some(&tmp)).expect("a sound object")
}

#[test]
fn each_setting_writes_its_form_and_reads_all_others() {
    let (_folder, store) = store();
    let mut kept = Vec::new();
    for (at, algorithm) in ALL.into_iter().enumerate() {
        let writer = with(&store, algorithm);
        for large in [false, true] {
            let bytes = words(if large { 200_000 } else { 300 } + at);
            let (digest, size) = put_file(&writer, &bytes);
            assert_eq!((digest, size), (Digest::of(&bytes), bytes.len() as u64));
            assert_eq!(forms(&store, &digest), [writer.packing.form()]);
            kept.push((digest, bytes));
        }
    }
    for algorithm in ALL {
        let reader = with(&store, algorithm);
        for (digest, bytes) in &kept {
            let size = bytes.len() as u64;
            assert!(reader.has(digest, size) && !reader.has(digest, 130));
            assert!(reader.fetch_bytes(digest, size).expect("the object") == *bytes);
            // What is there is not written again in another form.
            assert_eq!(put_file(&reader, bytes), (*digest, size));
            assert_eq!(forms(&store, digest).len(), 1);
        }
    }
    assert_eq!(std::fs::read_dir(store.tmp()).expect("the folder").count(), 0);
}

#[test]
fn what_is_received_is_kept_in_the_form_of_the_settings() {
    let (_folder, store) = store();
    let store = with(&store, Algorithm::Zstd);
    for count in [4, 300, 200_000] {
        let bytes = words(count);
        let digest = Digest::of(&bytes);
        let mut incoming = store.receive(&digest, bytes.len() as u64).expect("room for it");
        incoming.write_all(&bytes).expect("room for it");
        incoming.finish().expect("it is the object");
        let form = if count == 4 { Form::Bare } else { Form::Zstd };
        assert_eq!(forms(&store, &digest), [form]);
        assert!(store.fetch_bytes(&digest, bytes.len() as u64).expect("the object") == bytes);
    }
    assert_eq!(std::fs::read_dir(store.tmp()).expect("the folder").count(), 0);
}

#[test]
fn a_damaged_compressed_object_is_set_aside_and_can_be_put_again() {
    let (_folder, store) = store();
    let bytes = words(400);
    let size = bytes.len() as u64;
    for algorithm in &ALL[1..] {
        let store = with(&store, *algorithm);
        let digest = store.put_bytes(&bytes).expect("room for it");
        let path = store.packing.form().at(&store.path(&digest));
        let good = std::fs::read(&path).expect("the object");
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 4;
        let other = store.packing.pack(&words(399)).expect("words shrink");
        let longer = store.packing.pack(&words(401)).expect("words shrink");
        let cut = good[..good.len() - 1].to_vec();
        for bad in [flipped, other, longer, cut, [&good[..], b"x"].concat(), b"x".to_vec()] {
            replace(&path, &bad);
            let error = store.fetch_bytes(&digest, size).expect_err("damage");
            assert!(
                matches!(&error, FetchError::Damaged { path: at, .. } if *at == path),
                "{algorithm:?}: {error}"
            );
            assert!(matches!(store.fetch_bytes(&digest, size), Err(FetchError::Missing(_))));
            store.put_bytes(&bytes).expect("room for it");
            assert!(store.fetch_bytes(&digest, size).expect("the object") == bytes);
        }
        std::fs::remove_file(&path).expect("the object");
    }
}

#[test]
fn what_cannot_be_the_object_does_not_hide_a_new_one() {
    let (_folder, store) = store();
    let bytes = words(400);
    let digest = Digest::of(&bytes);
    let store = with(&store, Algorithm::Gzip);
    for (in_the_way, form) in [(&b"short"[..], Form::Bare), (b"", Form::Zstd)] {
        let path = form.at(&store.path(&digest));
        fs::create_private_dir(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, in_the_way).expect("a writable folder");
        assert!(!store.has(&digest, bytes.len() as u64));
        put_file(&store, &bytes);
        assert!(store.fetch_bytes(&digest, bytes.len() as u64).expect("the object") == bytes);
        std::fs::remove_file(Form::Gzip.at(&store.path(&digest))).expect("the object");
    }
}

/// Both found that it was not there.
#[test]
fn of_two_runs_that_store_an_object_at_once_in_two_forms_none_takes_it_for_damaged() {
    let (folder, store) = store();
    let bytes = words(400);
    let size = bytes.len() as u64;
    let digest = Digest::of(&bytes);
    let (bare, packed) = (with(&store, Algorithm::None), with(&store, Algorithm::Gzip));
    for (first, second) in [(&bare, &packed), (&packed, &bare)] {
        let mut both = [first, second].map(|one| one.receive(&digest, size).expect("room for it"));
        both.iter_mut().for_each(|one| one.write_all(&bytes).expect("room for it"));
        both.into_iter().for_each(|one| one.finish().expect("it is the object"));
        assert_eq!(forms(&store, &digest), [Form::Bare, Form::Gzip]);
        assert!(!folder.path().join("cas/damaged").exists());
        // The other form may be just what `recompress` removes meanwhile.
        std::fs::remove_file(Form::Gzip.at(&store.path(&digest))).expect("the object");
        assert!(store.fetch_bytes(&digest, size).expect("the object") == bytes);
        std::fs::remove_file(store.path(&digest)).expect("the object");
    }
}

/// Who compresses nothing, where nothing ever was, need not look for what is compressed.
#[test]
fn a_compressed_object_is_not_stored_bare_as_well_once_somebody_has_compressed_here() {
    let (folder, store) = store();
    let mark = folder.path().join("cas/compressed");
    std::fs::remove_file(&mark).expect("it is there");
    let bytes = words(400);
    with(&store, Algorithm::None).put_bytes(&bytes).expect("room for it");
    assert!(!mark.exists());
    let other = words(300);
    let digest = with(&store, Algorithm::Gzip).put_bytes(&other).expect("room for it");
    assert!(mark.exists());
    with(&store, Algorithm::None).put_bytes(&other).expect("room for it");
    assert_eq!(forms(&store, &digest), [Form::Gzip]);
    // Without it all is found, and stored once more.
    std::fs::remove_file(&mark).expect("it is there");
    let bare = with(&store, Algorithm::None);
    assert!(bare.has(&digest, other.len() as u64));
    bare.put_bytes(&other).expect("room for it");
    assert_eq!(forms(&store, &digest), [Form::Bare, Form::Gzip]);
    assert!(bare.fetch_bytes(&digest, other.len() as u64).expect("the object") == other);
}

#[test]
fn each_form_becomes_each_other() {
    let (_folder, store) = store();
    let bytes = words(400);
    for from in ALL {
        for to in ALL {
            let digest = with(&store, from).put_bytes(&bytes).expect("room for it");
            let changed = change(&store, &digest, to);
            let form = Packing::new(to, 3).form();
            assert_eq!((forms(&store, &digest), changed.form), (vec![form], form));
            assert_eq!(changed.outcome == Outcome::AsItWas, from == to);
            assert_eq!(change(&store, &digest, to).outcome, Outcome::AsItWas);
            let size = bytes.len() as u64;
            assert!(store.fetch_bytes(&digest, size).expect("the object") == bytes);
            std::fs::remove_file(form.at(&store.path(&digest))).expect("the object");
        }
    }
}

#[test]
fn of_two_forms_a_sound_one_stays() {
    let (_folder, store) = store();
    let bytes = words(400);
    let size = bytes.len() as u64;
    let digest = store.put_bytes(&bytes).expect("room for it");
    let bare = store.path(&digest);
    let packed = Packing::new(Algorithm::Zstd, 3).pack(&bytes).expect("words shrink");
    let second = Form::Zstd.at(&bare);
    std::fs::write(&second, &packed).expect("a writable folder");
    assert!(store.fetch_bytes(&digest, size).expect("the object") == bytes);
    let changed = change(&store, &digest, Algorithm::Zstd);
    assert_eq!((changed.outcome, changed.after), (Outcome::DoubleRemoved, packed.len() as u64));
    assert_eq!(changed.before, size + packed.len() as u64);
    assert_eq!(forms(&store, &digest), [Form::Zstd]);
    // The form that is asked for is there and damaged: the other one is what is left.
    std::fs::write(&bare, &bytes).expect("a writable folder");
    replace(&second, &packed[1..]);
    assert_eq!(change(&store, &digest, Algorithm::Zstd).form, Form::Zstd);
    assert_eq!(forms(&store, &digest), [Form::Zstd]);
    assert!(store.fetch_bytes(&digest, size).expect("the object") == bytes);
    // None is sound: nothing is touched.
    replace(&second, b"x");
    let tmp = store.tmp().join("new");
    let packing = Packing::new(Algorithm::None, 3);
    let error = change_form(&bare, &digest, packing, Some(&tmp)).expect_err("damage");
    assert!(matches!(&error, Flaw::Damaged { path, .. } if *path == second), "{error}");
    assert_eq!(forms(&store, &digest), [Form::Zstd]);
}

/// A run has found the form that goes, and will name the object in a record.
#[test]
fn what_stays_of_two_forms_is_as_young_as_the_one_that_goes() {
    let (_folder, store) = store();
    let bytes = words(400);
    let digest = with(&store, Algorithm::Gzip).put_bytes(&bytes).expect("room for it");
    let (bare, packed) = (store.path(&digest), Form::Gzip.at(&store.path(&digest)));
    std::fs::write(&bare, &bytes).expect("a writable folder");
    let old = std::time::UNIX_EPOCH;
    File::open(&packed).and_then(|file| file.set_modified(old)).expect("our file");
    let made_young = fs::modified_ns(&bare).expect("a time");
    assert_eq!(change(&store, &digest, Algorithm::Gzip).outcome, Outcome::DoubleRemoved);
    assert!(fs::modified_ns(&packed).expect("a time") >= made_young);
}

#[test]
fn a_try_changes_nothing_and_says_what_would_be() {
    let (folder, store) = store();
    let bytes = words(400);
    let digest = store.put_bytes(&bytes).expect("room for it");
    let packing = Packing::new(Algorithm::Gzip, 3);
    std::fs::remove_dir(store.tmp()).expect("an empty folder");
    let tried = change_form(&store.path(&digest), &digest, packing, None).expect("an object");
    assert_eq!(forms(&store, &digest), [Form::Bare]);
    std::fs::create_dir(store.tmp()).expect("a writable folder");
    assert_eq!(change(&store, &digest, Algorithm::Gzip), tried);
    drop(folder);
}

#[test]
fn all_objects_are_listed_whatever_their_form() {
    let (_folder, store) = store();
    let mut expected = Vec::new();
    for (at, algorithm) in ALL.into_iter().enumerate() {
        let bytes = words(300 + at);
        let digest = with(&store, algorithm).put_bytes(&bytes).expect("room for it");
        let form = Packing::new(algorithm, 3).form();
        let raw = (form == Form::Bare).then_some(bytes.len() as u64);
        expected.push((digest, form, raw));
    }
    let folder = store.path(&expected[0].0);
    std::fs::write(folder.with_file_name("notes.gz"), "x").expect("a writable folder");
    expected.sort_unstable();
    let mut found = Vec::new();
    let objects = folder.parent().and_then(Path::parent).expect("a folder");
    stored(objects, |one| {
        assert_eq!(one.path.metadata().expect("the object").len(), one.stored);
        found.push((one.digest, one.form, one.raw()));
    })
    .expect("a readable folder");
    assert_eq!(found, expected);
}

/// The reader of another process looks while the form goes from the last to the first and back.
#[test]
fn a_reader_finds_an_object_whatever_becomes_of_its_form_meanwhile() {
    let (_folder, store) = store();
    let bytes = words(2000);
    let size = bytes.len() as u64;
    let digest = with(&store, Algorithm::Zlib).put_bytes(&bytes).expect("room for it");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..100 {
                let to = [Algorithm::None, Algorithm::Zstd, Algorithm::Zlib][round % 3];
                change(&store, &digest, to);
            }
            over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            assert!(store.has(&digest, size));
            let read = store.fetch_bytes(&digest, size);
            assert!(read.expect("the object") == bytes);
        }
    });
}

/// A gigabyte would do the same, and take longer.
#[test]
fn a_large_object_is_never_in_memory() {
    let peak = || {
        let text = std::fs::read_to_string("/proc/self/status").expect("a process");
        let line = text.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<u64>().expect("a number") >> 10
    };
    let (_folder, store) = store();
    let piece = words(8000);
    let mut file = tempfile::tempfile().expect("a temporary file");
    let mut hasher = Hasher::new();
    let mut length = 0;
    while length < 32 << 20 {
        file.write_all(&piece).expect("room for it");
        hasher.update(&piece);
        length += piece.len() as u64;
    }
    let before = peak();
    let digest = hasher.finish();
    for algorithm in [Algorithm::Zstd, Algorithm::Lz4] {
        let store = with(&store, algorithm);
        file.rewind().expect("a seekable file");
        assert_eq!(store.put_file(&mut file, Path::new("x")).expect("room"), (digest, length));
        let (form, path) = store.find(&digest, length).expect("the object");
        assert_eq!(form, store.packing.form());
        store.fetch(&digest, length, &mut std::io::sink()).expect("the object");
        std::fs::remove_file(path).expect("the object");
    }
    let grown = peak() - before;
    assert!(grown < 16, "{grown} MiB");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn settings_may_change_at_any_time(
        steps in prop::collection::vec(
            (0usize..4, prop::sample::select(&ALL[..]), any::<bool>()),
            1..20,
        ),
    ) {
        let (_folder, store) = store();
        let contents = [words(5), words(100), words(3000), vec![9; 40_000]];
        let mut there = [false; 4];
        for (which, algorithm, changes) in steps {
            let bytes = &contents[which];
            let digest = Digest::of(bytes);
            if changes && there[which] {
                change(&store, &digest, algorithm);
            } else {
                put_file(&with(&store, algorithm), bytes);
                there[which] = true;
            }
            for (bytes, _) in contents.iter().zip(there).filter(|(_, there)| *there) {
                let digest = Digest::of(bytes);
                prop_assert_eq!(forms(&store, &digest).len(), 1);
                let size = bytes.len() as u64;
                prop_assert!(store.fetch_bytes(&digest, size).expect("the object") == *bytes);
            }
        }
    }
}

#[test]
fn a_large_object_is_opened_bare_whatever_its_form() {
    let (_folder, store) = store();
    let bytes = words(3000);
    for algorithm in ALL {
        let digest = with(&store, algorithm).put_bytes(&bytes).expect("room for it");
        let opened = open_bare(&store, &digest, bytes.len() as u64, store.tmp());
        let mut file: File = opened.expect("the object");
        let (found, length) = Digest::of_file(&mut file).expect("a readable file");
        assert_eq!((found, length), (digest, bytes.len() as u64));
        let (_, path) = store.find(&digest, length).expect("the object");
        std::fs::remove_file(path).expect("the object");
    }
}
