//! `--prometheus-exporter`: the figures of a project over HTTP, alone or beside a run, and as a
//! file at the end of one.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::base::fs;
use crate::cli::{Call, Code, Failure};
use crate::event::Figures;
use crate::observe::{CONTENT_TYPE, Live, page};
use crate::ops::{self, CacheCounter};
use crate::serve::{BindError, Page, PageServer, StopSignals, permit_many_connections};

/// Serves until a signal ends it, which gives the exit code.
pub(super) fn run(call: &Call) -> Result<u8, Failure> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |source| Failure::from(ops::Error::System { what, source })
    };
    let signals = StopSignals::listen().map_err(system("listen for signals"))?;
    permit_many_connections();
    let counter = CacheCounter::new(&call.settings.config);
    let server = start(call, move || ops::figures(&counter)).map_err(|error| unserved(&error))?;
    announce(call, &server);
    let signal = signals.wait();
    tracing::info!(signal, "exporter stops");
    drop(server);
    Ok(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
}

/// The figures of a run while it goes on, where the settings want that. A port that is not free
/// is no reason not to build.
pub(in crate::cli) fn beside(call: &Call) -> Option<(Live, PageServer)> {
    let config = &call.settings.config;
    if !config.prometheus.enabled {
        return None;
    }
    let counter = Arc::new(CacheCounter::new(config));
    let earlier = Arc::clone(&counter);
    let live = Live::new(move || ops::figures_of_runs(&earlier));
    let current = live.clone();
    let now = move || Figures { cache: counter.count(), ..current.figures() };
    match start(call, now) {
        Ok(server) => {
            if !config.output.quiet {
                announce(call, &server);
            }
            Some((live, server))
        }
        Err(error) => {
            let problem = format!("{error}: {}; the run does not serve its figures", error.source);
            call.screen.warning(&problem);
            None
        }
    }
}

/// Writes the figures to the file for node_exporter, where the settings name one.
pub(in crate::cli) fn write_textfile(call: &Call) {
    let config = &call.settings.config;
    let Some(path) = &config.prometheus.textfile else { return };
    let folder = std::env::current_dir().unwrap_or_default();
    let project = folder.display().to_string();
    let text = page(ops::figures(&CacheCounter::new(config)), Some(&project));
    if let Err(error) = write(path, &text) {
        call.screen.warning(&format!("{error}: {}", error.source));
    }
}

/// In one step, and for everyone to read: node_exporter is another user.
fn write(path: &Path, text: &str) -> Result<(), fs::FileError> {
    fs::write_atomic_with(path, |file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
    })
}

fn start(
    call: &Call,
    figures: impl Fn() -> Figures + Send + Sync + 'static,
) -> Result<PageServer, BindError> {
    let settings = &call.settings.config.prometheus;
    let environment = call.environment.clone();
    let text = move || {
        environment.panic_point("scrape");
        page(figures(), None)
    };
    let path = settings.metrics_path.0.clone();
    let page = Page { path, content_type: CONTENT_TYPE, text: Box::new(text) };
    let port = u16::try_from(settings.port).unwrap_or(u16::MAX);
    PageServer::start(settings.address, port, page)
}

fn announce(call: &Call, server: &PageServer) {
    let (address, path) = (server.address(), &call.settings.config.prometheus.metrics_path.0);
    tracing::info!(%address, path, "figures are served");
    call.screen.error(&format!("figures are served at http://{address}{path}\n"));
}

fn unserved(error: &BindError) -> Failure {
    let help = match error.source.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there: name a free port with `--port N`, or let \
             `--port 0` find one"
        }
        ErrorKind::PermissionDenied => "ports below 1024 are for root: name another, `--port N`",
        _ => "`prometheus.address` must be an address of this machine",
    };
    Failure::Refused {
        message: format!("{error}: {}", error.source),
        help: help.to_owned(),
        code: Code::NetworkError,
    }
}
