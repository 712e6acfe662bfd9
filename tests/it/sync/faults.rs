//! A remote store that does wrong: what it does is named, takes no more than its time, and nothing
//! of it is stored.

use std::collections::BTreeSet;
use std::time::Duration;

use reprovm::base::{Digest, Kind, RelPath};
use reprovm::cache::record::{Output, Record};

use super::{MANIFEST, built, figures, filled, project};
use crate::support::{Fake, Project, Wrong, assert_store_is_whole, hex_digest, wait_until};

/// What it says of all requests that begin so.
fn always(start: &'static str, wrong: Wrong) -> Fake {
    Fake::wrong(move |request| request.is(start).then(|| wrong.clone()))
}

/// A project that fetches from a store that does wrong: it ends with code 10 and says so, and what
/// the cache has afterwards is right.
#[track_caller]
fn fetch_in_vain(fake: &Fake, said: &[&str]) -> Project {
    fetch_within("30", fake, said)
}

#[track_caller]
fn fetch_within(seconds: &str, fake: &Fake, said: &[&str]) -> Project {
    let mut to = project(&fake.url());
    to.env("REPROVM_REMOTE_CAS_REQUEST_TIMEOUT_SECONDS", seconds);
    let run = to.run(["--sync-from-remote"]);
    run.code(10).within(Duration::from_secs(60));
    for part in said {
        run.stderr_has(part);
    }
    assert_store_is_whole(&to, "fetching in vain");
    to
}

/// The cache of a project that fetched in vain lacks what a run needs, and the run makes it.
#[track_caller]
fn builds(to: &Project) {
    to.run(["-q", "manifest.txt"]).success();
    assert_eq!(to.read("lib.txt"), "HELLO\ntwo\n");
}

/// N1.
#[test]
fn a_server_that_refuses_or_fails_is_named_with_its_answer() {
    let status = |code: u16| always("GET /ac/", Wrong::Status(code, String::new()));
    let cases = [
        (500, "the answer was 500 Internal Server Error (tried 4 times)", "try again later"),
        (429, "the answer was 429 Too Many Requests (tried 4 times)", "try again later"),
        (403, "the answer was 403 Forbidden\n", "`remote_cas.access_key`"),
        (405, "the answer was 405 Method Not Allowed\n", "how it is set up"),
    ];
    for (code, said, help) in cases {
        let fake = status(code);
        let at = format!("cannot fetch `{}/ac/", fake.url());
        let to = fetch_in_vain(&fake, &[&at, said, help]);
        assert!(!to.exists(".reprovm"), "nothing was worth a folder");
    }
}

/// N1: nobody listens, nobody answers, and an answer without an end.
#[test]
fn a_server_that_is_silent_slow_or_gone_takes_no_more_than_its_time() {
    let gone = Fake::new();
    let to = project(&gone.url());
    let port = gone.port;
    drop(gone);
    wait_until("the port to be free", || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    to.run(["--sync-from-remote"]).code(10).stderr_has("no connection: Connection refused");

    for wrong in [Wrong::Silent, Wrong::Drip] {
        fetch_within("1", &always("GET /ac/", wrong), &["it was not done within 1 seconds"]);
    }
    let (whole, _) = filled();
    let slow = always("GET /cas/", Wrong::Drip).filled_as(&whole);
    // It never comes so far: what is announced is far more than the record says.
    builds(&fetch_in_vain(&slow, &["/cas/"]));
}

/// N2: what is cut, other, or without an end.
#[test]
fn a_body_that_is_not_what_it_should_be_is_refused_and_never_stored() {
    let (whole, from) = filled();
    let other = from.bytes("in");
    let longer: Vec<u8> = b"much more than any of the objects has".repeat(100);
    let record = whole.things().into_iter().find(|(path, _)| path.starts_with("/ac/"));
    let (_, record) = record.expect("a record");
    let cases = [
        (always("GET /ac/", Wrong::Cut), "the answer broke off"),
        (always("GET /cas/", Wrong::Cut), "the answer broke off"),
        (always("GET /ac/", Wrong::Body(b"rubbish".to_vec())), "it is shorter than any record"),
        (always("GET /ac/", Wrong::Body(longer.clone())), "its check sum does not fit"),
        (always("GET /cas/", Wrong::Body(longer)), "it has more than"),
        (always("GET /cas/", Wrong::Body(other)), "its bytes have another digest"),
        (always("GET /cas/", Wrong::Body(b"x".to_vec())), "it has 1 bytes instead of"),
        (always("GET /cas/", Wrong::Endless), "it has more than"),
    ];
    for (fake, said) in cases {
        let fake = fake.filled_as(&whole);
        builds(&fetch_in_vain(&fake, &[said, &fake.url()]));
    }
    // The record of another task, in the place of each.
    let swapped = Fake::wrong({
        let record = record.clone();
        move |request| request.is("GET /ac/").then(|| Wrong::Body(record.clone()))
    });
    let swapped = swapped.filled_as(&whole);
    let to = project(&swapped.url());
    to.manifest(&MANIFEST.replace("tr a-z A-Z", "tr  a-z A-Z"));
    to.run(["--sync-from-remote"]).code(10).stderr_has("it belongs to another key");
}

/// N2: the right size and other bytes.
#[test]
fn an_object_with_other_bytes_is_refused_and_the_rest_is_taken() {
    let (fake, from) = filled();
    let two = from.bytes("gen/two.c");
    let lib = from.bytes("lib.txt");
    let path = format!("/cas/{}", hex_digest(&lib));
    fake.put(&path, &vec![b'x'; lib.len()]);
    let to = fetch_in_vain(&fake, &[&format!("`{}{path}` is not used", fake.url())]);
    assert!(to.object_of(&two).exists(), "what is right is kept");
    assert!(!to.object_of(&lib).exists());
    let run = to.json(["manifest.txt"]);
    assert_eq!(run.success().executed(), ["all", "lib", "note", "use"]);
    assert_eq!(to.read("lib.txt"), from.read("lib.txt"));
}

/// N2: whoever may write to the store cannot make a task write what it does not declare.
#[test]
fn a_record_with_other_outputs_than_the_tasks_is_refused() {
    let (fake, from) = filled();
    let key = Digest::parse(&from.key("lib")).expect("a key");
    let path = format!("/ac/{key}");
    let whole = Record::parse(&fake.things()[&path], &key).expect("a record");
    let digest = whole.outputs[0].digest;
    let planted = Output {
        path: RelPath::parse(b"planted.sh").expect("a path"),
        kind: Kind::Executable,
        mode: 0o755,
        size: whole.outputs[0].size,
        digest,
    };
    let mut more = whole.clone();
    more.outputs.push(planted);
    let mut less = whole.clone();
    less.outputs.clear();
    for forged in [more, less] {
        fake.put(&path, &forged.to_bytes());
        let to = fetch_in_vain(&fake, &["its outputs are not those of the task"]);
        builds(&to);
        assert!(!to.exists("planted.sh"));
    }
}

/// N4.
#[test]
fn a_record_whose_object_the_store_has_lost_counts_as_missing() {
    let (fake, from) = filled();
    let lib = from.bytes("lib.txt");
    fake.remove(&format!("/cas/{}", hex_digest(&lib)));
    let to = project(&fake.url());
    let run = to.run(["-o", "json", "--sync-from-remote"]);
    let said = figures(run.success().stderr(""));
    assert_eq!((said["records"].as_u64(), said["missing"].as_u64()), (Some(1), Some(1)));
    let why = said["left_out"].to_string();
    assert!(why.contains("the store has its record, and no usable object"), "{why}");
    assert_store_is_whole(&to, "fetching what is not there");
    assert_eq!(to.json(["manifest.txt"]).success().executed(), ["all", "lib", "note", "use"]);
    // Whoever has it puts it back.
    from.run(["--sync-to-remote"]).success().stdout_has("stored 0 records and 1 object");
}

/// N7.
#[test]
fn a_redirect_is_told_and_not_followed_with_keys_or_without() {
    let elsewhere = Fake::new();
    let to = format!("Location: {}/x?sig=hunter3\r\n", elsewhere.url());
    let fake = Fake::wrong(move |_| Some(Wrong::Status(307, to.clone())));
    for backend in ["http", "s3"] {
        let mut from = built("");
        for (name, value) in [
            ("ENABLED", "1"),
            ("BACKEND", backend),
            ("BUCKET", "b"),
            ("ENDPOINT", &fake.url()),
            ("ACCESS_KEY", "hunter1"),
            ("SECRET_KEY", "hunter2"),
        ] {
            from.env(format!("REPROVM_REMOTE_CAS_{name}"), value);
        }
        for flag in ["--sync-to-remote", "--sync-from-remote"] {
            let run = from.manifest(&MANIFEST.replace("A-Z", "A-Z ")).run(["-V", flag]);
            run.code(10).stderr_has("redirects are not followed").stderr_has(&elsewhere.url());
            run.stderr_lacks("hunter").stdout_lacks("hunter");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn s3_that_fails_is_named_as_http_is() {
    let (s3, said) = ("s3", "the answer was 500 Internal Server Error (tried 4 times)");
    let cases = [
        (Wrong::Status(500, String::new()), said),
        (Wrong::Silent, "it was not done within 1 seconds"),
        (Wrong::Cut, ""),
    ];
    for (wrong, said) in cases {
        let fake = Fake::wrong(move |request| request.is("GET /").then(|| wrong.clone()));
        let mut to = project("s3://b/p");
        to.env("REPROVM_REMOTE_CAS_ENDPOINT", fake.url());
        to.env("REPROVM_REMOTE_CAS_REQUEST_TIMEOUT_SECONDS", "1");
        let run = to.run(["--sync-from-remote"]);
        run.code(10).stderr_has(said).stderr_has(&format!("{}/b/p/ac/", fake.url()));
        assert!(!to.exists(".reprovm/cas"), "{s3}");
    }
}

/// N3: what is under way is not there.
#[test]
fn a_record_is_not_sent_before_its_objects() {
    // One of the objects is never done.
    let (whole, from) = filled();
    let stuck = format!("/cas/{}", hex_digest(&from.bytes("lib.txt")));
    let fake = Fake::wrong({
        let stuck = stuck.clone();
        move |request| (request.is("PUT") && request.path == stuck).then_some(Wrong::Silent)
    });
    let sender = built(&fake.url());
    let mut sending = sender.spawn(["--sync-to-remote"]);
    let others: BTreeSet<String> = whole
        .things()
        .into_keys()
        .filter(|path| path.starts_with("/cas/") && *path != stuck)
        .collect();
    wait_until("the other objects", || {
        let seen = fake.seen();
        seen.iter().any(|one| one.is("PUT") && one.path == stuck)
            && fake.things().into_keys().collect::<BTreeSet<_>>() == others
    });
    sending.signal(nix::sys::signal::Signal::SIGKILL);
    sending.wait().signal(9);
    assert!(!fake.seen().iter().any(|one| one.path.starts_with("/ac/")), "{:?}", fake.seen());
    // And where the store does not take one, no record is sent either.
    let full = Fake::wrong(move |request| {
        (request.is("PUT") && request.path == stuck).then(|| Wrong::Status(507, String::new()))
    });
    let sender = built(&full.url());
    sender.run(["--sync-to-remote"]).code(10).stderr_has("cannot store").stderr_has("507");
    assert!(!full.things().keys().any(|path| path.starts_with("/ac/")));
}
