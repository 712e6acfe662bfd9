//! Sending to an address that somebody gave us: small bodies, answers of which only the beginning
//! is read, no redirects, and no private addresses unless they are allowed. The path of such an
//! address is a secret, and only its origin is ever told.
//!
//! Knows nothing of what is sent.

use std::future::ready;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::{Fault, builder, deepest, refusal, transport};
use crate::base::clock::Stopwatch;
use crate::base::net::{Reach, Undelivered, allowed};
use crate::base::text::shown;

/// How much of an answer is read.
const MOST: usize = 64 << 10;
/// An answer that is no refusal is read if it is short, for the sake of the connection.
const SHORT: u64 = 4 << 10;
/// How much of it is told.
const TOLD: usize = 200;
/// Parts of the address that are as long as this are hidden in what the other side says.
const TELLING: usize = 4;

/// The address.
#[derive(Clone)]
pub struct Hook {
    url: Url,
    reach: Reach,
}

/// An answer that is no refusal.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The beginning of its body, in one line.
    pub said: String,
}

impl Hook {
    /// The error says what is wrong, and repeats nothing of the text.
    pub fn parse(text: &str, reach: Reach) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is no address")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it begins with neither `https://` nor `http://`");
        }
        match url.host_str() {
            Some(host) if !host.is_empty() => Ok(Self { url, reach }),
            _ => Err("it names no host"),
        }
    }

    /// All of it that is no secret.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The name of the host, or its address.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// A client for it. The name is resolved now, and never again by this client.
    pub fn open(&self) -> Result<Line, Undelivered> {
        let addresses = match self.reach {
            Reach::Anywhere => None,
            Reach::Public => {
                Some(allowed(self.host(), self.url.socket_addrs(|| None), self.reach)?)
            }
        };
        self.line(addresses.as_deref())
    }

    /// A client that connects to these addresses and to no others; none given: to any.
    fn line(&self, addresses: Option<&[SocketAddr]>) -> Result<Line, Undelivered> {
        let mut builder = builder(self.url.scheme() == "https");
        if let Some(addresses) = addresses {
            // A proxy would resolve the name itself.
            builder =
                builder.no_proxy().dns_resolver(Never).resolve_to_addrs(self.host(), addresses);
        }
        let client = reqwest::blocking::ClientBuilder::from(builder)
            .timeout(None)
            .build()
            .map_err(|error| refused(Fault::Transport(deepest(&error))))?;
        Ok(Line { client, hook: self.clone() })
    }

    /// What the other side said, in one line and without what is secret.
    fn told(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = self.url.path().split('/').chain(self.url.query());
        for part in parts.filter(|part| part.len() >= TELLING) {
            line = line.replace(part, crate::base::secret::HIDDEN);
        }
        let line: String = line.chars().take(TOLD).collect();
        shown(line.as_bytes()).into_owned()
    }
}

/// Shows the origin only.
impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hook").field(&self.origin()).finish()
    }
}

/// Stands behind the addresses that were looked at: nothing is resolved past them.
struct Never;

impl Resolve for Never {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(ready(Err("it was not resolved before".into())))
    }
}

/// A client for one address.
#[derive(Debug)]
pub struct Line {
    client: reqwest::blocking::Client,
    hook: Hook,
}

impl Line {
    /// Sends once.
    pub fn post(
        &self,
        body: Vec<u8>,
        headers: &[(&'static str, String)],
        limit: Duration,
    ) -> Result<Answer, Undelivered> {
        let mut request = self.client.post(self.hook.url.clone()).timeout(limit).body(body);
        request = request.header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let watch = Stopwatch::start();
        let mut response =
            request.send().map_err(|error| refused(transport(error.without_url(), limit)))?;
        let (status, after) = (response.status().as_u16(), retry_after(response.headers()));
        let fault = refusal(status, response.headers());
        let mut body = Vec::new();
        let mut part = [0; 4096];
        let is_read =
            fault.is_some() || response.content_length().is_some_and(|length| length <= SHORT);
        // An answer that breaks off, or never ends, is one.
        while is_read
            && body.len() < MOST
            && watch.elapsed() < limit
            && let Ok(1..) = response.read(&mut part).inspect(|&count| body.extend(&part[..count]))
        {
        }
        let said = self.hook.told(&body);
        match fault {
            None => Ok(Answer { status, said }),
            Some(fault) => Err(Undelivered::Http { fault, said, after }),
        }
    }
}

fn refused(fault: Fault) -> Undelivered {
    Undelivered::Http { fault, said: String::new(), after: None }
}

/// In seconds; a date, which nobody uses here, counts as nothing. Discord sends fractions.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_the_origin_of_an_address_is_told() {
        let hook = Hook::parse(
            "https://me:pw@Hooks.Example.com/services/T000/B000/s3cretpart?k=v",
            Reach::Public,
        )
        .expect("an address");
        assert_eq!(hook.origin(), "https://hooks.example.com");
        assert_eq!(format!("{hook:?}"), "Hook(\"https://hooks.example.com\")");
        assert_eq!(
            hook.told(b"no\n  /services/T000/B000/s3cretpart here\x1b[31m"),
            "no /***/***/***/*** here\\u{1b}[31m"
        );
        for bad in ["", "hooks.example.com", "ftp://h/", "file:///x", "http://"] {
            assert!(Hook::parse(bad, Reach::Public).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_not_resolved_again_after_its_addresses_were_looked_at() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut head = [0; 4096];
            let count = stream.read(&mut head).expect("a request");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("a client");
            String::from_utf8_lossy(&head[..count]).into_owned()
        });
        // What any resolver says of this name is that there is none, and of the other something
        // else than what was looked at.
        for (host, port) in [("name.invalid", 80), ("localhost", 1)] {
            let url = format!("http://{host}:{port}/");
            let hook = Hook::parse(&url, Reach::Public).expect("an address");
            let line = hook.line(Some(&[])).expect("a client");
            let error = line.post(Vec::new(), &[], Duration::from_secs(10)).expect_err("nowhere");
            assert!(error.to_string().contains("no connection"), "{error}");
        }
        let url = format!("http://name.invalid:{}/", address.port());
        let hook = Hook::parse(&url, Reach::Public).expect("an address");
        let line = hook.line(Some(&[address])).expect("a client");
        let answer = line.post(b"x".to_vec(), &[], Duration::from_secs(10)).expect("an answer");
        assert_eq!((answer.status, answer.said.as_str()), (200, "ok"));
        assert!(server.join().expect("a server").contains("host: name.invalid:"));
    }

    #[test]
    fn every_notation_of_a_private_address_is_refused_before_anything_is_sent() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0177.0.0.1",
            "2130706433",
            "%31%32%37.0.0.1",
            "localhost",
            "LOCALHOST",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[fe80::1]",
            "10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "\u{ff11}27.0.0.1",
        ] {
            let hook = Hook::parse(&format!("http://{host}:9/x"), Reach::Public).expect(host);
            let error = hook.open().expect_err(host);
            assert!(matches!(error, Undelivered::Private { .. }), "{host}: {error}");
        }
    }
}
