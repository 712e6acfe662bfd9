//! Talking HTTP: a client for one place, a few tries within a limit of time, and errors that say
//! what was asked and answered. Redirects are not followed, so that keys go nowhere else.
//!
//! Making a client connects to nothing. Knows nothing of what is fetched.

pub mod hook;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Body, RequestBuilder, Response};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

use super::Secret;
use super::clock::{self, Stopwatch};
use super::digest::CHUNK;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a request is tried.
pub const TRIES: u32 = 4;
/// Before the second try; each further one waits twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A body may take as much longer as it has bytes, at this many in a second.
const SLOWEST: u64 = 64 << 10;

/// The address of a place, without a slash at its end. It holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    url: String,
    secure: bool,
    loopback: bool,
}

impl Place {
    /// From an address as people write it; `secure` decides where it has no scheme. The error
    /// says what is wrong, and repeats nothing that could be a secret.
    pub fn parse(text: &str, secure: bool) -> Result<Self, &'static str> {
        let scheme = if secure { "https" } else { "http" };
        let full =
            if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
        let url = Url::parse(&full).map_err(|_| "it is no address")?;
        let host = url.host_str().ok_or("it names no host")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it begins with neither `https://` nor `http://`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a name and a password belong into `remote_cas.access_key` and \
                        `remote_cas.secret_key`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has a `?` or a `#`");
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<std::net::IpAddr> = bare.parse().ok();
        let loopback = host == "localhost" || address.is_some_and(|ip| ip.is_loopback());
        let secure = url.scheme() == "https";
        Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), secure, loopback })
    }

    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The address of something in it.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A request that did not do what it was for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} `{url}`: {fault}{}", method.verb(), again(*tries))]
pub struct HttpError {
    pub method: Method,
    pub url: String,
    pub fault: Fault,
    pub tries: u32,
}

fn again(tries: u32) -> String {
    if tries > 1 { format!(" (tried {tries} times)") } else { String::new() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Put,
}

impl Method {
    fn verb(self) -> &'static str {
        match self {
            Self::Get => "fetch",
            Self::Head => "look for",
            Self::Put => "store",
        }
    }
}

/// What came instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection, or one that broke.
    #[error("{0}")]
    Transport(String),
    #[error("it was not done within {} seconds", .0.as_secs_f32())]
    Late(Duration),
    #[error("the answer was {}", status(*.0))]
    Status(u16),
    #[error("the answer was a redirect ({0}) to {1}, and redirects are not followed")]
    Redirect(u16, String),
    /// Our own side could not read or write.
    #[error("{0}")]
    Local(String),
}

fn status(code: u16) -> String {
    let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| code.to_string(), |reason| format!("{code} {reason}"))
}

impl HttpError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match &self.fault {
            Fault::Transport(_) | Fault::Late(_) => {
                "see whether the address of the remote store is right and can be reached from here"
            }
            Fault::Status(401 | 403) => {
                "the store does not let us: see whether `remote_cas.access_key` and \
                 `remote_cas.secret_key` are set and right"
            }
            Fault::Status(404) => "there is no such place: see whether the bucket is there",
            Fault::Status(408 | 429 | 500..) => "the store is in trouble: try again later",
            Fault::Status(_) => "the store does not take such requests: see how it is set up",
            Fault::Redirect(..) => "name the place itself, so that keys go nowhere else",
            Fault::Local(_) => "see whether the disk is full",
        }
    }
}

impl Fault {
    /// Whether it may be gone at the next try.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Status(code) => *code >= 500 || matches!(code, 408 | 429),
            Self::Late(_) | Self::Redirect(..) | Self::Local(_) => false,
        }
    }
}

/// Where a body goes. Each try begins it anew; an error ends the request.
pub trait Sink: Write {
    fn restart(&mut self) -> io::Result<()>;
}

/// A small body in memory.
#[derive(Debug)]
pub struct Small {
    pub bytes: Vec<u8>,
    most: usize,
}

impl Small {
    /// One of at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    /// Whether more came than may be.
    pub fn is_over(&self) -> bool {
        self.bytes.len() > self.most
    }
}

impl Write for Small {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(part);
        if self.is_over() { Err(io::Error::other("it is too large")) } else { Ok(part.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Small {
    fn restart(&mut self) -> io::Result<()> {
        self.bytes.clear();
        Ok(())
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    Bytes(&'a [u8]),
    /// A file from its beginning, with its length.
    File(&'a File, u64),
}

impl Payload<'_> {
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    fn body(&self) -> io::Result<Body> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.to_vec().into()),
            Self::File(file, length) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Ok(Body::sized(file, *length))
            }
        }
    }
}

/// What we present.
#[derive(Debug, Clone)]
pub enum Auth {
    None,
    Basic(Secret, Secret),
    Bearer(Secret),
}

/// A client for one place.
#[derive(Debug)]
pub struct Client {
    inner: reqwest::blocking::Client,
    auth: Auth,
    patience: Duration,
}

/// How the library for S3 gets a client of the same habits.
pub use reqwest::Client as AsyncClient;

/// A client that does not block; with these habits: no redirects, a limit for connecting.
pub fn async_client(place: &Place) -> Result<AsyncClient, String> {
    builder(place.is_secure()).build().map_err(|error| deepest(&error))
}

fn builder(is_secure: bool) -> reqwest::ClientBuilder {
    // A second call finds the first one's provider, and that is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = AsyncClient::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .user_agent(concat!("reprovm/", env!("CARGO_PKG_VERSION")));
    if is_secure {
        return builder;
    }
    // Nothing is encrypted, so no certificates need be read, nor even be there.
    let trusts_nobody = rustls::ClientConfig::builder()
        .with_root_certificates(Arc::new(rustls::RootCertStore::empty()))
        .with_no_client_auth();
    builder.tls_backend_preconfigured(trusts_nobody)
}

impl Client {
    /// `patience`: how long a request may take with all its tries; bodies have longer.
    pub fn new(place: &Place, auth: Auth, patience: Duration) -> Result<Self, String> {
        let inner = reqwest::blocking::ClientBuilder::from(builder(place.is_secure()))
            .timeout(None)
            .build()
            .map_err(|error| deepest(&error))?;
        Ok(Self { inner, auth, patience })
    }

    /// Fetches a body of about `size` bytes. False: there is nothing.
    pub fn get(&self, url: &str, size: u64, into: &mut dyn Sink) -> Result<bool, HttpError> {
        tried(Method::Get, url, allowed(self.patience, size), |left| {
            let Some(mut response) = self.answer(self.inner.get(url), left)? else {
                return Ok(false);
            };
            into.restart().map_err(local)?;
            receive(&mut response, into, left)?;
            Ok(true)
        })
    }

    /// How long something is that is there, where that is told.
    pub fn head(&self, url: &str) -> Result<Option<Option<u64>>, HttpError> {
        tried(Method::Head, url, self.patience, |left| {
            let response = self.answer(self.inner.head(url), left)?;
            Ok(response.map(|response| {
                response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
            }))
        })
    }

    pub fn put(&self, url: &str, payload: Payload<'_>) -> Result<(), HttpError> {
        tried(Method::Put, url, allowed(self.patience, payload.length()), |left| {
            let body = payload.body().map_err(local)?;
            match self.answer(self.inner.put(url).body(body), left)? {
                Some(_) => Ok(()),
                None => Err(Fault::Status(404)),
            }
        })
    }

    /// The answer that a request is for; none where there is no such thing.
    fn answer(&self, request: RequestBuilder, left: Duration) -> Result<Option<Response>, Fault> {
        let request = match &self.auth {
            Auth::None => request,
            Auth::Basic(name, key) => request.basic_auth(name.expose(), Some(key.expose())),
            Auth::Bearer(token) => request.bearer_auth(token.expose()),
        };
        let response = request.timeout(left).send().map_err(|error| transport(error, left))?;
        match refusal(response.status().as_u16(), response.headers()) {
            Some(Fault::Status(404)) => Ok(None),
            Some(fault) => Err(fault),
            None => Ok(Some(response)),
        }
    }
}

/// Tries a few times within the time that is allowed for all of it; each try is told what is left.
pub fn tried<T>(
    method: Method,
    url: &str,
    allowed: Duration,
    mut attempt: impl FnMut(Duration) -> Result<T, Fault>,
) -> Result<T, HttpError> {
    let watch = Stopwatch::start();
    let mut tries = 0;
    loop {
        tries += 1;
        let fault = match attempt(allowed.saturating_sub(watch.elapsed())) {
            Ok(done) => return Ok(done),
            Err(Fault::Late(_)) => Fault::Late(allowed),
            Err(fault) => fault,
        };
        let pause = pause(tries);
        if tries >= TRIES || !fault.may_pass() || watch.elapsed() + pause >= allowed {
            return Err(HttpError { method, url: url.to_owned(), fault, tries });
        }
        tracing::debug!(url, problem = %fault, tries, "request is tried again");
        std::thread::sleep(pause);
    }
}

/// What is wrong with an answer of this status.
pub fn refusal(status: u16, headers: &HeaderMap) -> Option<Fault> {
    match status {
        200..=299 => None,
        300..=399 => {
            let to = headers.get(LOCATION).and_then(|to| to.to_str().ok());
            Some(Fault::Redirect(status, origin(to.unwrap_or_default())))
        }
        _ => Some(Fault::Status(status)),
    }
}

/// How long a request may take whose body has so many bytes.
pub fn allowed(patience: Duration, size: u64) -> Duration {
    patience.saturating_add(Duration::from_secs(size / SLOWEST))
}

/// Some of the pause is chance, so that many clients do not come back at the same moment.
fn pause(tries: u32) -> Duration {
    let whole = FIRST_PAUSE * 2_u32.saturating_pow(tries - 1);
    let chance = u32::try_from(clock::now_ns().rem_euclid(256)).unwrap_or(0);
    whole / 2 + whole * chance / 512
}

fn receive(response: &mut Response, into: &mut dyn Sink, left: Duration) -> Result<(), Fault> {
    let watch = Stopwatch::start();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match response.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_late(&error) => return Err(Fault::Late(left)),
            Err(error) => return Err(broken(&error)),
        };
        // One that sends a byte now and then is never silent, and never done.
        if watch.elapsed() > left {
            return Err(Fault::Late(left));
        }
        into.write_all(&buffer[..count]).map_err(local)?;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands behind `map_err`")]
pub fn local(error: io::Error) -> Fault {
    Fault::Local(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands behind `map_err`")]
fn transport(error: reqwest::Error, left: Duration) -> Fault {
    if error.is_timeout() && !error.is_connect() {
        return Fault::Late(left);
    }
    failed(&error)
}

/// What kept a request from being answered.
pub fn failed(error: &(dyn std::error::Error + 'static)) -> Fault {
    let mut next = Some(error);
    let mut what = "the connection broke";
    while let Some(cause) = next {
        if cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect) {
            what = "no connection";
        }
        next = cause.source();
    }
    Fault::Transport(format!("{what}: {}", deepest(error)))
}

fn is_late(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    error.kind() == io::ErrorKind::TimedOut || inner.is_some_and(reqwest::Error::is_timeout)
}

/// What broke off an answer that had begun.
pub fn broken(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::Transport(format!("the answer broke off: {}", deepest(error)))
}

/// The cause of all causes: what lies above it only repeats that a request failed, and on what.
pub(super) fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// Where a redirect leads, without what may be secret in it.
fn origin(to: &str) -> String {
    match Url::parse(to) {
        Ok(url) => format!("`{}`", url.origin().ascii_serialization()),
        Err(_) => "another path".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_and_holds_no_secrets() {
        let parse = |text, secure| Place::parse(text, secure).map(|place| place.to_string());
        assert_eq!(parse("https://h/a/", false).as_deref(), Ok("https://h/a"));
        assert_eq!(parse("h:81", false).as_deref(), Ok("http://h:81"));
        assert_eq!(parse("h", true).as_deref(), Ok("https://h"));
        for bad in ["", "ftp://h", "https://me:pw@h", "https://me@h", "http://h/?k=v", "http://"] {
            let error = parse(bad, true).expect_err(bad);
            assert!(!error.contains("pw"), "{error}");
        }
        let is_near = |text| Place::parse(text, true).expect("an address").is_loopback();
        assert!(is_near("127.0.0.1:80") && is_near("[::1]:80") && is_near("localhost"));
        assert!(!is_near("10.0.0.1") && !is_near("127.0.0.1.example.com"));
    }

    #[test]
    fn only_an_origin_is_told_of_a_redirect() {
        assert_eq!(origin("https://u:p@h:1/x?sig=s"), "`https://h:1`");
        assert_eq!(origin("/x?sig=s"), "another path");
    }

    #[test]
    fn pauses_grow_and_vary_by_half() {
        for tries in 1..4 {
            let whole = FIRST_PAUSE * 2_u32.pow(tries - 1);
            assert!((whole / 2..=whole).contains(&pause(tries)));
        }
        assert_eq!(allowed(Duration::from_secs(3), 1 << 20), Duration::from_secs(19));
    }
}
