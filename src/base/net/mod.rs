//! Which addresses of a name may be connected to: all, or those of the public internet only. A
//! name is resolved once, and what was looked at is what is connected to.
//!
//! Knows nothing of what is sent.

pub mod mail;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use super::http::Fault;

/// How far a connection may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// No address of this machine, of a private network, or of any other special use.
    Public,
    Anywhere,
}

/// Why something that was to be sent was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    #[error("`{host}` is {address}, which is no public address")]
    Private { host: String, address: IpAddr },
    #[error("`{host}` has no address: {problem}")]
    Unknown { host: String, problem: String },
    /// What the other side said, if it did, in its own words.
    #[error("{fault}{}", in_brackets(said))]
    Http { fault: Fault, said: String, after: Option<Duration> },
    #[error("{problem}")]
    Mail { problem: String, is_final: bool },
}

fn in_brackets(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" (\"{said}\")") }
}

impl Undelivered {
    /// Whether it may be gone at the next try.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Private { .. } => false,
            Self::Unknown { .. } => true,
            Self::Http { fault: Fault::Late(_), .. } => true,
            Self::Http { fault, .. } => fault.may_pass(),
            Self::Mail { is_final, .. } => !is_final,
        }
    }

    /// How long the other side wants to be left alone, if it says so.
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::Http { after, .. } => *after,
            _ => None,
        }
    }
}

/// The addresses of a host that may be connected to; never none.
pub fn resolve(host: &str, port: u16, reach: Reach) -> Result<Vec<SocketAddr>, Undelivered> {
    allowed(host, (host, port).to_socket_addrs(), reach)
}

/// What is left of all addresses of a host.
pub fn allowed(
    host: &str,
    found: io::Result<impl IntoIterator<Item = SocketAddr>>,
    reach: Reach,
) -> Result<Vec<SocketAddr>, Undelivered> {
    let unknown = |problem: String| Undelivered::Unknown { host: host.to_owned(), problem };
    let mut refused = None;
    let mut addresses = Vec::new();
    for address in found.map_err(|error| unknown(error.to_string()))? {
        if reach == Reach::Anywhere || is_public(address.ip()) {
            addresses.push(address);
        } else {
            refused.get_or_insert(address.ip());
        }
    }
    match (addresses.is_empty(), refused) {
        (false, _) => Ok(addresses),
        (true, Some(address)) => Err(Undelivered::Private { host: host.to_owned(), address }),
        (true, None) => Err(unknown("none is known".to_owned())),
    }
}

/// Whether an address is one of the public internet, by the registries of special addresses
/// (IANA, RFC 6890). An address that holds another is as that one is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    /// A network and how many of its bits count.
    const SPECIAL: [([u8; 4], u32); 15] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
    ];
    let bits = u32::from(address);
    !SPECIAL
        .iter()
        .any(|(network, length)| (bits ^ u32::from_be_bytes(*network)) >> (32 - length) == 0)
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // Mapped (RFC 4291), and through a translator (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            inner(high, low)
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => inner(high, low),
        // Protocols (Teredo among them), documentation, segments of routers.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // All that is global is from here.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public_in_whatever_they_are_wrapped() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "2001:db8::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
        ] {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn of_several_addresses_only_the_public_ones_are_connected_to() {
        let all = || ["10.0.0.1:1", "8.8.8.8:1"].map(|text| text.parse().expect("an address"));
        let some = allowed("h", Ok(all()), Reach::Public).expect("one is public");
        assert_eq!(some, all()[1..]);
        assert_eq!(allowed("h", Ok(all()), Reach::Anywhere).expect("all"), all());
        let error = allowed("h", Ok(all().into_iter().take(1)), Reach::Public);
        assert_eq!(
            error.expect_err("none is public").to_string(),
            "`h` is 10.0.0.1, which is no public address"
        );
        for host in ["127.1", "0x7f.1", "2130706433", "017700000001", "localhost"] {
            let error = resolve(host, 80, Reach::Public).expect_err(host);
            assert!(matches!(error, Undelivered::Private { .. }), "{error}");
        }
    }
}
