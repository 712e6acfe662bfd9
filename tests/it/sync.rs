//! A remote store between two projects that know nothing of each other: what one has built the
//! other need not. The servers are real; those that do wrong are in the test.

mod faults;
pub(crate) mod set;

use std::fs;

use serde_json::Value;

use crate::support::{Certificate, Fake, Project, Run, Server, Wrong, files_below};

const URL: &str = "REPROVM_REMOTE_CAS_URL";

/// Every way in which a task reads what another makes: a folder, a pattern, a link, a file, and
/// a result without files.
const MANIFEST: &str = "\
task gen {
  cmd = mkdir -p gen/sub && tr a-z A-Z < in > gen/sub/one.c && echo two > gen/two.c && ln -s two.c gen/link && cp in gen/run.sh && chmod 755 gen/run.sh
  inputs = in
  outputs = gen
}
task lib {
  cmd = cat gen/sub/*.c gen/link > lib.txt
  inputs = gen/**/*.c, gen/link
  outputs = lib.txt
}
task all {
  cmd = mkdir -p out/deep && cat lib.txt gen/two.c > out/deep/all.txt
  inputs = gen, lib.txt
  outputs = out/deep/all.txt
}
task use {
  cmd = cat out/deep/all.txt > used.txt
  inputs = out
  outputs = used.txt
}
task note {
  cmd = cat used.txt; echo said
  deps = use
}
";

/// A project with the manifest that has not been built.
fn project(url: &str) -> Project {
    let mut project = Project::new();
    project.file("in", "hello\n").manifest(MANIFEST);
    project.env(URL, url);
    project
}

fn built(url: &str) -> Project {
    let project = project(url);
    project.run(["-q", "manifest.txt"]).success();
    project
}

/// A store that holds all that the project made, and the project.
fn filled() -> (Fake, Project) {
    let fake = Fake::new();
    let project = built(&fake.url());
    project.run(["--sync-to-remote"]).success();
    (fake, project)
}

/// What a verb printed as JSON.
#[track_caller]
fn figures(run: &Run) -> Value {
    let out = run.out();
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}\n{}", run.transcript()))
}

/// The server block of the documentation.
fn nginx_block() -> String {
    let page = include_str!("../../docs/remote.md");
    let (_, rest) = page.split_once("```nginx\n").expect("a block for nginx");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// What `from` built comes to `to` by the store; nothing else of `to` changes until it runs.
#[track_caller]
fn exchange(from: &Project, to: &Project) {
    let sent = from.run(["--sync-to-remote"]);
    sent.success().stderr("").stdout_has("stored 5 records and 7 objects");
    let again = from.run(["--sync-to-remote"]);
    again.success().stdout_has("stored 0 records and 0 objects (0 B)");
    again.stdout_has("5 records and 7 objects were there already");

    let before = to.tree();
    let fetched = to.run(["--sync-from-remote"]);
    fetched.success().stderr("").stdout_has("fetched 5 records and 7 objects");
    fetched.stdout_has("it has nothing for 0 tasks").stdout_lacks("left out");
    assert_eq!(to.tree(), before, "only the cache is written to");
    crate::support::assert_store_is_whole(to, "fetching");
    to.run(["--sync-from-remote"]).success().stdout_has("fetched 0 records and 0 objects");

    to.json(["--jobs", "16", "--max-cpu", "60", "--max-memory", "8192", "manifest.txt"])
        .executed_nothing();
    assert_eq!(to.tree(), from.tree());
    // What it wrote is there as well.
    to.run(["--replay", "manifest.txt"]).success().stderr_has("said");
}

#[test]
fn how_long_requests_took_is_among_the_figures_of_the_project() {
    let (fake, from) = filled();
    let to = project(&fake.url());
    let before = fake.seen().len();
    to.run(["--sync-from-remote"]).success();
    let requests = fake.seen().len() - before;
    for (project, requests) in [(&from, before), (&to, requests)] {
        project.run(["--set", "prometheus.textfile=page", "manifest.txt"]).success();
        let page = project.read("page");
        let count = "reprovm_remote_request_duration_seconds_count{";
        let line = page.lines().find(|line| line.starts_with(count)).expect("a histogram");
        assert!(requests > 0 && line.ends_with(&format!(" {requests}")), "{line}");
    }
}

#[test]
fn what_one_project_built_another_takes_from_nginx() {
    let server = Server::nginx(&nginx_block());
    exchange(&built(&server.url()), &project(&server.url()));
    for path in files_below(&server.data(), &[]) {
        let bytes = fs::read(server.data().join(&path)).expect("a thing");
        let (shelf, name) = (path.parent().expect("a shelf"), path.file_name().expect("a name"));
        let digest = crate::support::hex_digest(&bytes);
        assert!(shelf.to_string_lossy() == "ac" || name.to_string_lossy() == digest.as_str());
    }
}

#[test]
fn what_one_project_built_another_takes_from_an_s3_bucket() {
    let server = Server::s3("my-cache-bucket");
    let with_keys = |mut project: Project| {
        project
            .env("REPROVM_REMOTE_CAS_ENDPOINT", server.url())
            .env("REPROVM_REMOTE_CAS_ACCESS_KEY", "S3RVER")
            .env("REPROVM_REMOTE_CAS_SECRET_KEY", "S3RVER");
        project
    };
    let url = "s3://my-cache-bucket/reprovm";
    exchange(&with_keys(built(url)), &with_keys(project(url)));

    // A key that the server does not know, and a bucket that is not there.
    let mut stranger = with_keys(built(url));
    stranger.env("REPROVM_REMOTE_CAS_ACCESS_KEY", "nobody-knows-me");
    let refused = stranger.run(["-V", "--sync-to-remote"]);
    refused.code(10).stderr_has("403 Forbidden").stderr_has("my-cache-bucket/reprovm/cas/");
    refused.stderr_has("`remote_cas.access_key`").stderr_lacks("nobody-knows-me");
    refused.stderr_lacks("S3RVER");
    let lost = with_keys(built("s3://no-bucket/reprovm"));
    lost.run(["--sync-to-remote"]).code(10).stderr_has("404 Not Found").stderr_has("bucket");
}

#[test]
fn large_objects_go_both_ways_through_s3_and_nginx() {
    // More than a part of S3, and of more than one kind of byte.
    let manifest = "task big {\n  cmd = seq 1 2600000 > big.txt\n  outputs = big.txt\n}\n";
    let s3 = Server::s3("cas");
    let nginx = Server::nginx(&nginx_block());
    for url in ["s3://cas", nginx.url().as_str()] {
        let fresh = || {
            let mut project = Project::new();
            project.env(URL, url).manifest(manifest);
            if url.starts_with("s3") {
                project
                    .env("REPROVM_REMOTE_CAS_ENDPOINT", s3.url())
                    .env("REPROVM_REMOTE_CAS_ACCESS_KEY", "S3RVER")
                    .env("REPROVM_REMOTE_CAS_SECRET_KEY", "S3RVER");
            }
            project
        };
        let (from, to) = (fresh(), fresh());
        from.run(["--sync-to-remote", "manifest.txt"]).success();
        assert!(from.bytes("big.txt").len() > 16 << 20);
        to.run(["--sync-from-remote"]).success().stdout_has("fetched 1 record and 1 object");
        to.json(["manifest.txt"]).executed_nothing();
        assert!(to.bytes("big.txt") == from.bytes("big.txt"), "{url}");
    }
}

#[test]
fn a_name_and_a_password_are_presented_and_never_shown() {
    let lines = "root /srv/reprovm;\n  auth_basic x;\n  auth_basic_user_file htpasswd;";
    let server = Server::nginx(&nginx_block().replace("root /srv/reprovm;", lines));
    let htpasswd = server.data().join("../htpasswd");
    fs::write(htpasswd, "me:{PLAIN}hunter2\n").expect("a file");
    let mut from = built(&server.url());
    let refused = from.run(["--sync-to-remote"]);
    refused.code(10).stderr_has("401 Unauthorized").stderr_has("remote_cas.secret_key");
    from.env("REPROVM_REMOTE_CAS_ACCESS_KEY", "me");
    from.env("REPROVM_REMOTE_CAS_SECRET_KEY", "hunter3");
    let log = ["-l", "log", "--log-level", "debug", "-V", "--sync-to-remote"];
    from.run(log).code(10).stderr_has("401").stderr_lacks("hunter3");
    from.env("REPROVM_REMOTE_CAS_SECRET_KEY", "hunter2");
    from.run(log).success().stderr_lacks("hunter2").stdout_lacks("hunter2");
    let said = from.read("log");
    assert!(said.contains("synchronised") && !said.contains("hunter"), "{said}");
}

#[test]
fn an_encrypted_store_is_trusted_by_its_certificate_only() {
    let Certificate { cert, key, .. } = &Certificate::new();
    let lines = format!(
        "listen 8443 ssl;\n  ssl_certificate {};\n  ssl_certificate_key {};",
        cert.display(),
        key.display()
    );
    let server = Server::nginx(&nginx_block().replace("listen 8080;", &lines));
    let mut from = built(&format!("https://127.0.0.1:{}", server.port));
    let refused = from.run(["--sync-to-remote"]);
    refused.code(10).stderr_has("invalid peer certificate").stderr_has("https://127.0.0.1:");
    assert!(files_below(&server.data(), &[]).is_empty());
    from.env("SSL_CERT_FILE", cert);
    from.run(["--sync-to-remote"]).success().stdout_has("stored 5 records");
}

#[test]
fn a_task_whose_dependency_the_store_lacks_is_left_out_and_counted() {
    let (fake, _) = filled();
    let to = project(&fake.url());
    // Only one of the records: that of the task that all others need is not there.
    let gen_key = to.key("gen");
    fake.remove(&format!("/ac/{gen_key}"));
    let run = to.run(["-o", "json", "--sync-from-remote"]);
    let said = figures(run.success());
    assert_eq!((said["records"].as_u64(), said["missing"].as_u64()), (Some(0), Some(1)));
    let out: Vec<&str> = said["left_out"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|o| o["what"].as_str())
        .collect();
    assert_eq!(out, ["task `all`", "task `lib`", "task `note`", "task `use`"]);
    assert_eq!(said["left_out"][1]["why"], "the result of `gen` is not known");
    // It is not there, and a run makes it.
    to.json(["manifest.txt"]).success();
}

#[test]
fn results_that_are_here_lead_to_those_that_are_not() {
    let (fake, _) = filled();
    let to = project(&fake.url());
    to.run(["-q", "manifest.txt", "gen"]).success();
    // The cache has it, and the workspace does not.
    to.remove("gen").remove(".reprovm/state");
    let run = to.run(["-o", "json", "--sync-from-remote"]);
    let said = figures(run.success());
    assert_eq!((said["records"].as_u64(), said["records_there"].as_u64()), (Some(4), Some(1)));
    to.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn what_an_earlier_version_of_a_task_left_is_not_an_input_of_the_next() {
    let fake = Fake::new();
    let manifest = |names: &str| {
        format!(
            "task make {{\n  cmd = mkdir -p gen && for i in {names}; do echo $i > gen/$i; done\n  \
             outputs = gen\n}}\ntask list {{\n  cmd = ls gen > list.txt\n  inputs = gen/*\n  \
             outputs = list.txt\n}}\n"
        )
    };
    let project = |names: &str| {
        let mut project = Project::new();
        project.env(URL, fake.url()).manifest(&manifest(names));
        project
    };
    let from = project("b c");
    from.run(["--sync-to-remote", "manifest.txt"]).success();
    // `gen/a` lies here, is the task's own, and will go.
    let to = project("a b");
    to.run(["-q", "manifest.txt"]).success();
    to.manifest(&manifest("b c"));
    to.run(["--sync-from-remote"]).success().stdout_has("fetched 2 records");
    to.json(["manifest.txt"]).executed_nothing();
    assert_eq!(to.read("list.txt"), "b\nc\n");
}

#[test]
fn targets_limit_what_is_fetched() {
    let (fake, _) = filled();
    let to = project(&fake.url());
    let run = to.json(["--sync-from-remote", "manifest.txt", "lib"]);
    run.executed_nothing();
    assert_eq!(crate::support::records(&to).len(), 2, "`gen` and `lib`");
}

#[test]
fn a_build_stands_between_fetching_and_sending() {
    let fake = Fake::new();
    let from = project(&fake.url());
    let all = ["--sync-from-remote", "--sync-to-remote", "-o", "json", "manifest.txt"];
    let first = from.run(all);
    assert_eq!(first.success().summary().executed, 5, "stdout has the events alone");
    let to = project(&fake.url());
    to.run(all).executed_nothing();
    // What succeeded is sent also where something failed; the failure gives the code.
    let failing = project(&fake.url());
    let more =
        "task ok {\n  cmd = echo ok > ok\n  outputs = ok\n}\ntask bad {\n  cmd = exit 3\n}\n";
    failing.manifest(more);
    failing.run(["--sync-to-remote", "manifest.txt"]).code(6).stderr_has("stored 1 record and");
    // Where the store cannot be asked nothing is built.
    let mut alone = project("http://127.0.0.1:1");
    alone.env("REPROVM_REMOTE_CAS_REQUEST_TIMEOUT_SECONDS", "1");
    alone.run(all).code(10);
    assert!(!alone.exists("lib.txt"));
}

#[test]
fn a_dry_run_looks_and_moves_nothing() {
    let fake = Fake::new();
    let from = built(&fake.url());
    let sent = from.run(["-n", "--sync-to-remote"]);
    sent.success().stdout_has("would have stored 5 records and 7 objects");
    assert!(fake.things().is_empty());
    from.run(["--sync-to-remote"]).success();
    let to = project(&fake.url());
    let fetched = to.run(["-n", "--sync-from-remote"]);
    fetched.success().stdout_has("would have fetched");
    assert!(!to.exists(".reprovm"));
}

/// The collection goes by the times of objects, and by what has been added.
#[test]
fn what_is_fetched_is_noted_for_the_collection_and_a_dry_run_makes_nothing_young() {
    let fake = Fake::new();
    built(&fake.url()).run(["--sync-to-remote"]).success();
    let to = built(&fake.url());
    to.remove(".reprovm/cache");
    let object = to.object_of(&to.bytes("lib.txt"));
    let old = std::time::UNIX_EPOCH;
    fs::File::open(&object).and_then(|file| file.set_modified(old)).expect("our file");
    let time = || object.metadata().and_then(|meta| meta.modified()).expect("a time");
    let (before, records) = (to.read(".reprovm/cas/size"), to.path(".reprovm/cache"));
    let looked = to.run(["-n", "--sync-from-remote"]);
    looked.success().stdout_has("would have fetched 5 records");
    assert_eq!((time(), to.read(".reprovm/cas/size")), (old, before.clone()));
    to.run(["--sync-from-remote"]).success().stdout_has("fetched 5 records");
    assert!(time() > old);
    let size = |path| records.join(path).metadata().expect("a record").len();
    let added: u64 = files_below(&records, &[]).into_iter().map(size).sum();
    assert_eq!(to.read(".reprovm/cas/size"), format!("{before}+{added}\n"));
}

/// N8: nothing is sent where nothing may be, and a run asks nobody.
#[test]
fn a_store_that_may_not_be_used_is_not_connected_to() {
    let fake = Fake::new();
    let mut project = built(&fake.url());
    project.json(["manifest.txt"]).executed_nothing();
    project.run(["--health-check"]).success();
    project.env("REPROVM_REMOTE_CAS_MODE", "read-only");
    let sent = project.run(["--sync-to-remote"]);
    sent.code(14).stderr_has("`--sync-to-remote` is not allowed: `remote_cas.mode` is `read-only`");
    project.remove("lib.txt").run(["--sync-to-remote", "manifest.txt"]).code(14);
    assert!(!project.exists("lib.txt"), "it is told before the build, not after");
    project.env("REPROVM_REMOTE_CAS_MODE", "write-only");
    project.run(["--sync-from-remote"]).code(14).stderr_has("`write-only`");
    assert_eq!(fake.connections(), 0);
}

#[test]
fn what_is_damaged_here_is_not_sent() {
    let fake = Fake::new();
    let from = built(&fake.url());
    let lib = from.bytes("lib.txt");
    let object = from.object_of(&lib);
    let path = object.strip_prefix(from.root()).expect("it is in the project").to_owned();
    from.chmod(&path, 0o644).file(&path, lib.iter().map(|_| b'x').collect::<Vec<u8>>());
    let sent = from.run(["--sync-to-remote"]);
    sent.success().stdout_has("left out: record ").stdout_has("its bytes have another digest");
    let things = fake.things();
    assert!(!things.contains_key(&format!("/cas/{}", crate::support::hex_digest(&lib))));
    assert_eq!(things.keys().filter(|path| path.starts_with("/ac/")).count(), 4);
}

#[test]
fn keys_without_encryption_to_another_machine_are_warned_of() {
    let mut project = built("http://cache.invalid/");
    project.env("REPROVM_REMOTE_CAS_SECRET_KEY", "hunter2");
    // Nobody is asked: there is nothing to send.
    project.remove(".reprovm/cache");
    let run = project.run(["--sync-to-remote"]);
    run.success().stderr_has("go to `http://cache.invalid` without encryption");
    run.stderr_lacks("hunter2");
    let mut near = built("http://127.0.0.1:1/");
    near.env("REPROVM_REMOTE_CAS_SECRET_KEY", "hunter2").remove(".reprovm/cache");
    near.run(["--sync-to-remote"]).success().stderr("");
}

#[test]
fn settings_that_cannot_be_are_told_before_any_connection() {
    let project = built("");
    let cases: [(&[&str], &str); 7] = [
        (&["backend=http"], "the address of the remote store is not set"),
        (&["endpoint=https://me:hunter2@host/"], "a name and a password belong into"),
        (&["endpoint=http://host/?k=hunter2"], "it has a `?`"),
        (&["backend=s3"], "the bucket of the remote store is not set"),
        (&["backend=s3", "bucket=a/b"], "no name of a bucket"),
        (&["backend=s3", "bucket=b", "region=x.example.com/"], "no name of a region"),
        (&["backend=s3", "bucket=b", "access_key=hunter2"], "only one of"),
    ];
    for (settings, said) in cases {
        let mut args = vec!["--set".to_owned(), "remote_cas.enabled=1".to_owned()];
        for setting in settings {
            args.extend(["--set".to_owned(), format!("remote_cas.{setting}")]);
        }
        args.push("--sync-to-remote".to_owned());
        project.run(&args).code(14).stderr_has(said).stderr_lacks("hunter2");
    }
}

#[test]
fn a_damaged_record_or_object_of_the_store_is_replaced_by_the_next_who_sends() {
    let (fake, from) = filled();
    let whole = fake.things();
    let record = whole.keys().find(|path| path.starts_with("/ac/")).expect("a record");
    let object = whole.keys().find(|path| path.starts_with("/cas/")).expect("an object");
    fake.put(record, b"no record");
    fake.put(object, b"cut");
    from.run(["--sync-to-remote"]).success().stdout_has("stored 1 record and 1 object");
    assert_eq!(fake.things(), whole);
}

#[test]
fn a_server_that_is_in_trouble_for_a_moment_is_asked_again() {
    let (fake, _) = filled();
    let asked = std::sync::Mutex::new(std::collections::BTreeMap::<String, u32>::new());
    let shaky = Fake::wrong(move |request| {
        let mut asked = asked.lock().expect("no thread panicked");
        let count = asked.entry(request.path.clone()).or_default();
        *count += 1;
        match count {
            1 => Some(Wrong::Status(503, String::new())),
            2 => Some(Wrong::Cut),
            _ => None,
        }
    })
    .filled_as(&fake);
    let to = project(&shaky.url());
    to.run(["--sync-from-remote"]).success().stdout_has("fetched 5 records and 7 objects");
    to.json(["manifest.txt"]).executed_nothing();
}
