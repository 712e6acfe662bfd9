//! A writer that a closed pipe does not disturb.

use std::io::{self, ErrorKind, Write};

/// Passes on what is written, until the reader has gone; then everything is swallowed.
#[derive(Debug)]
pub(super) struct Sink<W> {
    out: W,
    closed: bool,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, closed: false }
    }

    /// Writes all of it and hands it on at once. The error is a sentence.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.write_all(bytes).and_then(|()| self.flush()).map_err(|error| cannot(&error))
    }

    #[cfg(test)]
    pub(super) fn inner(&self) -> &W {
        &self.out
    }

    fn forgive<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

pub(super) fn cannot(error: &io::Error) -> String {
    format!("cannot write: {error}")
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.forgive(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.forgive(flushed, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken {
        kind: ErrorKind,
        calls: usize,
    }

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            Err(self.kind.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_is_not_written_to_again() {
        let mut sink = Sink::new(Broken { kind: ErrorKind::BrokenPipe, calls: 0 });
        assert_eq!(sink.put(b"one"), Ok(()));
        assert_eq!(sink.put(b"two"), Ok(()));
        assert_eq!(sink.inner().calls, 1);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut sink = Sink::new(Broken { kind: ErrorKind::StorageFull, calls: 0 });
        assert!(sink.put(b"one").expect_err("a full disk").starts_with("cannot write: "));
    }
}
