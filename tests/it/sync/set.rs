//! What each setting of the remote store changes, for the table of settings: seen by the store.

use crate::support::{Fake, Project, Run, Wrong};

const ONE: &str = "task a {\n  cmd = echo text > a.txt\n  outputs = a.txt\n}\n";

/// A built project and a store for it.
struct Pair {
    fake: Fake,
    project: Project,
}

impl Pair {
    fn new() -> Self {
        Self::of(Fake::new())
    }

    fn of(fake: Fake) -> Self {
        let project = Project::new();
        project.manifest(ONE).run(["-q", "manifest.txt"]).success();
        Self { fake, project }
    }

    /// Sends to the store with these settings beside its address.
    fn send(&self, settings: &[&str]) -> Run {
        let mut args = Vec::new();
        let endpoint = format!("endpoint={}", self.fake.url());
        for setting in ["enabled=1", endpoint.as_str()].iter().chain(settings) {
            args.extend(["--set".to_owned(), format!("remote_cas.{setting}")]);
        }
        args.push("--sync-to-remote".to_owned());
        self.project.run(args)
    }

    /// The paths of all things in the store; there are some.
    fn paths(&self) -> Vec<String> {
        let paths: Vec<String> = self.fake.things().into_keys().collect();
        assert!(!paths.is_empty());
        paths
    }

    /// A header that every request had.
    fn header(&self, name: &str) -> String {
        let seen = self.fake.seen();
        let values: Vec<_> = seen.iter().map(|one| one.header(name).unwrap_or_default()).collect();
        values.first().expect("a request").to_string()
    }
}

pub(crate) fn enabled() {
    let pair = Pair::new();
    pair.send(&["enabled=0"]).code(14);
    assert_eq!(pair.fake.connections(), 0);
    pair.send(&["enabled=1"]).success();
}

pub(crate) fn backend() {
    let pair = Pair::new();
    pair.send(&["backend=http"]).success();
    assert!(pair.paths().iter().all(|path| path.starts_with("/cas/") || path.starts_with("/ac/")));
    let pair = Pair::new();
    pair.send(&["backend=s3", "bucket=b"]).success();
    assert!(pair.paths().iter().all(|path| path.starts_with("/b/")));
}

pub(crate) fn endpoint() {
    let pair = Pair::new();
    pair.send(&[&format!("endpoint={}/inner/path/", pair.fake.url())]).success();
    assert!(pair.paths().iter().all(|path| path.starts_with("/inner/path/")));
}

pub(crate) fn bucket() {
    let pair = Pair::new();
    pair.send(&["backend=s3", "bucket=one"]).success();
    pair.send(&["backend=s3", "bucket=two"]).success();
    for start in ["/one/", "/two/"] {
        assert!(pair.paths().iter().any(|path| path.starts_with(start)), "{start}");
    }
}

pub(crate) fn prefix() {
    let pair = Pair::new();
    pair.send(&["backend=s3", "bucket=b", "prefix=x/y"]).success();
    assert!(pair.paths().iter().all(|path| path.starts_with("/b/x/y/")));
}

pub(crate) fn region() {
    let pair = Pair::new();
    let keys = ["backend=s3", "bucket=b", "access_key=i", "secret_key=k", "region=eu-north-1"];
    pair.send(&keys).success();
    assert!(pair.header("authorization").contains("/eu-north-1/s3/"));
}

pub(crate) fn use_ssl() {
    let pair = Pair::new();
    let bare = format!("endpoint=127.0.0.1:{}", pair.fake.port);
    pair.send(&[&bare, "use_ssl=0"]).success();
    pair.send(&[&bare, "use_ssl=1"]).code(10).stderr_has("`https://127.0.0.1:");
}

pub(crate) fn access_key() {
    let pair = Pair::new();
    pair.send(&["access_key=me", "secret_key=key"]).success();
    // `me:key` in base 64.
    assert_eq!(pair.header("authorization"), "Basic bWU6a2V5");
}

pub(crate) fn secret_key() {
    let pair = Pair::new();
    pair.send(&["secret_key=token"]).success();
    assert_eq!(pair.header("authorization"), "Bearer token");
}

pub(crate) fn mode() {
    let pair = Pair::new();
    pair.send(&["mode=read-only"]).code(14);
    assert_eq!(pair.fake.connections(), 0);
    pair.send(&["mode=write-only"]).success();
}

pub(crate) fn request_timeout_seconds() {
    let pair = Pair::of(Fake::wrong(|_| Some(Wrong::Silent)));
    pair.send(&["request_timeout_seconds=1"]).code(10).stderr_has("not done within 1 seconds");
}
