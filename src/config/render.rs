//! The table as text: the example file and the page of the documentation. Both are checked in,
//! and a test holds that they are as they are made here.

use std::fmt::Write as _;

use super::declare::Setting;
use super::table::SECTIONS;
use super::variables::secret_variables;

/// Values that show more than the default does.
const EXAMPLES: [(&str, &str); 16] = [
    ("logging.log_file", "/var/log/reprovm/reprovm.log"),
    ("execution.parallel_jobs", "8"),
    ("execution.lock_wait_seconds", "60"),
    ("rate_limiting.max_cpu_percent", "80"),
    ("rate_limiting.max_memory_mb", "4096"),
    ("rate_limiting.max_concurrent_tasks", "16"),
    ("rate_limiting.max_tasks_per_second", "100"),
    ("rate_limiting.max_disk_percent", "95"),
    ("rate_limiting.max_cache_operations_per_second", "1000"),
    ("remote_cas.endpoint", "s3.amazonaws.com"),
    ("remote_cas.bucket", "my-reprovm-cache"),
    ("notifications.webhook_events", "run_failed, task_failed"),
    ("notifications.email_to", "builds@example.com"),
    ("notifications.smtp_host", "smtp.example.com"),
    ("notifications.smtp_user", "ci@example.com"),
    ("notifications.command", "notify-send \"$REPROVM_EVENT\""),
];

const EXAMPLE_HEAD: &str = "\
# Settings of ReproVM. This file shows each with its default or an example; take away the `#` of
# what you change. It is made from the program's own table.
#
# It is read from /etc/reprovm/reprovm.conf, ~/.config/reprovm/reprovm.conf, and
# .reprovm/reprovm.conf of the project; later files win, then variables, then flags.
# `reprovm config check FILE` says what is wrong in a file, `reprovm config show --origin` what is
# in force and where it comes from.
";

/// `reprovm.conf.example`.
pub fn example() -> String {
    let mut out = EXAMPLE_HEAD.to_owned();
    for section in SECTIONS {
        add(&mut out, format_args!("\n# {}", section.doc));
        add(&mut out, format_args!("[{}]", section.name));
        for setting in section.settings {
            add(&mut out, format_args!("\n# {}.", setting.doc()));
            let default = if setting.default.is_empty() { "nothing" } else { setting.default };
            add(&mut out, format_args!("# Allowed: {}. Default: {default}.", setting.allowed()));
            if !setting.is_in_use() {
                add(&mut out, format_args!("# Not yet in use."));
            }
            add(&mut out, format_args!("#{}={}", setting.key, example_of(setting)));
        }
    }
    out
}

fn example_of(setting: &Setting) -> &str {
    let name = setting.name();
    let example = EXAMPLES.iter().find(|(example, _)| *example == name);
    example.map_or(setting.default, |(_, value)| value)
}

const PAGE_HEAD: &str = "\
# Configuration

Each setting has a section, a key and a default. Where a value comes from, the later wins:

1. the default
2. `/etc/reprovm/reprovm.conf`, for the machine; the variable `REPROVM_SYSTEM_CONFIG` names another file, or, if it is empty, none
3. `$XDG_CONFIG_HOME/reprovm/reprovm.conf` or `~/.config/reprovm/reprovm.conf`, for the user
4. `.reprovm/reprovm.conf`, for the project
5. the file of `-c FILE`
6. the environment
7. the flags

`reprovm config show` prints what is in force, with `--origin` also where each value comes from; `reprovm config get KEY` prints one value, and `reprovm config check FILE` what is wrong in a file. With `-o json` they print JSON. Relative paths are relative to the project.

## Files

A file has sections and bare values:

```ini
# a comment stands on a line of its own
[execution]
parallel_jobs=8
timeout_seconds = 7200

[cache]
cache_dir=/var/cache/reprovm
```

Or it has no sections; then a key that several sections have is written with its section:

```ini
parallel_jobs=8
audit.log_file=/var/log/reprovm/audit.log
```

A file whose name ends in `.toml` is TOML with the same sections and keys:

```toml
[execution]
parallel_jobs = 8
fail_fast = true
```

An unknown key or section is told, with the nearest name, and passed over. A value that is not allowed ends the program with code 14 before anything runs; all such values are told at once, each with its file and line, its variable or its flag.

## Variables and flags

Each setting has a variable, `REPROVM_SECTION_KEY` in capitals, and some have a shorter one (below). An empty variable is as one that is not set. A few set more than one setting:

| variable | sets |
|---|---|
| `REPROVM_NO_COLOR`, `REPROVM_NO_PROGRESS` | the opposite of `logging.log_colors` and `output.progress` |
| `REPROVM_COMPRESSION` | `compression.algorithm` and `compression.enabled`; `none` only ends the second |
| `REPROVM_REMOTE_CAS_URL` | the place of the remote store: `remote_cas.enabled`, `backend`, `endpoint`, `bucket`, `prefix` |
| `REPROVM_WEBHOOK_URL`, `REPROVM_SLACK_WEBHOOK`, `REPROVM_DISCORD_WEBHOOK` | the address, and `notifications.enabled` |
| `REPROVM_AUDIT_LOG` | `audit.log_file` and `audit.enabled` |
| `REPROVM_METRICS_FILE` | `performance.metrics_file` and `performance.enable_metrics` |

Each setting can be set by `--set KEY=VALUE`, and many have a flag of their own.

## Secrets

";

/// `docs/configuration.md`.
pub fn documentation() -> String {
    let mut out = PAGE_HEAD.to_owned();
    let names: Vec<String> = secret_variables().iter().map(|name| format!("`{name}`")).collect();
    add(
        &mut out,
        format_args!(
            "Settings that are marked *secret* are never printed, logged or stored, and a file \
             that sets one is refused unless it is readable by its owner only (`chmod 600`). \
             Variables that hold them are not passed to tasks, whatever these ask for: {}.",
            names.join(", ")
        ),
    );
    for section in SECTIONS {
        add(&mut out, format_args!("\n## [{}]\n\n{}\n", section.name, section.doc));
        add(&mut out, format_args!("| key | default | allowed | other names | what it does |"));
        add(&mut out, format_args!("|---|---|---|---|---|"));
        for setting in section.settings {
            let default = match setting.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let marks = match (setting.secret, setting.is_in_use()) {
                (true, true) => " *(secret)*",
                (true, false) => " *(secret, not yet in use)*",
                (false, true) => "",
                (false, false) => " *(not yet in use)*",
            };
            add(
                &mut out,
                format_args!(
                    "| `{}` | {default} | {} | {} | {}{marks} |",
                    setting.key,
                    setting.allowed(),
                    other_names(setting),
                    setting.doc(),
                ),
            );
        }
    }
    out
}

fn other_names(setting: &Setting) -> String {
    let names = setting.variable.into_iter().chain(setting.flag);
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}
