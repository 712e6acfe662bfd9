//! The manifest of a backup: every file that belongs to it, by its digest, under a check sum.
//! `docs/on-disk-format.md` describes the form.

use crate::base::Digest;
use crate::cache::bytes::{Reader, Writer};

const MAGIC: &[u8; 8] = b"rvmbak\0\x01";

/// A file of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Held {
    pub digest: Digest,
    pub size: u64,
}

/// A record of the cache, and the file that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HeldRecord {
    pub key: Digest,
    #[serde(flatten)]
    pub file: Held,
}

/// What belongs to a backup. There is no path in it, so that none can lead anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Nanoseconds since 1970.
    pub created_ns: i64,
    pub incremental: bool,
    /// How many records of the cache were not whole and are not in it.
    pub left_out: u64,
    /// The version of the program that made it.
    pub program: String,
    /// Sorted by digest.
    pub objects: Vec<Held>,
    /// Sorted by key.
    pub records: Vec<HeldRecord>,
}

impl Manifest {
    /// Every file that it needs.
    pub(super) fn files(&self) -> impl Iterator<Item = Held> {
        self.records.iter().map(|record| record.file).chain(self.objects.iter().copied())
    }

    /// How many bytes a restore of it has.
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.size).sum()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.u64(self.created_ns.cast_unsigned());
        out.u8(u8::from(self.incremental));
        out.u64(self.left_out);
        out.bytes(self.program.as_bytes());
        out.u64(self.objects.len() as u64);
        for object in &self.objects {
            out.digest(&object.digest);
            out.u64(object.size);
        }
        out.u64(self.records.len() as u64);
        for record in &self.records {
            out.digest(&record.key);
            out.digest(&record.file.digest);
            out.u64(record.file.size);
        }
        let check = Digest::of(&out.0);
        out.digest(&check);
        out.0
    }

    /// An error says what is wrong.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (body, check) =
            bytes.split_last_chunk::<32>().ok_or("it is shorter than any manifest")?;
        let fields =
            body.strip_prefix(MAGIC).ok_or("it has a form that this version does not know")?;
        if Digest::of(body) != Digest::from_bytes(*check) {
            return Err("its check sum does not fit");
        }
        let manifest = Self::parse_fields(Reader(fields)).ok_or("its fields do not fit")?;
        let sum = manifest.files().try_fold(0_u64, |sum, file| sum.checked_add(file.size));
        sum.filter(|&sum| i64::try_from(sum).is_ok()).ok_or("its sizes cannot be")?;
        Ok(manifest)
    }

    /// No count is trusted: what is not there is an end.
    fn parse_fields(mut from: Reader<'_>) -> Option<Self> {
        let mut manifest = Self {
            created_ns: from.u64()?.cast_signed(),
            incremental: match from.u8()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            left_out: from.u64()?,
            program: String::from_utf8(from.bytes()?.to_vec()).ok()?,
            objects: Vec::new(),
            records: Vec::new(),
        };
        for _ in 0..from.u64()? {
            let object = Held { digest: from.digest()?, size: from.u64()? };
            if manifest.objects.last().is_some_and(|last| last.digest >= object.digest) {
                return None;
            }
            manifest.objects.push(object);
        }
        for _ in 0..from.u64()? {
            let key = from.digest()?;
            let file = Held { digest: from.digest()?, size: from.u64()? };
            if manifest.records.last().is_some_and(|last| last.key >= key) {
                return None;
            }
            manifest.records.push(HeldRecord { key, file });
        }
        from.is_at_end().then_some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str) -> Held {
        Held { digest: Digest::of(text.as_bytes()), size: text.len() as u64 }
    }

    fn sample() -> Manifest {
        let mut objects = vec![held("a"), held("bb"), held("ccc")];
        objects.sort();
        let file = held("record");
        Manifest {
            created_ns: 1_700_000_000_000_000_000,
            incremental: true,
            left_out: 3,
            program: "1.2.3".into(),
            objects,
            records: vec![HeldRecord { key: Digest::of(b"key"), file }],
        }
    }

    #[test]
    fn each_bit_of_a_manifest_counts() {
        let good = sample().to_bytes();
        assert_eq!(Manifest::parse(&good), Ok(sample()));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Manifest::parse(&bad).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Manifest::parse(&good[..at]).is_err(), "cut at {at}");
        }
        assert!(Manifest::parse(&[&good[..], b"x"].concat()).is_err());
    }

    /// Whoever can write a good check sum still cannot write what could do harm.
    #[test]
    fn hostile_fields_are_no_manifest() {
        let refused = |change: fn(&mut Manifest)| {
            let mut manifest = sample();
            change(&mut manifest);
            Manifest::parse(&manifest.to_bytes()).is_err()
        };
        assert!(!refused(|_| {}));
        assert!(refused(|manifest| manifest.objects.reverse()));
        assert!(refused(|manifest| manifest.objects.push(manifest.objects[2])));
        assert!(refused(|manifest| manifest.records.push(manifest.records[0])));
        assert!(refused(|manifest| manifest.objects[0].size = u64::MAX));
        assert!(refused(|manifest| manifest.objects[0].size = 1 << 63));
        let mut huge = Writer(MAGIC.to_vec());
        for _ in 0..2 {
            huge.u64(0);
        }
        huge.u8(0);
        huge.bytes(b"");
        huge.u64(u64::MAX);
        let check = Digest::of(&huge.0);
        huge.digest(&check);
        assert!(Manifest::parse(&huge.0).is_err());
    }
}
