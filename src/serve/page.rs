//! A server of one page, made anew for each request.
//!
//! `tiny_http` has a thread for each connection, no limit of their number and none of time. So it
//! is for callers that are trusted, and what follows sees to it that none of them, however
//! clumsy, keeps the others from the page.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tiny_http::{Header, Method, Request, Response, Server};

/// Threads that answer.
const WORKERS: usize = 4;
/// Requests with a body whose rest is read away, each in a thread of its own. More than these are
/// left without an end.
const DRAINS: usize = 8;
/// The largest body that is read away. For the rest of it `tiny_http` asks for memory at once.
const MAX_BODY: usize = 1 << 20;
/// After so long without a request it is tried whether one would arrive.
const WATCH: Duration = Duration::from_secs(2);
/// After this the listener is tried again that the system took away.
const RETRY: Duration = Duration::from_millis(250);
/// How many descriptors must be free for that.
const ROOM: usize = 8;
/// So long, several times over, nobody asks over connections that a lost listener has accepted.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the answers have that are being given when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is served, and under which path.
pub struct Page {
    pub path: String,
    pub content_type: &'static str,
    pub text: Box<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Page").field(&self.path).finish()
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    pub address: SocketAddr,
    #[source]
    pub source: io::Error,
}

/// Serves while it lives.
pub struct PageServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    page: Page,
    address: SocketAddr,
    server: Mutex<Arc<Server>>,
    stopping: AtomicBool,
    /// Requests that are being answered.
    busy: Mutex<usize>,
    idle: Condvar,
    drains: AtomicUsize,
}

impl PageServer {
    /// Port 0 is any that is free.
    pub fn start(address: IpAddr, port: u16, page: Page) -> Result<Self, BindError> {
        let wanted = SocketAddr::new(address, port);
        let failed = |source| BindError { address: wanted, source };
        let server = bind(wanted).map_err(failed)?;
        let address = server.server_addr().to_ip().unwrap_or(wanted);
        let shared = Arc::new(Shared {
            page,
            address,
            server: Mutex::new(Arc::new(server)),
            stopping: AtomicBool::new(false),
            busy: Mutex::new(0),
            idle: Condvar::new(),
            drains: AtomicUsize::new(0),
        });
        let started = Self { shared, address };
        for number in 0..WORKERS {
            let shared = Arc::clone(&started.shared);
            thread::Builder::new()
                .name("http".into())
                .spawn(move || shared.work(number == 0))
                .map_err(failed)?;
        }
        Ok(started)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::SeqCst);
        shared.wake(&shared.current());
        let busy = shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // Who does not take the answer in time goes without it.
        let _ = shared.idle.wait_timeout_while(busy, LAST_WORDS, |busy| *busy > 0);
    }
}

impl std::fmt::Debug for PageServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PageServer").field(&self.address).finish()
    }
}

impl Shared {
    /// Takes requests until the end. The one that watches sees to it that more can come.
    fn work(self: &Arc<Self>, watches: bool) {
        while !self.stopping.load(Ordering::SeqCst) {
            let server = self.current();
            let asked = if watches { server.recv_timeout(WATCH) } else { server.recv().map(Some) };
            match asked {
                Ok(Some(request)) => {
                    *self.busy.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    self.take(request);
                    *self.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
                    self.idle.notify_all();
                }
                // The thread that accepts ends without a word where it panics.
                Ok(None) => match TcpStream::connect_timeout(&self.address, WATCH) {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        self.renew(&server, &error);
                    }
                    _ => {}
                },
                Err(_) if self.stopping.load(Ordering::SeqCst) => {}
                Err(error) => self.renew(&server, &error),
            }
        }
    }

    fn current(&self) -> Arc<Server> {
        Arc::clone(&self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self, server: &Server) {
        (0..WORKERS).for_each(|_| server.unblock());
    }

    /// The listener is gone, for want of descriptors say: the first worker that notices makes a
    /// new one as soon as the system permits it.
    fn renew(self: &Arc<Self>, failed: &Arc<Server>, error: &io::Error) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&server, failed) {
            return;
        }
        tracing::warn!(problem = %error, "connections cannot be accepted; listening anew");
        while !self.stopping.load(Ordering::SeqCst) {
            if has_room()
                && let Ok(new) = bind(self.address)
            {
                *server = Arc::new(new);
                break;
            }
            thread::park_timeout(RETRY);
        }
        self.wake(failed);
        let (shared, old) = (Arc::clone(self), Arc::clone(failed));
        let _ = thread::Builder::new().name("http-old".into()).spawn(move || shared.end(&old));
    }

    /// Connections that a lost listener has accepted are still asked over, until they are silent.
    fn end(self: &Arc<Self>, old: &Server) {
        // What woke the workers may not all be taken yet; it looks like silence.
        let mut silent = 0;
        while silent <= WORKERS && !self.stopping.load(Ordering::SeqCst) {
            match old.recv_timeout(SILENCE) {
                Ok(Some(request)) => {
                    silent = 0;
                    self.take(request);
                }
                Ok(None) | Err(_) => silent += 1,
            }
        }
    }

    /// Answers, and lets go of the request. That reads what is left of its body, which may never
    /// come; so it is done where nobody waits.
    fn take(self: &Arc<Self>, request: Request) {
        let Some(length) = open_body(&request) else { return self.answer(request) };
        let more = |drains: usize| (length <= MAX_BODY && drains < DRAINS).then_some(drains + 1);
        if self.drains.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_err() {
            // It costs a descriptor until the program ends.
            std::mem::forget(request);
            return;
        }
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name("http-body".into()).spawn(move || {
            shared.answer(request);
            shared.drains.fetch_sub(1, Ordering::SeqCst);
        });
        if spawned.is_err() {
            self.drains.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn answer(&self, request: Request) {
        let response = match self.refusal(&request) {
            Some(refused) => refused,
            // Whoever asks next shall get an answer too.
            None => match panic::catch_unwind(AssertUnwindSafe(|| (self.page.text)())) {
                Ok(text) => {
                    plain(200, text).with_header(header("Content-Type", self.page.content_type))
                }
                Err(_) => plain(500, "The page could not be made.\n".to_owned()),
            },
        };
        // A caller that has gone does not miss it.
        let _ = request.respond(response);
    }

    fn refusal(&self, request: &Request) -> Option<Response<io::Cursor<Vec<u8>>>> {
        let path = request.url().split(['?', '#']).next().unwrap_or_default();
        if path != self.page.path {
            return Some(plain(404, format!("There is only {} here.\n", self.page.path)));
        }
        if !matches!(request.method(), Method::Get | Method::Head) {
            let text = "This page can only be read.\n".to_owned();
            return Some(plain(405, text).with_header(header("Allow", "GET, HEAD")));
        }
        None
    }
}

fn bind(address: SocketAddr) -> io::Result<Server> {
    Server::http(address).map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(other) => io::Error::other(other.to_string()),
    })
}

/// Whether a new listener could also accept something.
fn has_room() -> bool {
    (0..ROOM).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>().is_ok()
}

/// The length of a body that is not all there yet; a short one is read before we hear of it.
fn open_body(request: &Request) -> Option<usize> {
    let length = request.body_length().unwrap_or(0);
    let asks = request.headers().iter().any(|header| header.field.equiv("Expect"));
    (length > 1024 || (length > 0 && asks)).then_some(length)
}

fn plain(code: u16, text: String) -> Response<io::Cursor<Vec<u8>>> {
    Response::from_string(text).with_status_code(code)
}

fn header(name: &str, value: &str) -> Header {
    Header::from_str(&format!("{name}: {value}")).expect("a header of ours has a good form")
}
