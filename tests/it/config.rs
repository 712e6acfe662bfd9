//! Settings: every one through files, variables and flags, with its origin; mistakes with their
//! places; secrets; the generated texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::support::{Project, generated};

/// What `config show -o json` says, by name.
fn shown(project: &Project, args: &[&str]) -> BTreeMap<String, Value> {
    let mut all = vec!["config", "show", "-o", "json"];
    all.extend(args);
    let run = project.run(all);
    let rows: Vec<Value> = serde_json::from_str(&run.success().out()).expect("a list");
    let name = |row: &Value| format!("{}.{}", text(row, "section"), text(row, "key"));
    rows.into_iter().map(|row| (name(&row), row)).collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {row}"))
}

/// A value that is allowed and is not the default, and one that is not allowed if there is any.
fn samples(row: &Value) -> (String, Option<String>) {
    let (allowed, default) = (text(row, "allowed"), text(row, "default"));
    if let Some(words) = allowed.strip_prefix("one of ") {
        let other = words.split(", ").find(|word| *word != default).expect("two words");
        return (other.to_owned(), Some("neither".to_owned()));
    }
    if allowed.starts_with("1 or 0") {
        let other = if default == "true" { "0" } else { "1" };
        return (other.to_owned(), Some("maybe".to_owned()));
    }
    if let Some(numbers) = allowed.strip_prefix("a whole number from ") {
        let mut words = numbers.split([' ', ',']);
        let least: u64 = words.next().and_then(|word| word.parse().ok()).expect("a least number");
        let most: u64 = words.nth(1).and_then(|word| word.parse().ok()).expect("a greatest number");
        let other = if default == most.to_string() { least } else { most };
        return (other.to_string(), Some((most + 1).to_string()));
    }
    if allowed.starts_with("a list of ") {
        return ("run_failed".to_owned(), Some("neither".to_owned()));
    }
    if allowed.starts_with("text on one line with any of ") {
        return ("{summary}!".to_owned(), Some("{neither}".to_owned()));
    }
    if allowed.starts_with("an address that begins with `https://`") {
        // What is wrong with a secret is not shown.
        return ("https://hooks.example.com/x".to_owned(), None);
    }
    if allowed.contains("such as builds@example.com") {
        return ("ci@example.com".to_owned(), Some("neither".to_owned()));
    }
    if allowed.starts_with("an address such as") {
        return ("::1".to_owned(), Some("localhost".to_owned()));
    }
    if allowed.starts_with("the path of a socket") {
        return ("udp://localhost:514".to_owned(), Some("localhost".to_owned()));
    }
    if allowed.starts_with("a path that begins with `/`") {
        return ("/some/thing".to_owned(), Some("some/thing".to_owned()));
    }
    let bad = (allowed == "a path").then(String::new);
    ("some/thing".to_owned(), bad)
}

/// All settings of the program with a value that is not the default.
fn others(project: &Project) -> Vec<(String, String, bool)> {
    shown(project, &[])
        .into_iter()
        .map(|(name, row)| (name, samples(&row).0, row["secret"] == true))
        .collect()
}

/// The settings as a file in sections.
fn sections(settings: &[(String, String, bool)]) -> String {
    let mut out = String::new();
    let mut last = "";
    for (name, value, _) in settings {
        let (section, key) = name.split_once('.').expect("a full name");
        if section != last {
            writeln!(out, "[{section}]").expect("a string takes all");
            last = section;
        }
        writeln!(out, "{key} = {value}").expect("a string takes all");
    }
    out
}

#[track_caller]
fn assert_values(
    all: &BTreeMap<String, Value>,
    expected: &[(String, String, bool)],
    origin: impl Fn(&str) -> String,
) {
    assert_eq!(all.len(), expected.len());
    for (name, value, secret) in expected {
        let row = &all[name];
        let value = if *secret { "***" } else { value };
        assert_eq!((text(row, "value"), text(row, "origin")), (value, &*origin(name)), "{name}");
    }
}

#[test]
fn without_a_source_every_setting_has_its_default() {
    let project = Project::new();
    let all = shown(&project, &[]);
    assert!(all.len() >= 60, "only {}", all.len());
    for (name, row) in &all {
        let value = text(row, "value");
        assert_eq!((value, text(row, "origin")), (text(row, "default"), "default"), "{name}");
    }
    assert!(!project.exists(".reprovm"), "looking at settings writes nothing");
}

#[test]
fn every_setting_can_be_set_in_a_file() {
    let project = Project::new();
    let others = others(&project);
    let text = sections(&others);
    project.file(".reprovm/reprovm.conf", &text).chmod(".reprovm/reprovm.conf", 0o600);
    let line_of = |name: &str| {
        let (section, key) = name.split_once('.').expect("a full name");
        let head =
            text.lines().position(|line| line == format!("[{section}]")).expect("its section");
        let below = text.lines().skip(head + 1);
        let line = below
            .take_while(|line| !line.starts_with('['))
            .position(|line| line.starts_with(&format!("{key} =")))
            .expect("its line");
        head + line + 2
    };
    assert_values(&shown(&project, &[]), &others, |name| {
        format!(".reprovm/reprovm.conf:{}", line_of(name))
    });

    // The same without sections, and as TOML.
    project.remove(".reprovm/reprovm.conf");
    let flat: String = others.iter().map(|(name, value, _)| format!("{name}={value}\n")).collect();
    project.file("flat.conf", &flat).chmod("flat.conf", 0o600);
    let line_in = |text: &str, start: String| {
        text.lines().position(|line| line.starts_with(&start)).expect("its line") + 1
    };
    assert_values(&shown(&project, &["-c", "flat.conf"]), &others, |name| {
        format!("flat.conf:{}", line_in(&flat, format!("{name}=")))
    });
    let toml: String =
        others.iter().map(|(name, value, _)| format!("{name} = {value:?}\n")).collect();
    project.file("all.toml", &toml).chmod("all.toml", 0o600);
    assert_values(&shown(&project, &["--config", "all.toml"]), &others, |name| {
        format!("all.toml:{}", line_in(&toml, format!("{name} =")))
    });
}

#[test]
fn every_setting_can_be_set_in_the_environment_and_by_flag() {
    let plain = Project::new();
    let others = others(&plain);
    let mut project = Project::new();
    let variable = |name: &str| format!("REPROVM_{}", name.replace('.', "_").to_uppercase());
    for (name, value, _) in &others {
        project.env(variable(name), value);
    }
    assert_values(&shown(&project, &[]), &others, |name| format!("variable {}", variable(name)));

    let flags: Vec<String> = others
        .iter()
        .flat_map(|(name, value, _)| ["--set".to_owned(), format!("{name}={value}")])
        .collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    assert_values(&shown(&plain, &flags), &others, |_| "flag --set".to_owned());
}

/// The names that are fixed: variable, its text, the setting, and the value that it gets.
const VARIABLES: [(&str, &str, &str, &str); 29] = [
    ("REPROVM_LOG_LEVEL", "DEBUG", "logging.log_level", "DEBUG"),
    (
        "REPROVM_LOG_FILE",
        "/var/log/reprovm/reprovm.log",
        "logging.log_file",
        "/var/log/reprovm/reprovm.log",
    ),
    ("REPROVM_NO_COLOR", "1", "logging.log_colors", "false"),
    ("REPROVM_JOBS", "8", "execution.parallel_jobs", "8"),
    ("REPROVM_TIMEOUT", "7200", "execution.timeout_seconds", "7200"),
    ("REPROVM_RETRY_ATTEMPTS", "5", "execution.retry_attempts", "5"),
    ("REPROVM_CACHE_DIR", "/var/cache/reprovm", "cache.cache_dir", "/var/cache/reprovm"),
    ("REPROVM_MAX_CACHE_SIZE", "20480", "cache.max_cache_size_mb", "20480"),
    ("REPROVM_COMPRESSION", "lz4", "compression.algorithm", "lz4"),
    ("REPROVM_COMPRESSION", "lz4", "compression.enabled", "true"),
    ("REPROVM_COMPRESSION_LEVEL", "6", "compression.level", "6"),
    ("REPROVM_REMOTE_CAS_URL", "s3://b/p", "remote_cas.bucket", "b"),
    (
        "REPROVM_REMOTE_CAS_URL",
        "https://cache.example.com",
        "remote_cas.endpoint",
        "https://cache.example.com",
    ),
    ("REPROVM_REMOTE_CAS_ACCESS_KEY", "id", "remote_cas.access_key", "***"),
    ("REPROVM_REMOTE_CAS_SECRET_KEY", "key", "remote_cas.secret_key", "***"),
    ("REPROVM_WEBHOOK_URL", "https://hooks.example.com/x", "notifications.webhook_url", "***"),
    (
        "REPROVM_DISCORD_WEBHOOK",
        "https://discord.example.com/x",
        "notifications.discord_webhook",
        "***",
    ),
    ("REPROVM_MAX_CPU_PERCENT", "80", "rate_limiting.max_cpu_percent", "80"),
    ("REPROVM_MAX_MEMORY_MB", "4096", "rate_limiting.max_memory_mb", "4096"),
    ("REPROVM_MAX_CONCURRENT_TASKS", "16", "rate_limiting.max_concurrent_tasks", "16"),
    ("REPROVM_PROMETHEUS_PORT", "9091", "prometheus.port", "9091"),
    ("REPROVM_ENABLE_METRICS", "1", "performance.enable_metrics", "1"),
    ("REPROVM_BACKUP_DIR", "/backup/reprovm", "backup.backup_dir", "/backup/reprovm"),
    ("REPROVM_AUTO_BACKUP", "1", "backup.auto_backup", "1"),
    (
        "REPROVM_AUDIT_LOG",
        "/var/log/reprovm/audit.log",
        "audit.log_file",
        "/var/log/reprovm/audit.log",
    ),
    ("REPROVM_AUDIT_SYSLOG", "1", "audit.log_to_syslog", "1"),
    ("REPROVM_VERBOSE", "1", "output.verbose", "1"),
    ("REPROVM_FORCE", "1", "execution.force", "1"),
    ("REPROVM_NO_PROGRESS", "1", "output.progress", "false"),
];

#[test]
fn the_short_variables_set_what_they_are_known_for() {
    for (variable, given, name, value) in VARIABLES {
        let mut project = Project::new();
        project.env(variable, given);
        let row = &shown(&project, &[name])[name];
        let origin = format!("variable {variable}");
        assert_eq!((text(row, "value"), text(row, "origin")), (value, &*origin), "{variable}");
    }
}

/// Flags with the setting, the value that it gets and the flag that it names.
const FLAGS: [(&[&str], &str, &str, &str); 26] = [
    (&["-j", "7"], "execution.parallel_jobs", "7", "--jobs"),
    (&["--jobs=7"], "execution.parallel_jobs", "7", "--jobs"),
    (&["-f"], "execution.force", "true", "--force"),
    (&["-t", "9"], "execution.timeout_seconds", "9", "--timeout"),
    (&["--timeout", "9"], "execution.timeout_seconds", "9", "--timeout"),
    (&["--fail-fast"], "execution.fail_fast", "true", "--fail-fast"),
    (&["--wait", "3"], "execution.lock_wait_seconds", "3", "--wait"),
    (&["--no-wait"], "execution.lock_wait_seconds", "0", "--no-wait"),
    (&["--cache-dir", "/c"], "cache.cache_dir", "/c", "--cache-dir"),
    (&["--compress"], "compression.enabled", "true", "--compress"),
    (&["-q"], "output.quiet", "true", "--quiet"),
    (&["-q"], "output.verbose", "false", "--quiet"),
    (&["-V"], "output.verbose", "true", "--verbose"),
    (&["--verbose"], "output.quiet", "false", "--verbose"),
    (&["--no-color"], "logging.log_colors", "false", "--no-color"),
    (&["--no-progress"], "output.progress", "false", "--no-progress"),
    (&["--replay"], "output.replay", "true", "--replay"),
    (&["-m", "m.json"], "performance.metrics_file", "m.json", "--metrics"),
    (&["--metrics", "m.json"], "performance.enable_metrics", "true", "--metrics"),
    (&["-l", "r.log"], "logging.log_file", "r.log", "--log-file"),
    (&["--log-file", "r.log"], "logging.log_file", "r.log", "--log-file"),
    (&["--log-level", "warn"], "logging.log_level", "warn", "--log-level"),
    (&["--max-cpu", "60"], "rate_limiting.max_cpu_percent", "60", "--max-cpu"),
    (&["--max-memory", "8192"], "rate_limiting.max_memory_mb", "8192", "--max-memory"),
    (&["--port", "9091"], "prometheus.port", "9091", "--port"),
    (&["--set", "jobs_are=1", "--set", "parallel_jobs=3"], "", "", ""),
];

#[test]
fn flags_set_what_they_are_named_for() {
    for (flags, name, value, flag) in FLAGS {
        let project = Project::new();
        if name.is_empty() {
            let mut args = vec!["config", "show"];
            args.extend(flags);
            project.run(args).code(14).stderr_has("there is no setting `jobs_are`");
            continue;
        }
        let mut args = flags.to_vec();
        args.push(name);
        let row = &shown(&project, &args)[name];
        let origin = format!("flag {flag}");
        assert_eq!((text(row, "value"), text(row, "origin")), (value, &*origin), "{flags:?}");
    }
}

#[test]
fn the_stronger_layer_wins() {
    let mut project = Project::new();
    let key = "execution.retry_attempts";
    let system = project.outside().join("system.conf");
    let home = project.outside().join("home/.config/reprovm");
    fs::create_dir_all(&home).expect("a folder");
    let value = |project: &Project, args: &[&str]| {
        let mut all = vec!["config", "get", key, "--origin"];
        all.extend(args);
        project.run(all).success().out()
    };
    fs::write(&system, "[execution]\nretry_attempts=1\n").expect("a file");
    project.env("REPROVM_SYSTEM_CONFIG", &system);
    assert_eq!(value(&project, &[]), format!("1  ({}:2)\n", system.display()));
    fs::write(home.join("reprovm.conf"), "retry_attempts=2\n").expect("a file");
    let user = project
        .outside()
        .canonicalize()
        .expect("a folder")
        .join("home/.config/reprovm/reprovm.conf");
    assert_eq!(value(&project, &[]), format!("2  ({}:1)\n", user.display()));
    project.file(".reprovm/reprovm.conf", "\nretry_attempts=3\n");
    assert_eq!(value(&project, &[]), "3  (.reprovm/reprovm.conf:2)\n");
    project.file("given.conf", "retry_attempts=4\n");
    let given = ["-c", "given.conf"];
    assert_eq!(value(&project, &given), "4  (given.conf:1)\n");
    project.env("REPROVM_RETRY_ATTEMPTS", "5");
    assert_eq!(value(&project, &given), "5  (variable REPROVM_RETRY_ATTEMPTS)\n");
    let flag = ["-c", "given.conf", "--set", "retry_attempts=6"];
    assert_eq!(value(&project, &flag), "6  (flag --set)\n");
}

#[test]
fn every_value_that_is_not_allowed_is_told_at_once_with_its_place() {
    let plain = Project::new();
    let bad: Vec<(String, String)> = shown(&plain, &[])
        .into_iter()
        .filter_map(|(name, row)| Some((name, samples(&row).1?)))
        .collect();
    assert!(bad.len() >= 50, "only {}", bad.len());

    let flat: String = bad.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    plain.file("bad.conf", flat).manifest("task a {\n cmd = touch ran\n}\n");
    let from_file = plain.run(["-c", "bad.conf", "manifest.txt"]);
    let flags: Vec<String> = bad
        .iter()
        .flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")])
        .collect();
    let from_flags = plain.run(&flags);
    let mut project = Project::new();
    for (name, value) in bad.iter().filter(|(_, value)| !value.is_empty()) {
        project.env(format!("REPROVM_{}", name.replace('.', "_").to_uppercase()), value);
    }
    let from_variables = project.run(["manifest.txt"]);

    for (line, (name, value)) in (1..).zip(&bad) {
        let what = format!("error: `{value}` is not allowed for `{name}`");
        from_file
            .code(14)
            .stderr_has(&format!("{what}\n"))
            .stderr_has(&format!("bad.conf:{line}:"));
        from_flags.code(14).stderr_has(&format!("{what} (flag --set)\n"));
        if !value.is_empty() {
            let variable = format!("REPROVM_{}", name.replace('.', "_").to_uppercase());
            from_variables.code(14).stderr_has(&format!("{what} (variable {variable})\n"));
        }
    }
    from_file.stderr_has("allowed is a whole number from 1 to 256, or `auto`");
    assert!(!plain.exists("ran"), "nothing runs");
    plain.run(["config", "check", "bad.conf"]).code(14).stderr_has("bad.conf:1:");
}

#[test]
fn mistakes_of_all_layers_are_told_at_once() {
    let mut project = Project::new();
    project.file(".reprovm/reprovm.conf", "[execution]\nparallel_jobs = many\n[execution\nalone\n");
    project.env("REPROVM_TIMEOUT", "soon").env("REPROVM_REMOTE_CAS_URL", "ftp://x");
    let run = project.run(["-j", "0", "--metrics", "m", "--set", "fail_fast=perhaps"]);
    run.code(14).stderr(
        "\
error: this is no section and no setting
 --> .reprovm/reprovm.conf:3:1
  |
3 | [execution
  | ^^^^^^^^^^ expected `[section]`, `key = value`, or `# a comment`

error: `alone` has no value
 --> .reprovm/reprovm.conf:4:1
  |
4 | alone
  | ^^^^^ expected `=` and a value behind it

error: `many` is not allowed for `execution.parallel_jobs`
 --> .reprovm/reprovm.conf:2:17
  |
2 | parallel_jobs = many
  |                 ^^^^ allowed is a whole number from 1 to 256, or `auto`

error: `***` is not allowed for the variable REPROVM_REMOTE_CAS_URL
  help: allowed is https://…, http://…, s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix

error: `soon` is not allowed for `execution.timeout_seconds` (variable REPROVM_TIMEOUT)
  help: allowed is a whole number from 0 to 31536000

error: `perhaps` is not allowed for `execution.fail_fast` (flag --set)
  help: allowed is 1 or 0, true or false, yes or no, on or off

error: `0` is not allowed for `execution.parallel_jobs` (flag --jobs)
  help: allowed is a whole number from 1 to 256, or `auto`
",
    );
}

#[test]
fn unknown_keys_are_told_with_the_nearest_and_passed_over() {
    let project = Project::new();
    project.file(
        ".reprovm/reprovm.conf",
        "[execution]\nparalel_jobs=3\nretry_attempts=2\n[exection]\nx=1\n",
    );
    let run = project.run(["config", "get", "retry_attempts"]);
    run.success().stdout("2\n").stderr(
        "\
warning: there is no setting `paralel_jobs` in the section `execution`
 --> .reprovm/reprovm.conf:2:1
  |
2 | paralel_jobs
  | ^^^^^^^^^^^^ it is passed over
  help: there is a setting `execution.parallel_jobs`
warning: there is no section `exection`
 --> .reprovm/reprovm.conf:4:1
  |
4 | [exection]
  | ^^^^^^^^^^ what stands in it is passed over
  help: there is a section `execution`
",
    );
    project.run(["config", "get", "retry_atempts"]).code(14).stderr_has(
        "error: there is no setting `retry_atempts`\n  \
         help: there is a setting `execution.retry_attempts`\n",
    );
}

#[test]
fn a_secret_is_seen_nowhere_and_kept_in_private_files() {
    let mut project = Project::new();
    project.manifest(
        "task a {\n  cmd = env > out.txt\n  outputs = out.txt\n  inherit_env = true\n}\n",
    );
    project.file(".reprovm/reprovm.conf", "[remote_cas]\nsecret_key = hunter2\n");
    project.chmod(".reprovm/reprovm.conf", 0o640);
    let refused = project.run(["manifest.txt"]);
    refused
        .code(14)
        .stderr_has("`.reprovm/reprovm.conf` holds a secret, and others may read it")
        .stderr_has("chmod 600 .reprovm/reprovm.conf")
        .stderr_lacks("hunter2");
    project.chmod(".reprovm/reprovm.conf", 0o600);
    project.env("REPROVM_WEBHOOK_URL", "https://hooks.example.com/hunter2");
    // The message goes no further than to a proxy that is not there.
    project.env("HTTPS_PROXY", "http://127.0.0.1:9");
    let nobody = ["--set", "notifications.allow_private=1", "--set", "delivery_retries=0"];
    project.env("REPROVM_REMOTE_CAS_ACCESS_KEY", "hunter2");
    let args = ["-V", "--set", "remote_cas.secret_key=hunter2", "manifest.txt"];
    let run = project.run(args.iter().chain(&nobody));
    run.success().stderr_lacks("hunter2").stdout_lacks("hunter2");
    let show = project.run(["config", "show", "--origin"]);
    show.success()
        .stdout_lacks("hunter2")
        .stdout_has("remote_cas.secret_key = ***  (.reprovm/reprovm.conf:2)\n");
    project.remove(".reprovm/reprovm.conf");
    for file in crate::support::files_below(project.root(), &[]) {
        let bytes = project.bytes(&file);
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{}", file.display());
    }
}

#[test]
fn the_documents_file_works_unchanged() {
    let project = Project::new();
    let document = "\
[logging]
log_file=/var/log/reprovm/reprovm.log
log_level=INFO
log_colors=1

[execution]
parallel_jobs=8
retry_attempts=3
timeout_seconds=3600

[cache]
cache_dir=/var/cache/reprovm
max_cache_size_mb=20480

[rate_limiting]
max_cpu_percent=80
max_memory_mb=4096
max_concurrent_tasks=16

[compression]
algorithm=zstd
level=6
enabled=1

[remote_cas]
enabled=1
backend=s3
endpoint=s3.amazonaws.com
bucket=my-reprovm-cache

[notifications]
enabled=1
webhook_url=https://hooks.slack.com/services/...

[prometheus]
enabled=1
port=9090

[backup]
backup_dir=/backup/reprovm
max_backups=10
auto_backup=1

[audit]
enabled=1
log_file=/var/log/reprovm/audit.log
log_to_syslog=1
";
    project.file("doc.conf", document).chmod("doc.conf", 0o600);
    let check = project.run(["config", "check", "doc.conf"]);
    check.success().stderr_lacks("there is no");
    let all = shown(&project, &["-c", "doc.conf"]);
    let mut section = "";
    for line in document.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            continue;
        }
        let (key, value) = line.split_once('=').expect("a setting");
        let row = &all[&format!("{section}.{key}")];
        let value = if row["secret"] == true { "***" } else { value };
        assert_eq!(text(row, "value"), value, "{line}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let project = Project::new();
    project.run(["-c", "none.conf", "config", "show"]).code(14).stderr(
        "error: cannot read `none.conf`: No such file or directory (os error 2)\n  \
         help: name a file of settings that can be read\n",
    );
    project.file("odd.conf", b"[cache]\ncache_dir=\xff\n");
    let odd = project.run(["config", "check", "odd.conf"]);
    odd.code(14).stderr_has("`odd.conf` is not text in UTF-8").stderr_has("odd.conf:2:11");
    project.dir("folder.conf");
    project
        .run(["config", "check", "folder.conf"])
        .code(14)
        .stderr_has("cannot read `folder.conf`");
    project.file("bad.toml", "[execution\nparallel_jobs = [1]\n");
    project.run(["config", "check", "bad.toml"]).code(14).stderr_has("bad.toml:1:");
    project.file("list.toml", "[execution]\nparallel_jobs = [1]\n");
    project.run(["config", "check", "list.toml"]).code(14).stderr_has("list.toml:2:17");
    project.file("quoted.conf", "\u{feff}[cache]\r\ncache_dir = \"a b\"\r\n; note\r\n");
    let quoted = project.run(["-c", "quoted.conf", "config", "get", "cache_dir"]);
    quoted.success().stdout("a b\n");
}

#[test]
fn the_example_file_and_the_page_are_made_from_the_table() {
    generated("reprovm.conf.example", &reprovm::config::example());
    generated("docs/configuration.md", &reprovm::config::documentation());
}

#[test]
fn the_example_file_can_be_used_as_it_is_and_with_every_line_in_force() {
    let project = Project::new();
    let example = reprovm::config::example();
    project.file("as-it-is.conf", &example);
    project.run(["config", "check", "as-it-is.conf"]).success().stderr("");
    let mut count = 0;
    let in_force: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => {
                count += 1;
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    project.file("in-force.conf", in_force).chmod("in-force.conf", 0o600);
    project.run(["config", "check", "in-force.conf"]).success().stderr_lacks("there is no");
    assert_eq!(count, shown(&project, &[]).len());
}

#[test]
fn every_example_of_the_page_can_be_used() {
    let page = include_str!("../../docs/configuration.md");
    let project = Project::new();
    let mut examples = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a kind of text and the text");
        let name = match kind {
            "ini" => "example.conf",
            "toml" => "example.toml",
            other => panic!("a block of `{other}`"),
        };
        project.file(name, text);
        let check = project.run(["config", "check", name]);
        check.success().stderr_lacks("there is no").stdout_has(&format!("`{name}` can be used"));
        let jobs = project.run(["-c", name, "config", "get", "parallel_jobs"]);
        jobs.success().stdout("8\n");
        examples += 1;
    }
    assert_eq!(examples, 3);
}
