//! Settings: one table, the layers that values come from, and where each came from. Also the
//! environment of the process: this is the only room that reads it.
//!
//! Knows nothing of what a setting is for.

mod declare;
mod environment;
mod files;
mod fold;
mod lookup;
mod not_yet;
mod notify;
mod render;
mod table;
mod value;
mod variables;

pub use declare::{Section, Setting};
pub use environment::Environment;
pub use files::{FileLayer, system_file, user_file};
pub use fold::{Chosen, Entry, Origin, Settings, check_file};
pub use lookup::{Find, find};
pub use notify::{Addresses, Field, HookUrl, NoticeKinds, Template};
pub use render::{documentation, example};
pub use table::{
    Audit, Backup, Cache, Compression, Config, Execution, History, Logging, Notifications, Output,
    Performance, Prometheus, RateLimiting, RemoteCas, SECTIONS, Security, settings,
};
pub use value::{
    Algorithm, Auto, Backend, Fallback, JobserverKind, Limit, LogFormat, RemoteMode, SmtpTls,
    SyslogAddress, UrlPath, Wait,
};
pub use variables::{is_secret_variable, secret_variables};
