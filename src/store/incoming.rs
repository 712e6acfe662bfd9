//! An object on its way into the store, from somewhere that is not trusted: it lies beside its
//! place until its size and its digest are what they have to be.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::PathBuf;

use super::DiskStore;
use super::form::Form;
use crate::base::fs::{self, Context as _};
use crate::base::http::Sink;
use crate::base::{Digest, FileError, Hasher};

/// What has come of it so far. Dropped before it is finished, nothing of it stays.
#[derive(Debug)]
pub struct Incoming {
    digest: Digest,
    size: u64,
    store: DiskStore,
    tmp: PathBuf,
    file: File,
    hasher: Hasher,
    total: u64,
    stopped: Option<Refused>,
}

/// Why something was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not the object.
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    File(#[from] FileError),
}

impl DiskStore {
    /// Begins to receive an object.
    pub fn receive(&self, digest: &Digest, size: u64) -> Result<Incoming, FileError> {
        let tmp = self.tmp().join(fs::unique_name());
        let file = fs::create_new(&tmp)?;
        Ok(Incoming {
            digest: *digest,
            size,
            store: self.clone(),
            tmp,
            file,
            hasher: Hasher::new(),
            total: 0,
            stopped: None,
        })
    }
}

impl Incoming {
    /// Why no more was taken, where that was our doing.
    pub fn stopped(&mut self) -> Option<Refused> {
        self.stopped.take()
    }

    /// Gives the object its name, if it is the object.
    pub fn finish(mut self) -> Result<(), Refused> {
        if self.total != self.size {
            let Self { total, size, .. } = self;
            return Err(Refused::Wrong(format!("it has {total} bytes instead of {size}")));
        }
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new());
        if hasher.finish() != self.digest {
            return Err(Refused::Wrong("its bytes have another digest".to_owned()));
        }
        // What lies there is no file of that size, or nobody had asked for it.
        fs::remove_empty_dir(&self.store.path(&self.digest));
        let packed = self.packed()?;
        let (file, tmp, form) = match &packed {
            Some((file, tmp)) => (file, tmp, self.store.packing.form()),
            None => (&self.file, &self.tmp, Form::Bare),
        };
        self.store.place(file, tmp, form, Ok((self.digest, self.size)))?;
        Ok(())
    }

    /// The same in the form of the settings, where that is worth it.
    fn packed(&mut self) -> Result<Option<(File, PathBuf)>, FileError> {
        if !self.store.packing.is_worth(&self.file, self.size) {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(0)).at("read", &self.tmp)?;
        self.store.pack_file(&mut self.file, &self.digest, self.size)
    }
}

impl Write for Incoming {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let total = self.total + part.len() as u64;
        if total > self.size {
            let problem = format!("it has more than {} bytes", self.size);
            self.stopped = Some(Refused::Wrong(problem.clone()));
            return Err(io::Error::other(problem));
        }
        if let Err(error) = self.file.write_all(part).at("write", &self.tmp) {
            let answer = io::Error::from(error.kind());
            self.stopped = Some(error.into());
            return Err(answer);
        }
        self.hasher.update(part);
        self.total = total;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Incoming {
    fn restart(&mut self) -> io::Result<()> {
        self.hasher = Hasher::new();
        self.total = 0;
        self.file.rewind()?;
        self.file.set_len(0)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already where it was put into place.
        let _ = fs::remove_file(&self.tmp);
    }
}
