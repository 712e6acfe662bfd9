//! Sending mail by SMTP: one connection for each mail, encrypted or not, to an address that was
//! looked at before.
//!
//! Knows nothing of what a mail says.

use std::net::SocketAddr;
use std::time::Duration;

use lettre::Message;
use lettre::address::Address;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::runtime;
use tokio::time::{Instant, timeout_at};

use super::{Reach, Undelivered, resolve};
use crate::base::Secret;
use crate::base::clock::Stopwatch;
use crate::base::http::deepest;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    None,
    /// It begins in the open, and is encrypted before anything is said; without that, nothing is.
    StartTls,
    /// From the first byte.
    Tls,
}

/// Where mail is handed in, and who writes to whom.
#[derive(Debug, Clone)]
pub struct Postbox {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub login: Option<(String, Secret)>,
    /// How this machine is called.
    pub us: String,
    pub from: String,
    pub to: Vec<String>,
    pub reach: Reach,
}

/// Whether a text can be the address of a person.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

/// Says that no person wrote it, so that none is answered by a machine (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Postbox {
    /// Sends one mail within this time; `id` is the same for each try of it. The answer is what
    /// the server said.
    pub fn send(
        &self,
        id: &str,
        subject: &str,
        text: String,
        limit: Duration,
    ) -> Result<String, Undelivered> {
        let watch = Stopwatch::start();
        let message = self.message(id, subject, text).map_err(never)?;
        let addresses = resolve(&self.host, self.port, self.reach)?;
        let left = limit.saturating_sub(watch.elapsed());
        match self.within(left, &addresses, &message)? {
            Some(response) => Ok(response.message().collect::<Vec<_>>().join(" ")),
            None => {
                let problem = format!("it was not done within {} seconds", limit.as_secs_f32());
                Err(Undelivered::Mail { problem, is_final: false })
            }
        }
    }

    /// None: the time was up.
    fn within(
        &self,
        left: Duration,
        addresses: &[SocketAddr],
        message: &Message,
    ) -> Result<Option<Response>, Undelivered> {
        let tls = self.tls()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| never(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            let end = Instant::now() + left;
            let talk = async {
                // No address may take the time of the others.
                let share = left / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
                let mut line = self.connect(addresses, share, tls).await?;
                let response = line.send(message.envelope(), &message.formatted()).await?;
                Ok((line, response))
            };
            match timeout_at(end, talk).await {
                Err(_) => Ok(None),
                Ok(Err(error)) => Err(failed(&error)),
                Ok(Ok((mut line, response))) => {
                    // What was taken is taken, however the other side parts.
                    let _ = timeout_at(end, line.quit()).await;
                    Ok(Some(response))
                }
            }
        })
    }

    /// The first of the addresses that takes a connection: with another one all would be said
    /// again, and a mail that was taken be sent twice.
    async fn connect(
        &self,
        addresses: &[SocketAddr],
        share: Duration,
        tls: Option<TlsParameters>,
    ) -> Result<AsyncSmtpConnection, Error> {
        let us = ClientId::Domain(self.us.clone());
        let (at_once, later) = match self.encryption {
            Encryption::StartTls => (None, tls),
            Encryption::None | Encryption::Tls => (tls, None),
        };
        let connecting =
            AsyncSmtpConnection::connect_tokio1(addresses, Some(share), &us, at_once, None);
        let mut line = connecting.await?;
        if let Some(tls) = later {
            line.starttls(tls, &us).await?;
        }
        if let Some((name, password)) = &self.login {
            let credentials = Credentials::new(name.clone(), password.expose().to_owned());
            line.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(line)
    }

    fn message(&self, id: &str, subject: &str, text: String) -> Result<Message, String> {
        let mailbox = |text: &str| {
            let address: Address =
                text.parse().map_err(|error| format!("`{text}` is no address of mail: {error}"))?;
            Ok::<_, String>(Mailbox::new(None, address))
        };
        // What breaks a line would begin another header.
        let subject: String =
            subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut builder = Message::builder()
            .from(mailbox(&self.from)?)
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", self.us)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        builder.body(text).map_err(|error| error.to_string())
    }

    fn tls(&self) -> Result<Option<TlsParameters>, Undelivered> {
        if self.encryption == Encryption::None {
            return Ok(None);
        }
        // The certificate is for the name, whatever address it has.
        TlsParameters::new(self.host.clone())
            .map(Some)
            .map_err(|error| never(format!("no encryption: {}", deepest(&error))))
    }
}

fn never(problem: String) -> Undelivered {
    Undelivered::Mail { problem, is_final: true }
}

fn failed(error: &Error) -> Undelivered {
    let reason = deepest(error);
    let problem = if let Some(code) = error.status() {
        format!("the server answered {code}: {reason}")
    } else if error.is_tls() {
        format!("no encryption: {reason}")
    } else {
        format!("the talk with the server failed: {reason}")
    };
    Undelivered::Mail { problem, is_final: error.is_permanent() || error.is_client() }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    fn postbox() -> Postbox {
        Postbox {
            host: "mail.example.com".into(),
            port: 25,
            encryption: Encryption::None,
            login: None,
            us: "here".into(),
            from: "ci@example.com".into(),
            to: vec!["a@example.com".into(), "b@example.com".into()],
            reach: Reach::Public,
        }
    }

    /// A server that talks with one client until it has no answer to a line. It ends with all
    /// lines that came.
    fn server(answer: fn(&str) -> Option<&'static str>) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let talking = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let (mut lines, mut out) = (Vec::new(), stream.try_clone().expect("a stream"));
            out.write_all(b"220 here\r\n").expect("a client");
            for line in BufReader::new(stream).lines() {
                lines.push(line.expect("a line"));
                let Some(said) = answer(&lines[lines.len() - 1]) else { break };
                out.write_all(said.as_bytes()).expect("a client");
            }
            lines
        });
        (address, talking)
    }

    fn polite(line: &str) -> Option<&'static str> {
        Some(match line.split(' ').next().unwrap_or_default() {
            "EHLO" | "MAIL" | "RCPT" | "." => "250 good\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => return None,
            _ => "",
        })
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_address_that_cannot_be_reached_is_passed_over() {
        let gone = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let (there, talking) = server(polite);
        let message = postbox().message("id", "s", "text".into()).expect("a message");
        let addresses = [gone.expect("an address"), there];
        let sent = postbox().within(LONG, &addresses, &message).expect("it is sent");
        assert!(sent.is_some_and(|response| response.is_positive()));
        let lines = talking.join().expect("no panic");
        assert!(lines.contains(&"text".to_owned()) && lines.contains(&"QUIT".to_owned()));
    }

    #[test]
    fn what_broke_off_after_all_was_said_is_not_said_at_another_address() {
        let breaks = |line: &str| if line == "." { None } else { polite(line) };
        let (first, talking) = server(breaks);
        let second = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addresses = [first, second.local_addr().expect("its address")];
        let message = postbox().message("id", "s", "text".into()).expect("a message");
        let error = postbox().within(LONG, &addresses, &message).expect_err("no answer came");
        assert!(error.may_pass() && error.to_string().starts_with("the talk with the server"));
        assert!(talking.join().expect("no panic").contains(&"text".to_owned()));
        second.set_nonblocking(true).expect("a listener");
        assert!(second.accept().is_err(), "nobody came");
    }

    #[test]
    fn a_server_that_says_a_little_now_and_then_is_not_waited_for_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let dripping = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let watch = Stopwatch::start();
            // Until the client goes, or the test fails.
            while watch.elapsed() < LONG && stream.write_all(b"220-\r\n").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
            watch.elapsed() < LONG
        });
        let message = postbox().message("id", "s", "text".into()).expect("a message");
        let left = Duration::from_millis(200);
        let ended = postbox().within(left, &[address], &message).expect("no other reason");
        assert!(ended.is_none() && dripping.join().expect("no panic"));
    }

    #[test]
    fn nothing_that_a_subject_holds_becomes_a_header() {
        let message = postbox()
            .message("id", "x\r\nBcc: evil@example.com\r\n\r\nbody", "text\n.\nmore".into())
            .expect("a message");
        let text = String::from_utf8(message.formatted()).expect("ASCII");
        let (head, _) = text.split_once("\r\n\r\n").expect("a head");
        assert!(!head.contains("\r\nBcc:"), "{head}");
        assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(head.contains("To: a@example.com, b@example.com"), "{head}");
    }

    #[test]
    fn an_address_is_one() {
        assert!(is_address("builds@example.com") && is_address("a.b+c@example.com"));
        for bad in ["", "a", "a@", "@b", "a@b\nBcc: c@d", "a b@c", "a@b, c@d"] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
