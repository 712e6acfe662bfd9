//! Pages of figures, promtool, and a Prometheus server of a test's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Background, wait_until};

/// Who gets no answer for so long has got none.
const ANSWER: Duration = Duration::from_secs(10);

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Asks once; none: nobody listens, or there is no answer.
pub(crate) fn ask(address: &str, method: &str, path: &str) -> Option<Answer> {
    ask_within(ANSWER, address, method, path)
}

/// The same for those that try again.
pub(crate) fn ask_within(
    patience: Duration,
    address: &str,
    method: &str,
    path: &str,
) -> Option<Answer> {
    ask_with(patience, address, &format!("{method} {path}"), "")
}

/// The same with a body; `line` has the method and the path.
pub(crate) fn ask_with(
    patience: Duration,
    address: &str,
    line: &str,
    body: &str,
) -> Option<Answer> {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let mut stream = send(address, &(head + body))?;
    stream.set_read_timeout(Some(patience)).expect("a socket");
    let (mut text, mut piece) = (Vec::new(), [0; 64 * 1024]);
    // Some servers keep a connection, whatever they are asked for.
    while !is_whole(&text) {
        match stream.read(&mut piece).ok()? {
            0 => break,
            count => text.extend_from_slice(&piece[..count]),
        }
    }
    parse(&String::from_utf8(text).expect("an answer is text"))
}

/// Whether as many bytes are there as the answer itself says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let told = parse(&text).filter(|answer| answer.headers.contains_key("content-length"));
    told.is_some_and(|told| told.headers["content-length"].parse() == Ok(told.body.len()))
}

/// Sends what may be half a request, and keeps the connection.
pub(crate) fn send(address: &str, bytes: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    // Where nobody listens, a connection may by chance be one with itself, and hold the port.
    if stream.local_addr().ok() == stream.peer_addr().ok() {
        return None;
    }
    stream.set_read_timeout(Some(ANSWER)).expect("a socket");
    stream.write_all(bytes.as_bytes()).ok()?;
    Some(stream)
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let code = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Answer { code, headers, body: body.to_owned() })
}

/// The address that a program has announced; it is waited for.
#[track_caller]
pub(crate) fn announced(program: &mut Background) -> String {
    let mut address = None;
    wait_until("the address of the figures", || {
        let said = String::from_utf8_lossy(&program.stderr_so_far()).into_owned();
        let line = said.lines().find_map(|line| line.strip_prefix("figures are served at http://"));
        address = line.and_then(|line| line.split('/').next()).map(str::to_owned);
        address.is_some() || program.is_over()
    });
    address.unwrap_or_else(|| {
        panic!("no address: {}", String::from_utf8_lossy(&program.stderr_so_far()))
    })
}

/// The lines of a page: each name with its labels, and its value.
#[derive(Debug)]
pub(crate) struct Samples(BTreeMap<String, f64>);

impl Samples {
    #[track_caller]
    pub(crate) fn of(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let pair = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(lines.map(|line| pair(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect())
    }

    /// Those that are served at an address now.
    #[track_caller]
    pub(crate) fn at(address: &str) -> Self {
        let answer = ask(address, "GET", "/metrics").expect("an answer");
        assert_eq!(answer.code, 200, "{}", answer.body);
        Self::of(&answer.body)
    }

    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> f64 {
        let full = format!("reprovm_{name}");
        *self.0.get(&full).unwrap_or_else(|| panic!("no {full} in {:#?}", self.0))
    }

    /// The names without labels, and those of histograms without what is added to them.
    pub(crate) fn names(&self) -> Vec<&str> {
        let bare = self.0.keys().map(|name| name.split('{').next().unwrap_or_default());
        let mut names: Vec<&str> = bare.collect();
        names.dedup();
        names
    }
}

/// What `promtool check metrics` finds in a page.
#[track_caller]
pub(crate) fn promtool(page: &str) -> Vec<String> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool (see tests/servers.sh): {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(page.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let findings: Vec<String> =
        String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    let code = if findings.is_empty() { 0 } else { 3 };
    assert_eq!(output.status.code(), Some(code), "{findings:?}");
    findings
}

/// A server that scrapes each target every second. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Prometheus {
    _folder: TempDir,
    _server: Background,
    address: String,
}

impl Prometheus {
    /// Comes back when it is ready.
    #[track_caller]
    pub(crate) fn start(targets: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let list: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: \
             reprovm\n    static_configs:\n      - targets: [{}]\n",
            list.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).expect("a file of settings");
        // Another program may take the port between our look and its start; then it ends.
        for _ in 0..10 {
            let address = free_address();
            let mut command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .current_dir(folder.path())
                .stdin(Stdio::null());
            let mut server = Background::start(command);
            let ready =
                |address: &str| ask(address, "GET", "/-/ready").is_some_and(|it| it.code == 200);
            wait_until("Prometheus", || server.is_over() || ready(&address));
            if !server.is_over() {
                return Self { _folder: folder, _server: server, address };
            }
        }
        panic!("Prometheus does not start (see tests/servers.sh)");
    }

    /// Whether its last scrape of this target succeeded.
    pub(crate) fn is_up(&self, target: &str) -> bool {
        let targets = self.api("/api/v1/targets");
        let active = targets["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        active.iter().any(|it| it["labels"]["instance"] == target && it["health"] == "up")
    }

    /// The one value of an expression; none: there is no such sample, or there are several.
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        match self.ask(expression).as_array().map(Vec::as_slice) {
            Some([one]) => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }

    /// All samples of an expression, each with its `metric` and its `value`.
    #[track_caller]
    pub(crate) fn ask(&self, expression: &str) -> Value {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut answer = self.api(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].take()
    }

    fn api(&self, path: &str) -> Value {
        let answer = ask(&self.address, "GET", path).expect("Prometheus answers");
        // Long answers come in pieces, with lines around the one that is JSON.
        let json = answer.body.lines().filter(|line| line.len() > 8).collect::<String>();
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
    }
}

/// An address where nobody listens, on a loopback host of this call's own: meanwhile nobody else
/// comes to listen there, as somebody might on `127.0.0.1` once a port is free again.
pub(crate) fn free_address() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = std::process::id().wrapping_mul(31) + CALLS.fetch_add(1, Ordering::Relaxed);
    let [_, b, c, d] = call.to_be_bytes();
    // Neither `127.0.0.1`, where the others are, nor the last, which is no host.
    let host = Ipv4Addr::new(127, b & 0x3f | 0x40, c, d);
    let listener = TcpListener::bind((host, 0));
    let address = listener.and_then(|listener| listener.local_addr()).expect("a free port");
    address.to_string()
}
