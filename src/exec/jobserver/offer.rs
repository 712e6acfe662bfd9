//! What `MAKEFLAGS` says of a jobserver.
//!
//! Knows nothing of whether it is there.

use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// A jobserver, as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Descriptors to read from and to write to.
    Pipe([RawFd; 2]),
    Fifo(PathBuf),
    /// There is one, but not for us: make 4.4 says so with numbers below zero.
    Withheld,
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe([read, write]) => write!(f, "{read},{write}"),
            Self::Fifo(path) => write!(f, "fifo:{}", path.display()),
            Self::Withheld => f.write_str("-2,-2"),
        }
    }
}

/// What a `make` around us offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub auth: Auth,
    /// How many jobs it has, if it says so.
    pub jobs: Option<usize>,
}

impl Offer {
    /// From the value of `MAKEFLAGS`. None: nothing is offered.
    pub fn of(makeflags: &str) -> Option<Self> {
        let (mut auth, mut jobs) = (None, None);
        // Behind `--` there are variables, which may hold anything.
        for word in makeflags.split_whitespace().take_while(|word| *word != "--") {
            let named = ["--jobserver-auth=", "--jobserver-fds="];
            if let Some(text) = named.iter().find_map(|name| word.strip_prefix(name)) {
                auth = parse(text).or(auth);
            } else if let Some(number) = word.strip_prefix("-j") {
                jobs = number.parse().ok().filter(|&number| number > 0);
            }
        }
        Some(Self { auth: auth?, jobs })
    }
}

fn parse(text: &str) -> Option<Auth> {
    if let Some(path) = text.strip_prefix("fifo:") {
        return (!path.is_empty()).then(|| Auth::Fifo(path.into()));
    }
    let (read, write) = text.split_once(',')?;
    let (read, write): (RawFd, RawFd) = (read.parse().ok()?, write.parse().ok()?);
    // The standard streams are ours.
    Some(if read > 2 && write > 2 { Auth::Pipe([read, write]) } else { Auth::Withheld })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_make_is_understood() {
        let of = |text: &str| Offer::of(text).map(|offer| (offer.auth, offer.jobs));
        let pipe = |read, write| Auth::Pipe([read, write]);
        assert_eq!(of("-j --jobserver-fds=3,4"), Some((pipe(3, 4), None)));
        assert_eq!(of(" -j2 --jobserver-auth=5,6"), Some((pipe(5, 6), Some(2))));
        let both = "k -j8 --jobserver-fds=3,4 --jobserver-auth=3,4 --no-print-directory";
        assert_eq!(of(both), Some((pipe(3, 4), Some(8))));
        let fifo = " -j3 --jobserver-auth=fifo:/tmp/GMfifo12 --sync-mutex=x";
        assert_eq!(of(fifo), Some((Auth::Fifo("/tmp/GMfifo12".into()), Some(3))));
        assert_eq!(of("-j3 --jobserver-auth=-2,-2"), Some((Auth::Withheld, Some(3))));
        assert_eq!(of("-j3 --jobserver-auth=0,1"), Some((Auth::Withheld, Some(3))));
    }

    #[test]
    fn what_offers_nothing_is_seen() {
        for text in [
            "",
            "k",
            "-j4",
            "--jobserver-auth=",
            "--jobserver-auth=fifo:",
            "-j --jobserver-auth=a,b",
        ] {
            assert_eq!(Offer::of(text), None, "{text}");
        }
        assert_eq!(Offer::of(" -- X=--jobserver-auth=3,4 --jobserver-auth=3,4"), None);
    }
}
