//! The table of all settings. A row is all there is to say of a setting; the typed sections, the
//! example file, the documentation and the names of variables are made from it.

use std::net::IpAddr;
use std::path::PathBuf;

use super::declare::{Section, Setting, settings};
use super::notify::{Addresses, HookUrl, NoticeKinds, Template};
use super::value::{
    Algorithm, Auto, Backend, Fallback, JobserverKind, Limit, LogFormat, RemoteMode, SmtpTls,
    SyslogAddress, UrlPath, Value, Wait,
};
use crate::base::Secret;
use crate::event::Level;

settings! {
    #[doc = "The log: what the program writes for people who look for a fault."]
    logging: Logging {
        /// The file that the log is written to; relative to the project. Nothing: no file is
        /// written
        log_file: Option<PathBuf> = "", var "REPROVM_LOG_FILE", flag "--log-file FILE";
        /// How grave a line is at least
        log_level: Level = "info", var "REPROVM_LOG_LEVEL", flag "--log-level LEVEL";
        /// Whether what is printed is coloured on a terminal
        log_colors: bool = "true", flag "--no-color";
        /// The form of the log file: lines for people, or a JSON object on each line
        log_format: LogFormat = "text";
        /// At this size the file is put aside, as `FILE.1`, and a new one begun
        log_max_size_mb: u64 = "10" in 1 to 1048576;
        /// How many files that were put aside are kept
        log_max_files: u64 = "5" in 0 to 1000;
        /// Whether the log is printed on stderr as well
        log_to_console: bool = "false";
    }

    #[doc = "The cache: where results are kept, how much of them and for how long."]
    cache: Cache {
        /// The folder that holds the cache; relative to the project. Several projects may share
        /// one
        cache_dir: PathBuf = ".reprovm", var "REPROVM_CACHE_DIR", flag "--cache-dir DIR";
        /// How large the cache may become, in MiB
        max_cache_size_mb: Limit = "10240" in 1 to 1073741824, var "REPROVM_MAX_CACHE_SIZE";
        /// How long a result is kept that nobody asks for, in hours
        cache_ttl_hours: Limit = "168" in 1 to 876000;
    }

    #[doc = "How tasks are run."]
    execution: Execution {
        /// How many tasks run at a time; auto: one for each core
        parallel_jobs: Auto = "auto" in 1 to 256, var "REPROVM_JOBS", flag "--jobs N";
        /// How often a failed task is tried again that does not say so itself
        retry_attempts: u64 = "0" in 0 to 100, var "REPROVM_RETRY_ATTEMPTS";
        /// The time before the first retry, in milliseconds; it doubles with each
        retry_delay_ms: u64 = "1000" in 0 to 3600000;
        /// How long a task may take that does not say so itself, in seconds; 0: as long as it
        /// likes
        timeout_seconds: u64 = "3600" in 0 to 31536000, var "REPROVM_TIMEOUT", flag "--timeout SEC";
        /// How long a task that was asked to end (TERM) has until it is killed, in seconds
        grace_seconds: u64 = "5" in 0 to 3600;
        /// Whether nothing more is started after the first failure
        fail_fast: bool = "false", flag "--fail-fast";
        /// Whether everything needed is run, whatever the cache says
        force: bool = "false", var "REPROVM_FORCE", flag "--force";
        /// How `make` and other programs in tasks share the slots of the run: a pipe that they
        /// inherit, a fifo that newer ones open (make 4.4, ninja 1.13), or not at all
        jobserver: JobserverKind = "pipe";
        /// How long a run waits for another one of the same project, in seconds
        lock_wait_seconds: Wait = "forever" in 0 to 31536000, flag "--wait SECONDS, --no-wait";
    }

    #[doc = "What is printed while a run goes on."]
    output: Output {
        /// Whether the progress of a run is shown on a terminal
        progress: bool = "true", flag "--no-progress";
        /// Whether commands, keys and all reasons are printed
        verbose: bool = "false", var "REPROVM_VERBOSE", flag "--verbose";
        /// Whether only failures and warnings are printed
        quiet: bool = "false", flag "--quiet";
        /// Whether what tasks wrote that need not run is shown again
        replay: bool = "false", flag "--replay";
    }

    #[doc = "Figures of runs."]
    performance: Performance {
        /// Whether each run writes its figures to `metrics_file`
        enable_metrics: bool = "false", var "REPROVM_ENABLE_METRICS", flag "--metrics FILE";
        /// How often the figures are written while a run goes on, in seconds
        metrics_interval_seconds: u64 = "60" in 1 to 86400;
        /// The file for the figures, as JSON; relative to the project
        metrics_file: PathBuf = ".reprovm/metrics.json", flag "--metrics FILE";
        /// Whether each run writes where its time went to `profile_file`, and prints the critical
        /// path
        enable_profiling: bool = "false", flag "--profile";
        /// The file for it, for Perfetto or chrome://tracing; relative to the project
        profile_file: PathBuf = ".reprovm/profile.json";
    }

    #[doc = "The journals of the last runs, for `reprovm runs`. A run that had nothing to do leaves none."]
    history: History {
        /// How many journals are kept; 0: none is written
        keep_runs: u64 = "100" in 0 to 100000;
        /// How large they may be together, in MiB
        max_size_mb: u64 = "64" in 1 to 1048576;
    }

    #[doc = "What is refused, and what is looked at twice."]
    security: Security {
        /// Whether tasks see only the files that they declare
        enable_sandboxing: bool = "false";
        /// The largest file that may be an input, in MiB
        max_input_size_mb: Limit = "1024" in 1 to 1073741824;
        /// Whether every input and output is read and hashed in every run, whatever its times and
        /// its size say
        validate_checksums: bool = "false";
        /// Whether a manifest with a command that is known to be dangerous is refused
        deny_dangerous: bool = "false";
    }

    #[doc = "How much of the machine a run may use. Nothing is limited unless it is set."]
    rate_limiting: RateLimiting {
        /// No task is started while the machine is busier than this, in percent of all cores
        max_cpu_percent: Limit = "off" in 1 to 100, var "REPROVM_MAX_CPU_PERCENT", flag "--max-cpu PERCENT";
        /// No task is started while those of the run would use more memory than this, in MiB
        max_memory_mb: Limit = "off" in 1 to 1073741824, var "REPROVM_MAX_MEMORY_MB", flag "--max-memory MB";
        /// How many tasks run at a time, whatever the number of jobs is
        max_concurrent_tasks: Limit = "off" in 1 to 256, var "REPROVM_MAX_CONCURRENT_TASKS";
        /// How many commands are started in a second; after a pause as many at once
        max_tasks_per_second: Limit = "off" in 1 to 1000000;
        /// No task is started while the disk of the project or of the cache is fuller than this,
        /// in percent
        max_disk_percent: Limit = "off" in 1 to 100;
        /// How often in a second the cache is asked for a result, or a result is put into place or
        /// into the cache
        max_cache_operations_per_second: Limit = "off" in 1 to 1000000;
    }

    #[doc = "How stored objects are compressed."]
    compression: Compression {
        /// Whether new objects are compressed
        enabled: bool = "false", flag "--compress";
        /// With what
        algorithm: Algorithm = "zstd", var "REPROVM_COMPRESSION";
        /// How hard, from fast to small
        level: u64 = "3" in 1 to 12, var "REPROVM_COMPRESSION_LEVEL";
    }

    #[doc = "A store elsewhere that several machines share. REPROVM_REMOTE_CAS_URL sets its place at once: https://…, s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix."]
    remote_cas: RemoteCas {
        /// Whether it is used
        enabled: bool = "false";
        /// What kind of store it is
        backend: Backend = "http";
        /// Its address; nothing: the one that is usual for the backend
        endpoint: String = "";
        /// The bucket or container
        bucket: String = "";
        /// What the names of objects in it begin with
        prefix: String = "";
        /// The region of an S3 store
        region: String = "us-east-1";
        /// Whether the connection is encrypted where the address does not say so
        use_ssl: bool = "true";
        /// The name by which the store knows us
        access_key: Option<Secret> = "", var "REPROVM_REMOTE_CAS_ACCESS_KEY", secret = true;
        /// The key that proves it
        secret_key: Option<Secret> = "", var "REPROVM_REMOTE_CAS_SECRET_KEY", secret = true;
        /// What it is used for
        mode: RemoteMode = "read-write";
        /// How long a request may take with all its tries, in seconds; a body has a second more
        /// for each 64 KiB
        request_timeout_seconds: u64 = "30" in 1 to 86400;
    }

    #[doc = "Who is told of runs, and of what."]
    notifications: Notifications {
        /// Whether anybody is told
        enabled: bool = "false";
        /// The address that gets each event as JSON
        webhook_url: Option<HookUrl> = "", var "REPROVM_WEBHOOK_URL", secret = true;
        /// The key that messages to it are signed with
        webhook_secret: Option<Secret> = "", secret = true;
        /// The events that the webhook gets
        webhook_events: NoticeKinds = "default";
        /// The address of an incoming webhook of Slack
        slack_webhook: Option<HookUrl> = "", var "REPROVM_SLACK_WEBHOOK", secret = true;
        /// The events that Slack gets
        slack_events: NoticeKinds = "default";
        /// The address of a webhook of Discord
        discord_webhook: Option<HookUrl> = "", var "REPROVM_DISCORD_WEBHOOK", secret = true;
        /// The events that Discord gets
        discord_events: NoticeKinds = "default";
        /// The addresses that get mail
        email_to: Addresses = "";
        /// The address that mail comes from; nothing: the first that gets it
        email_from: Addresses = "" in 0 to 1;
        /// The events that are told by mail
        email_events: NoticeKinds = "default";
        /// The server that takes mail
        smtp_host: String = "";
        /// Its port; auto: 587, and with `smtp_tls` 465 for `tls` and 25 for `none`
        smtp_port: Auto = "auto" in 1 to 65535;
        /// How the connection to it is encrypted
        smtp_tls: SmtpTls = "starttls";
        /// The name by which it knows us; nothing: it is not told
        smtp_user: String = "";
        /// The password that proves it
        smtp_password: Option<Secret> = "", secret = true;
        /// A command that reads each event as JSON
        command: String = "";
        /// The events that the command gets
        command_events: NoticeKinds = "default";
        /// Whether good ends are told: `run_completed`, `task_completed`
        notify_on_complete: bool = "true";
        /// Whether all other events are told
        notify_on_error: bool = "true";
        /// The first line of a message, and the subject of a mail
        title: Template = "{project}: {outcome}";
        /// The text of a message; `\n` begins a line
        text: Template = "{summary}\\n{details}";
        /// How long one try may take, in seconds
        delivery_timeout_seconds: u64 = "5" in 1 to 3600;
        /// How often a message is tried again that was not taken
        delivery_retries: u64 = "3" in 0 to 100;
        /// The time before the first of these, in milliseconds; it doubles with each
        delivery_delay_ms: u64 = "500" in 0 to 3600000;
        /// How long the end of a run waits at most until all messages are delivered, in seconds
        max_wait_seconds: u64 = "5" in 0 to 3600;
        /// Whether messages may go to this machine and to private networks
        allow_private: bool = "false";
    }

    #[doc = "Figures for Prometheus."]
    prometheus: Prometheus {
        /// Whether a run serves its figures while it goes on
        enabled: bool = "false", flag "--prometheus-exporter";
        /// The address of this machine that they are served at. Whoever reaches it can read them
        address: IpAddr = "127.0.0.1";
        /// The port; 0: any that is free, which is printed
        port: u64 = "9090" in 0 to 65535, var "REPROVM_PROMETHEUS_PORT", flag "--port N";
        /// The path of the page
        metrics_path: UrlPath = "/metrics";
        /// The file that each run writes them to at its end, for the textfile collector of
        /// node_exporter; relative to the project. Nothing: no file is written
        textfile: Option<PathBuf> = "";
    }

    #[doc = "Copies of the cache."]
    backup: Backup {
        /// The folder that holds them; relative to the project
        backup_dir: PathBuf = ".reprovm/backups", var "REPROVM_BACKUP_DIR";
        /// How many of those that runs make by themselves are kept
        max_backups: u64 = "10" in 1 to 100000;
        /// How they are compressed; how hard is said by `compression.level`
        compression: Algorithm = "zstd";
        /// Whether each run that succeeded and executed something makes one
        auto_backup: bool = "false", var "REPROVM_AUTO_BACKUP";
    }

    #[doc = "The record of who did what, of which a change can be seen."]
    audit: Audit {
        /// Whether it is kept
        enabled: bool = "false";
        /// The file; relative to the project
        log_file: PathBuf = ".reprovm/audit.log", var "REPROVM_AUDIT_LOG";
        /// Whether it goes to the log of the system as well
        log_to_syslog: bool = "false", var "REPROVM_AUDIT_SYSLOG";
        /// Where that is: a socket, udp://HOST:PORT or tcp://HOST:PORT
        syslog_address: SyslogAddress = "/dev/log";
        /// Whether it is printed on stderr as well
        log_to_console: bool = "false";
        /// What a run does that cannot write it: fail, or warn
        on_full: Fallback = "fail";
        /// The file with the key that seals it, which changes with every seal; relative to the
        /// project. Nothing: it is not sealed
        key_file: Option<PathBuf> = "";
        /// The file to which is appended how far the log got: a cut end is seen by it. It belongs
        /// where who can write the log cannot. Nothing: no such file
        anchor_file: Option<PathBuf> = "";
    }
}

/// All settings, in the order of the table.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// The number of a setting in the order of the table.
pub(super) fn index_of(section: &str, key: &str) -> Option<usize> {
    settings().position(|setting| setting.section == section && setting.key == key)
}
