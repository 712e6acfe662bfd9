//! Sending mail by SMTP: one connection for each mail, encrypted or not, to an address that was
//! looked at before.
//!
//! Knows nothing of what a mail says.

use std::io;
use std::time::Duration;

use lettre::address::Address;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{SmtpTransport, Transport as _};

use super::{Reach, Undelivered, resolve};
use crate::base::Secret;

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
    /// Sends one mail; `id` is the same for each try of it. Each step of the talk may take as
    /// long as `limit`. The answer is what the server said.
    pub fn send(
        &self,
        id: &str,
        subject: &str,
        text: String,
        limit: Duration,
    ) -> Result<String, Undelivered> {
        let message = self.message(id, subject, text).map_err(never)?;
        // Any of the addresses: lettre tries one.
        let addresses = resolve(&self.host, self.port, self.reach)?;
        let mut tried =
            Err(Undelivered::Unknown { host: self.host.clone(), problem: String::new() });
        for address in addresses {
            let server = SmtpTransport::builder_dangerous(address.ip().to_string())
                .port(address.port())
                .hello_name(ClientId::Domain(self.us.clone()))
                .timeout(Some(limit))
                .tls(self.tls()?);
            let server = match &self.login {
                Some((name, password)) => {
                    server.credentials(Credentials::new(name.clone(), password.expose().to_owned()))
                }
                None => server,
            };
            tried = server.build().send(&message).map_err(|error| failed(&error, limit));
            // The next address may be reached where this one was not; said is said.
            match &tried {
                Err(Undelivered::Mail { is_final: false, .. }) => {}
                _ => break,
            }
        }
        let response = tried?;
        Ok(response.message().collect::<Vec<_>>().join(" "))
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

    fn tls(&self) -> Result<Tls, Undelivered> {
        // The certificate is for the name, whatever address it has.
        let parameters = || {
            TlsParameters::new(self.host.clone())
                .map_err(|error| never(format!("no encryption: {}", deepest(&error))))
        };
        Ok(match self.encryption {
            Encryption::None => Tls::None,
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::Tls => Tls::Wrapper(parameters()?),
        })
    }
}

fn never(problem: String) -> Undelivered {
    Undelivered::Mail { problem, is_final: true }
}

fn failed(error: &Error, limit: Duration) -> Undelivered {
    let reason = deepest(error);
    let problem = if let Some(code) = error.status() {
        format!("the server answered {code}: {reason}")
    } else if is_late(error) {
        format!("a step of it was not done within {} seconds", limit.as_secs_f32())
    } else if error.is_tls() {
        format!("no encryption: {reason}")
    } else {
        format!("the talk with the server failed: {reason}")
    };
    Undelivered::Mail { problem, is_final: error.is_permanent() || error.is_client() }
}

/// A socket with a limit of time says that it would have to wait longer.
fn is_late(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        }
        next = cause.source();
    }
    false
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
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
