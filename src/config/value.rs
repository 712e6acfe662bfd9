//! The types that a setting can have: how each is read from text, and what it allows.
//!
//! Knows nothing of which settings there are.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::base::Secret;
use crate::event::Level;

/// The least and the greatest number that a setting allows.
pub(super) type Range = Option<(u64, u64)>;

/// What the text of a setting becomes.
pub(super) trait Value: Sized {
    /// None: the text is not allowed.
    fn read(text: &str, range: Range) -> Option<Self>;

    /// What is allowed, to follow `allowed is`.
    fn allowed(range: Range) -> String;

    /// What is wrong with a text that is not allowed, where more is known than what is allowed.
    fn hint(_: &str) -> Option<String> {
        None
    }
}

/// A truth as people write it.
pub(super) fn truth(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["1", "true", "yes", "on"]) {
        Some(true)
    } else if is(["0", "false", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

impl Value for bool {
    fn read(text: &str, _: Range) -> Option<Self> {
        truth(text)
    }

    fn allowed(_: Range) -> String {
        "1 or 0, true or false, yes or no, on or off".to_owned()
    }
}

impl Value for u64 {
    fn read(text: &str, range: Range) -> Option<Self> {
        // `+5` is a number to Rust, and a typing mistake to a person.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten()?;
        let (least, most) = range.unwrap_or((0, u64::MAX));
        (least..=most).contains(&number).then_some(number)
    }

    fn allowed(range: Range) -> String {
        match range {
            Some((least, most)) => format!("a whole number from {least} to {most}"),
            None => "a whole number".to_owned(),
        }
    }
}

/// A number, or the word by which a setting leaves it open.
macro_rules! open_number {
    ($(#[$doc:meta])* $name:ident, $word:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub Option<u64>);

        impl Value for $name {
            fn read(text: &str, range: Range) -> Option<Self> {
                if text.eq_ignore_ascii_case($word) {
                    return Some(Self(None));
                }
                u64::read(text, range).map(|number| Self(Some(number)))
            }

            fn allowed(range: Range) -> String {
                format!("{}, or `{}`", u64::allowed(range), $word)
            }
        }
    };
}

open_number!(
    /// A number, or none where it is `auto`: the program finds it.
    Auto,
    "auto"
);
open_number!(
    /// A number, or none where it is `off`: there is no such limit.
    Limit,
    "off"
);
open_number!(
    /// Seconds, or none where it is `forever`.
    Wait,
    "forever"
);

impl Value for PathBuf {
    fn read(text: &str, _: Range) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }

    fn allowed(_: Range) -> String {
        "a path".to_owned()
    }
}

impl Value for Option<PathBuf> {
    fn read(text: &str, range: Range) -> Option<Self> {
        if text.is_empty() { Some(None) } else { PathBuf::read(text, range).map(Some) }
    }

    fn allowed(_: Range) -> String {
        "a path, or nothing".to_owned()
    }
}

impl Value for String {
    fn read(text: &str, _: Range) -> Option<Self> {
        (!text.contains(['\0', '\n'])).then(|| text.to_owned())
    }

    fn allowed(_: Range) -> String {
        "text on one line".to_owned()
    }
}

impl Value for IpAddr {
    fn read(text: &str, _: Range) -> Option<Self> {
        text.parse().ok()
    }

    fn allowed(_: Range) -> String {
        "an address such as 127.0.0.1 or ::1".to_owned()
    }
}

/// The path of a page, as it stands in an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(pub String);

impl Value for UrlPath {
    fn read(text: &str, _: Range) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        (text.starts_with('/') && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    fn allowed(_: Range) -> String {
        "a path that begins with `/`, of letters, digits and the characters `-._~/`".to_owned()
    }
}

/// Where lines for the log of a system are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A socket of this machine.
    Socket(PathBuf),
    /// `host:port`.
    Udp(String),
    Tcp(String),
}

impl Value for SyslogAddress {
    fn read(text: &str, _: Range) -> Option<Self> {
        let place = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            let good = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
            (good && !text.contains(['/', ' ', '\0'])).then(|| text.to_owned())
        };
        match text.split_once("://") {
            Some(("udp", rest)) => place(rest).map(Self::Udp),
            Some(("tcp", rest)) => place(rest).map(Self::Tcp),
            Some(_) => None,
            None => {
                (text.starts_with('/') && !text.contains('\0')).then(|| Self::Socket(text.into()))
            }
        }
    }

    fn allowed(_: Range) -> String {
        "the path of a socket, udp://HOST:PORT, or tcp://HOST:PORT".to_owned()
    }
}

impl Value for Option<Secret> {
    fn read(text: &str, range: Range) -> Option<Self> {
        let text = String::read(text, range)?;
        Some((!text.is_empty()).then(|| Secret::new(text)))
    }

    fn allowed(_: Range) -> String {
        "text on one line, or nothing".to_owned()
    }
}

/// A setting that is one of a few words.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$word_doc])* $variant,)+
        }

        impl Value for $name {
            fn read(text: &str, _: Range) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Some(Self::$variant);
                })+
                None
            }

            fn allowed(_: Range) -> String {
                let words = [$($word),+];
                format!("one of {}", words.join(", "))
            }
        }
    };
}

impl Value for Level {
    fn read(text: &str, _: Range) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text))
    }

    fn allowed(_: Range) -> String {
        format!("one of {}", Self::ALL.map(Self::name).join(", ").to_ascii_lowercase())
    }
}
choice!(
    /// The form of the log file.
    LogFormat {
        Text = "text",
        Json = "json",
    }
);
choice!(
    /// How stored objects are compressed.
    Algorithm {
        None = "none",
        Zlib = "zlib",
        Gzip = "gzip",
        Lz4 = "lz4",
        Zstd = "zstd",
    }
);

impl Algorithm {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::read(name, None)
    }
}

choice!(
    /// What kind of remote store there is.
    Backend {
        Http = "http",
        S3 = "s3",
        Gcs = "gcs",
        Azure = "azure",
        Custom = "custom",
    }
);
choice!(
    /// What a remote store is used for.
    RemoteMode {
        ReadWrite = "read-write",
        ReadOnly = "read-only",
        WriteOnly = "write-only",
    }
);
choice!(
    /// How a connection to a mail server is encrypted.
    SmtpTls {
        None = "none",
        StartTls = "starttls",
        Tls = "tls",
    }
);
choice!(
    /// How tasks share the slots of a run with what they start.
    JobserverKind {
        /// Descriptors that they inherit.
        Pipe = "pipe",
        /// A path that they open.
        Fifo = "fifo",
        Off = "off",
    }
);
choice!(
    /// What a part does that cannot keep its promise.
    Fallback {
        Warn = "warn",
        Fail = "fail",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truths_are_read_as_people_write_them() {
        for text in ["1", "true", "YES", "on"] {
            assert_eq!(bool::read(text, None), Some(true), "{text}");
        }
        for text in ["0", "False", "no", "off"] {
            assert_eq!(bool::read(text, None), Some(false), "{text}");
        }
        for text in ["", "2", "maybe", "tru"] {
            assert_eq!(bool::read(text, None), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_whole_and_in_their_range() {
        assert_eq!(u64::read("18446744073709551615", None), Some(u64::MAX));
        for text in ["", "-1", "+1", "1.5", "0x10", "ten", "18446744073709551616", " 1"] {
            assert_eq!(u64::read(text, None), None, "{text:?}");
        }
        let range = Some((1, 256));
        assert_eq!(Auto::read("256", range), Some(Auto(Some(256))));
        assert_eq!(Auto::read("AUTO", range), Some(Auto(None)));
        assert_eq!(Auto::read("257", range), None);
        assert_eq!(Auto::allowed(range), "a whole number from 1 to 256, or `auto`");
    }

    #[test]
    fn words_are_chosen_whatever_their_case() {
        assert_eq!(Level::read("WARN", None), Some(Level::Warn));
        assert_eq!(Level::read("loud", None), None);
        assert_eq!(Level::allowed(None), "one of debug, info, warn, error, fatal");
        assert_eq!(Algorithm::allowed(None), "one of none, zlib, gzip, lz4, zstd");
    }

    #[test]
    fn a_path_of_a_page_needs_no_escapes() {
        for text in ["/", "/metrics", "/a/b-c.d_e~f"] {
            assert_eq!(UrlPath::read(text, None), Some(UrlPath(text.into())));
        }
        for text in ["", "metrics", "/a b", "/ä", "/a?b", "/a#b", "/%41", "http://x/"] {
            assert_eq!(UrlPath::read(text, None), None, "{text:?}");
        }
    }

    #[test]
    fn a_log_of_a_system_is_a_socket_or_a_host_with_a_port() {
        let read = |text| SyslogAddress::read(text, None);
        assert_eq!(read("/dev/log"), Some(SyslogAddress::Socket("/dev/log".into())));
        assert_eq!(
            read("udp://log.example:514"),
            Some(SyslogAddress::Udp("log.example:514".into()))
        );
        assert_eq!(read("tcp://[::1]:601"), Some(SyslogAddress::Tcp("[::1]:601".into())));
        for text in ["", "dev/log", "udp://x", "udp://:514", "tcp://x:0", "tcp://x:99999", "x:514"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn texts_stay_on_their_line() {
        assert_eq!(String::read("a\nb", None), None);
        assert_eq!(Option::<Secret>::read("", None), Some(None));
        assert_eq!(PathBuf::read("", None), None);
        assert_eq!(Option::<PathBuf>::read("", None), Some(None));
    }
}
