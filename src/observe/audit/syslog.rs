//! Lines for the log of a system, as RFC 5424 has them: to a socket of this machine, or by UDP or
//! TCP to another. Whoever takes too long is not written to again.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::line::Line;
use super::record::AuditType;
use crate::base::clock::Stopwatch;
use crate::base::text::is_unsafe;
use crate::base::{clock, text};
use crate::config::SyslogAddress;

/// How long any step may take: to find a name, to connect, to send all that has come together.
const PATIENCE: Duration = Duration::from_secs(2);
/// "log audit", of the facilities.
const FACILITY: u8 = 13;
/// The number for examples, as there is none of our own.
const ID: &str = "reprovm@32473";
/// Longer texts are cut: receivers need not take messages of more than 2 KiB.
const MAX_TEXT: usize = 600;

/// The way there.
#[derive(Debug)]
pub(super) struct Syslog {
    target: SyslogAddress,
    host: String,
    link: Link,
    patience: Duration,
}

#[derive(Debug)]
enum Link {
    /// Nothing was sent so far.
    Closed,
    Socket(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
    /// It failed; it is not tried again.
    Lost,
}

impl Syslog {
    pub(super) fn new(target: SyslogAddress) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let host = header(&host.to_string_lossy(), 255);
        Self { target, host, link: Link::Closed, patience: PATIENCE }
    }

    /// Sends lines of the log. The error is a sentence, and the last.
    pub(super) fn send(&mut self, lines: &str) -> Result<(), String> {
        if matches!(self.link, Link::Lost) {
            return Ok(());
        }
        let messages: Vec<String> =
            lines.lines().filter_map(Line::parse).map(|line| message(&line, &self.host)).collect();
        let sent = self.open().and_then(|()| self.deliver(&messages));
        sent.map_err(|error| {
            self.link = Link::Lost;
            format!(
                "cannot send the audit log to {}: {error}; nothing more is sent there",
                self.name()
            )
        })
    }

    fn name(&self) -> String {
        match &self.target {
            SyslogAddress::Socket(path) => {
                format!("the socket `{}`", text::shown(path.as_os_str().as_encoded_bytes()))
            }
            SyslogAddress::Udp(place) => format!("udp://{}", text::shown(place.as_bytes())),
            SyslogAddress::Tcp(place) => format!("tcp://{}", text::shown(place.as_bytes())),
        }
    }

    fn open(&mut self) -> io::Result<()> {
        if !matches!(self.link, Link::Closed) {
            return Ok(());
        }
        self.link = match &self.target {
            SyslogAddress::Socket(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Link::Socket(socket)
            }
            SyslogAddress::Udp(place) => {
                let to = resolve(place)?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Link::Udp(socket)
            }
            SyslogAddress::Tcp(place) => {
                Link::Tcp(TcpStream::connect_timeout(&resolve(place)?, PATIENCE)?)
            }
        };
        Ok(())
    }

    /// All of them within one limit of time: whoever takes a little now and then is too slow too.
    fn deliver(&mut self, messages: &[String]) -> io::Result<()> {
        let (watch, patience) = (Stopwatch::start(), self.patience);
        let left = || {
            let left = patience.saturating_sub(watch.elapsed());
            let late = || io::Error::new(io::ErrorKind::TimedOut, "it takes too long");
            Some(left).filter(|left| !left.is_zero()).ok_or_else(late)
        };
        match &mut self.link {
            Link::Socket(socket) => messages.iter().try_for_each(|one| {
                socket.set_write_timeout(Some(left()?))?;
                socket.send(one.as_bytes()).map(|_| ())
            }),
            // That nobody listens is heard of with a later message.
            Link::Udp(socket) => messages.iter().try_for_each(|one| {
                socket.set_write_timeout(Some(left()?))?;
                socket.send(one.as_bytes()).map(|_| ())
            }),
            // With their lengths, as RFC 6587 has it: a line may hold anything then.
            Link::Tcp(stream) => {
                let mut all = String::new();
                for one in messages {
                    write!(all, "{} {one}", one.len()).expect("a string takes all");
                }
                let mut rest = all.as_bytes();
                while !rest.is_empty() {
                    stream.set_write_timeout(Some(left()?))?;
                    match stream.write(rest) {
                        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                        Ok(count) => rest = &rest[count..],
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
            Link::Closed | Link::Lost => Ok(()),
        }
    }
}

/// The address of a name, which the system may take its time to find.
fn resolve(place: &str) -> io::Result<SocketAddr> {
    let (sender, found) = mpsc::channel();
    let place = place.to_owned();
    thread::Builder::new().name("resolver".into()).spawn(move || {
        let _ = sender.send(place.to_socket_addrs().map(|mut all| all.next()));
    })?;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "its name is not found in time");
    let nothing = || io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    found.recv_timeout(PATIENCE).map_err(late)??.ok_or_else(nothing)
}

/// A line as a message.
fn message(line: &Line, host: &str) -> String {
    let priority = u32::from(FACILITY) * 8 + severity(line.kind);
    let time = clock::rfc3339(line.time.saturating_mul(1_000_000_000));
    let mut out =
        format!("<{priority}>1 {time} {host} reprovm {} {} [{ID}", line.process, line.kind);
    let (seq, success) = (line.seq.to_string(), u8::from(line.success).to_string());
    let (prev, hash) = (line.prev.hex(), line.hash.hex());
    let fields = [
        ("user", line.user.as_str()),
        ("resource", &line.resource),
        ("action", &line.action),
        ("success", &success),
        ("seq", &seq),
        ("prev", &prev),
        ("hash", &hash),
    ];
    for (name, value) in fields {
        write!(out, " {name}=\"").expect("a string takes all");
        push_value(&mut out, value);
        out.push('"');
    }
    out.push(']');
    if !line.details.is_empty() {
        out.push(' ');
        out.push_str(&text::shown(cut(&line.details).as_bytes()));
    }
    out
}

/// The numbers of severities: 3 error, 4 warning, 6 information.
fn severity(kind: AuditType) -> u32 {
    match kind {
        AuditType::Error | AuditType::TaskFail => 3,
        AuditType::SecurityViolation
        | AuditType::PermissionDenied
        | AuditType::ResourceLimit
        | AuditType::Warning => 4,
        _ => 6,
    }
}

/// A value between quotes: `"`, `\` and `]` are escaped, and what could break a line is shown.
fn push_value(out: &mut String, value: &str) {
    for c in cut(value).chars() {
        match c {
            '"' | '\\' | ']' => out.extend(['\\', c]),
            c if is_unsafe(c) => {
                out.push('\\');
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT.min(text.len()))]
}

/// A field of the head: printable ASCII without spaces, `-` where there is nothing.
fn header(text: &str, most: usize) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;

    fn line() -> Line {
        Line {
            time: 1_731_767_400,
            kind: AuditType::TaskFail,
            user: "alice".into(),
            resource: "a\"b]c\\d\n".into(),
            action: "execute".into(),
            success: false,
            details: "exit code 1\nand more".into(),
            process: 42,
            seq: 7,
            prev: Digest::default(),
            open: None,
            config: None,
            seal: None,
            hash: Digest::default(),
        }
    }

    #[test]
    fn a_message_has_the_form_of_rfc_5424() {
        let zeros = "0".repeat(64);
        assert_eq!(
            message(&line(), "box"),
            format!(
                "<107>1 2024-11-16T14:30:00Z box reprovm 42 TASK_FAIL [reprovm@32473 \
                 user=\"alice\" resource=\"a\\\"b\\]c\\\\d\\\\n\" action=\"execute\" success=\"0\" \
                 seq=\"7\" prev=\"{zeros}\" hash=\"{zeros}\"] exit code 1\\nand more"
            )
        );
        let long = Line { details: "é".repeat(4000), resource: "x".repeat(4000), ..line() };
        assert!(message(&long, "box").len() < 2048);
    }

    #[test]
    fn a_host_without_a_name_is_a_dash() {
        assert_eq!(header("", 255), "-");
        assert_eq!(header("a b\u{e9}", 255), "ab");
    }

    #[test]
    fn one_limit_of_time_holds_for_all_messages_together() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = listener.local_addr().expect("an address").to_string();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let _socket = UnixDatagram::bind(&path).expect("a socket");
        let mut text = String::new();
        let record = super::super::record::Record::new(AuditType::Warning, "x", "y");
        let place_in = super::super::line::Place { seq: 1, prev: Digest::default() };
        super::super::line::write(&mut text, &record, "alice", place_in, Default::default());
        for target in [SyslogAddress::Tcp(place), SyslogAddress::Socket(path)] {
            let mut syslog = Syslog::new(target);
            assert_eq!(syslog.send(&text), Ok(()));
            // Each single message would find room at once.
            syslog.patience = Duration::ZERO;
            let problem = syslog.send(&text).expect_err("the time is up");
            assert!(problem.contains("it takes too long"), "{problem}");
            assert_eq!(syslog.send(&text), Ok(()), "nothing more is sent");
        }
    }

    #[test]
    fn a_socket_that_is_not_there_is_told_once() {
        let mut syslog = Syslog::new(SyslogAddress::Socket("/nowhere/log".into()));
        let problem = syslog.send("").expect_err("nothing is there");
        assert!(problem.starts_with("cannot send the audit log to the socket `/nowhere/log`: "));
        assert_eq!(syslog.send(""), Ok(()));
    }
}
