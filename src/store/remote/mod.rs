//! A store elsewhere: the same bytes by the same digests, and records by their keys. What comes
//! from it is believed by nobody before it was verified.
//!
//! Nothing is connected to before the first request. `docs/remote.md` describes the layout.

mod http;
mod s3;
mod timed;

use std::fmt::Debug;
use std::time::Duration;

use crate::base::http::{HttpError, Payload, Place, Sink};
use crate::base::{Digest, Secret};
use crate::config::{Backend, RemoteCas};

pub use timed::Timed;

/// What a thing is, and so where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    Objects,
    Records,
}

/// The name of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    pub shelf: Shelf,
    pub digest: Digest,
}

impl Name {
    pub fn object(digest: Digest) -> Self {
        Self { shelf: Shelf::Objects, digest }
    }

    pub fn record(digest: Digest) -> Self {
        Self { shelf: Shelf::Records, digest }
    }

    /// `cas/` or `ac/` and 64 hex digits.
    fn path(&self) -> String {
        let folder = match self.shelf {
            Shelf::Objects => "cas",
            Shelf::Records => "ac",
        };
        format!("{folder}/{}", self.digest)
    }
}

/// What is known of a thing without fetching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Absent,
    /// With its length, where the store says it.
    There(Option<u64>),
}

/// A remote store. Shared by reference between threads.
pub trait Remote: Debug + Send + Sync {
    /// The address of a thing, for messages.
    fn address(&self, name: &Name) -> String;

    /// Fetches something; one of `size` bytes may take longer. False: it is not there.
    fn get(&self, name: &Name, size: u64, into: &mut dyn Sink) -> Result<bool, HttpError>;

    fn look_for(&self, name: &Name) -> Result<Presence, HttpError>;

    /// Stores all of it or nothing.
    fn put(&self, name: &Name, payload: Payload<'_>) -> Result<(), HttpError>;
}

/// What is wrong with the settings, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Mistake {
    pub what: String,
    pub help: &'static str,
}

impl Mistake {
    fn new(what: impl Into<String>, help: &'static str) -> Self {
        Self { what: what.into(), help }
    }
}

/// A store that is ready to be asked.
#[derive(Debug)]
pub struct Opened {
    pub remote: Timed,
    /// For people.
    pub place: String,
    /// What the user had better know, a sentence each.
    pub warnings: Vec<String>,
}

/// The store of the settings. The error says what is wrong with them.
pub fn open(settings: &RemoteCas) -> Result<Opened, Mistake> {
    let (remote, place, shown): (Box<dyn Remote>, _, _) = match settings.backend {
        Backend::Http => {
            let place = endpoint(settings)?.ok_or_else(|| {
                Mistake::new(
                    "the address of the remote store is not set",
                    "set `remote_cas.endpoint`, or the variable REPROVM_REMOTE_CAS_URL",
                )
            })?;
            let shown = place.to_string();
            (Box::new(http::HttpStore::new(settings, &place)?), place, shown)
        }
        Backend::S3 => {
            let place = endpoint(settings)?;
            let store = s3::S3Store::new(settings, place.as_ref())?;
            let (place, shown) = (store.place().clone(), store.shown());
            (Box::new(store), place, shown)
        }
        Backend::Gcs => return Err(not_there("gcs")),
        Backend::Azure => return Err(not_there("azure")),
        Backend::Custom => return Err(not_there("custom")),
    };
    let mut warnings = Vec::new();
    if settings.secret_key.is_some() && !place.is_secure() && !place.is_loopback() {
        warnings.push(format!(
            "the keys of the remote store go to `{place}` without encryption; use `https://`"
        ));
    }
    Ok(Opened { remote: Timed::new(remote), place: shown, warnings })
}

fn not_there(backend: &str) -> Mistake {
    Mistake::new(
        format!("the remote store `{backend}` is not in this version"),
        "`remote_cas.backend` can be `http` or `s3`",
    )
}

fn endpoint(settings: &RemoteCas) -> Result<Option<Place>, Mistake> {
    if settings.endpoint.is_empty() {
        return Ok(None);
    }
    let place = Place::parse(&settings.endpoint, settings.use_ssl);
    place.map(Some).map_err(|problem| {
        Mistake::new(
            format!("`remote_cas.endpoint` cannot be used: {problem}"),
            "it has the form `https://host/path`",
        )
    })
}

fn no_client(problem: &str) -> Mistake {
    Mistake::new(
        format!("connections to the remote store cannot be made: {problem}"),
        "the certificates that this machine trusts are needed for `https://`",
    )
}

fn patience(settings: &RemoteCas) -> Duration {
    Duration::from_secs(settings.request_timeout_seconds)
}

/// The two keys, where both are set.
fn both(settings: &RemoteCas) -> Option<(&Secret, &Secret)> {
    settings.access_key.as_ref().zip(settings.secret_key.as_ref())
}
