//! SHA-256 digests: the only place that names the hash function.
//!
//! A digest prints and parses as 64 lower-case hex digits.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use hmac::{KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

mod lanes;
mod long;

pub use long::LongHasher;

/// How much of a file is read at a time; large enough that the read call costs nothing
/// beside the hashing, small enough to stay in the second-level cache.
pub const CHUNK: usize = 128 * 1024;

/// The SHA-256 of some bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, bytemuck::Pod, bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct Digest([u8; 32]);

/// A text that is not a digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a SHA-256 digest: expected 64 hex digits")]
pub struct NotADigest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The HMAC (RFC 2104) of `bytes`: only who has the key can make it.
    pub fn keyed(key: &[u8], bytes: &[u8]) -> Self {
        let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key);
        let mac = mac.expect("a key of any length will do").chain_update(bytes);
        Self(mac.finalize().into_bytes().into())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = vec![0; 64];
        for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        String::from_utf8(text).expect("hex digits are ASCII")
    }

    /// The first 12 hex digits: enough for a person.
    pub fn short(&self) -> String {
        let mut text = self.hex();
        text.truncate(12);
        text
    }

    /// Parses 64 hex digits, lower case only, so that a digest has one spelling.
    pub fn parse(text: &str) -> Result<Self, NotADigest> {
        let bad = || NotADigest(text.chars().take(80).collect());
        let hex = text.as_bytes();
        if hex.len() != 64 {
            return Err(bad());
        }
        let nibble = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                return Err(bad());
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }

    /// The digest of all that `file` still holds, and how many bytes that was.
    pub fn of_file(file: &mut File) -> io::Result<(Self, u64)> {
        // Most files of a build are small: the first read uses the stack.
        let mut buffer = [0; 16 * 1024];
        let first = read_some(file, &mut buffer)?;
        if first < buffer.len() {
            return Ok((Self::of(&buffer[..first]), first as u64));
        }
        hash_through(&mut buffer.chain(file), u64::MAX, |error| error, |_| Ok(()))
    }
}

/// The digest of up to `most` bytes of `from`, and how many there were. Each piece is passed on as
/// it is read.
pub fn hash_through<E>(
    from: &mut impl Read,
    most: u64,
    fail: fn(io::Error) -> E,
    mut pass_on: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(Digest, u64), E> {
    let mut piece = Vec::new();
    fill(from, &mut piece, most).map_err(fail)?;
    pass_on(&piece)?;
    let mut total = piece.len() as u64;
    if piece.len() < CHUNK {
        return Ok((Digest::of(&piece), total));
    }
    let mut hasher = LongHasher::new();
    loop {
        // A short piece is the last: who has said that nothing follows is not asked again.
        let is_last = piece.len() < CHUNK || total == most;
        hasher.push(piece);
        if is_last {
            return Ok((hasher.finish(), total));
        }
        piece = hasher.buffer();
        fill(from, &mut piece, most - total).map_err(fail)?;
        pass_on(&piece)?;
        total += piece.len() as u64;
    }
}

/// Reads a piece in the place of what `piece` holds: `CHUNK` bytes, or what is left, or `most`.
fn fill(from: &mut impl Read, piece: &mut Vec<u8>, most: u64) -> io::Result<()> {
    piece.resize(most.min(CHUNK as u64) as usize, 0);
    let mut filled = 0;
    while filled < piece.len() {
        match read_some(from, &mut piece[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    piece.truncate(filled);
    Ok(())
}

/// One read that is not disturbed by signals.
pub fn read_some(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A digest in the making.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_nothing_is_the_published_value() {
        assert_eq!(
            Digest::of(b"").hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn keyed_digests_are_those_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, bytes, expected) in cases {
            assert_eq!(Digest::keyed(key, bytes).hex(), expected);
        }
    }

    #[test]
    fn text_and_digest_convert_both_ways() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::parse(&digest.hex()), Ok(digest));
        assert!(Digest::parse(&digest.hex().to_uppercase()).is_err());
        assert!(Digest::parse("ab").is_err());
        assert!(Digest::parse(&"g".repeat(64)).is_err());
    }

    /// Says once that nothing follows.
    struct Once<'a>(Option<&'a [u8]>);

    impl Read for Once<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = self.0.as_mut().expect("nobody asks again");
            let count = left.read(buffer)?;
            if count == 0 {
                self.0 = None;
            }
            Ok(count)
        }
    }

    #[test]
    fn who_has_come_to_an_end_is_not_asked_again_and_each_byte_is_passed_on_once() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 3, CHUNK * 3 + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            for most in [u64::MAX, length as u64, length as u64 / 2] {
                let mut passed = Vec::new();
                let pass_on = |piece: &[u8]| {
                    passed.extend_from_slice(piece);
                    Ok(())
                };
                let hashed = hash_through(&mut Once(Some(&bytes)), most, |error| error, pass_on);
                let wanted = &bytes[..length.min(usize::try_from(most).unwrap_or(length))];
                let (digest, total) = hashed.expect("bytes in memory");
                assert_eq!((digest, total), (Digest::of(wanted), wanted.len() as u64));
                assert!(passed == wanted, "{length} {most}");
            }
        }
    }

    #[test]
    fn a_file_of_any_length_has_the_digest_of_its_bytes() {
        for length in [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, CHUNK * 3 + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut file = tempfile::tempfile().expect("a temporary file");
            io::Write::write_all(&mut file, &bytes).expect("room for it");
            io::Seek::rewind(&mut file).expect("a seekable file");
            let (digest, total) = Digest::of_file(&mut file).expect("a readable file");
            assert_eq!((digest, total), (Digest::of(&bytes), length as u64));
        }
    }
}
