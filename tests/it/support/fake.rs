//! A remote store in the test itself, that speaks HTTP and does wrong what it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `name: value` lines, names in lower case.
    pub(crate) headers: Vec<String>,
    /// Of a `POST`; others' can be large.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// `GET /ac/` and the like.
    pub(crate) fn is(&self, start: &str) -> bool {
        format!("{} {}", self.method, self.path).starts_with(start)
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// What it does instead of what it should.
#[derive(Debug, Clone)]
pub(crate) enum Wrong {
    /// A status and further headers.
    Status(u16, String),
    /// 200 and this body, instead of the right one.
    Body(Vec<u8>),
    /// The right body, cut off in the middle.
    Cut,
    /// Says nothing until the end of the test.
    Silent,
    /// Says that much will come, and sends a byte now and then.
    Drip,
    /// A body without an end.
    Endless,
}

type Faults = dyn Fn(&Request) -> Option<Wrong> + Send + Sync;

struct Shared {
    things: Mutex<BTreeMap<String, Vec<u8>>>,
    seen: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    faults: Box<Faults>,
    over: AtomicBool,
}

impl Shared {
    fn things(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.things.lock().expect("no thread panicked")
    }
}

pub(crate) struct Fake {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Fake {
    /// One that does all right.
    pub(crate) fn new() -> Self {
        Self::wrong(|_| None)
    }

    /// One that does wrong what it is told for a request.
    pub(crate) fn wrong(
        faults: impl Fn(&Request) -> Option<Wrong> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            things: Mutex::default(),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            faults: Box::new(faults),
            over: AtomicBool::new(false),
        });
        let own = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.over.load(Ordering::SeqCst) {
                    return;
                }
                own.connections.fetch_add(1, Ordering::SeqCst);
                let own = own.clone();
                // A client that went away is no fault of the server.
                thread::spawn(move || serve(stream, &own));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Takes over all that another one holds.
    pub(crate) fn filled_as(self, other: &Self) -> Self {
        self.shared.things().clone_from(&other.shared.things());
        self
    }

    /// What it holds: path and bytes.
    pub(crate) fn things(&self) -> BTreeMap<String, Vec<u8>> {
        self.shared.things().clone()
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.shared.things().insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.shared.things().remove(path).expect("it is there");
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().expect("no thread panicked").clone()
    }

    /// How often anybody has connected.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // So that it looks up from waiting.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// One request, and the end of the connection.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let Some((mut request, body)) = read(&stream) else { return };
    if request.method == "POST" {
        request.body.clone_from(&body);
    }
    shared.seen.lock().expect("no thread panicked").push(request.clone());
    let wrong = (shared.faults)(&request);
    let thing = shared.things().get(&request.path).cloned();
    let _ = match (wrong, request.method.as_str(), thing) {
        (Some(wrong), _, thing) => misbehave(&mut stream, &wrong, thing, shared),
        (None, "PUT", _) => {
            shared.things().insert(request.path, body);
            answer(&mut stream, "201 Created", &s3_headers(), b"")
        }
        (None, "HEAD", Some(bytes)) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{}", head(bytes.len()))
        }
        (None, _, Some(bytes)) => answer(&mut stream, "200 OK", &s3_headers(), &bytes),
        (None, _, None) => answer(&mut stream, "404 Not Found", "", b""),
    };
}

/// What S3 says of each object.
fn s3_headers() -> String {
    "ETag: \"x\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned()
}

fn head(length: usize) -> String {
    format!("Connection: close\r\n{}Content-Length: {length}\r\n\r\n", s3_headers())
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)
}

fn misbehave(
    stream: &mut TcpStream,
    wrong: &Wrong,
    thing: Option<Vec<u8>>,
    shared: &Shared,
) -> std::io::Result<()> {
    let over = || shared.over.load(Ordering::SeqCst);
    match wrong {
        Wrong::Status(code, headers) => answer(stream, &format!("{code} x"), headers, b""),
        Wrong::Body(bytes) => answer(stream, "200 OK", &s3_headers(), bytes),
        Wrong::Cut => {
            let bytes = thing.unwrap_or_default();
            write!(stream, "HTTP/1.1 200 OK\r\n{}", head(bytes.len()))?;
            stream.write_all(&bytes[..bytes.len() / 2])
        }
        Wrong::Silent => {
            while !over() {
                thread::park_timeout(Duration::from_millis(20));
            }
            Ok(())
        }
        Wrong::Drip => {
            write!(stream, "HTTP/1.1 200 OK\r\n{}", head(1 << 20))?;
            while !over() {
                stream.write_all(b"x")?;
                stream.flush()?;
                thread::park_timeout(Duration::from_millis(20));
            }
            Ok(())
        }
        Wrong::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{}\r\n", s3_headers())?;
            while !over() {
                stream.write_all(&[b'x'; 65536])?;
            }
            Ok(())
        }
    }
}

fn read(stream: &TcpStream) -> Option<(Request, Vec<u8>)> {
    let mut from = BufReader::new(stream);
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push(format!("{}: {}", name.to_lowercase(), value.trim()));
    }
    let request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some((request, body))
}
