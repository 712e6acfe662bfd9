//! Reading what is compressed, from somewhere that is not trusted: in bounded memory, no further
//! than its size allows, and to an end that is an end.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};
use lz4_flex::frame::FrameDecoder;

use super::Form;

/// What an object may become larger by. Deflate and LZ4 stay below it, and [`super::Encoder`]
/// keeps below it what would not: what goes beyond it is none of ours.
pub(super) const MAX_RATIO: u64 = 2048;

/// The largest window of zstd that is held in memory, as a power of two: that of level 19.
const WINDOW: u32 = 23;

/// Gives the bytes that are compressed in `R`, and an error where they are cut, followed by
/// something else, or more than can be.
pub(in crate::store) struct Decoder<R: BufRead> {
    inner: Inner<R>,
    /// How many bytes it may still give.
    left: u64,
    /// It has come to its end, which some of the readers below know only once.
    is_over: bool,
}

enum Inner<R: BufRead> {
    Bare(R),
    Zstd(Box<zstd::stream::read::Decoder<'static, R>>),
    Lz4(Box<FrameDecoder<Watched<R>>>),
    /// gzip or zlib.
    Deflate(Inflate<R>),
}

impl<R: BufRead> Decoder<R> {
    /// For a file of `stored` bytes.
    pub(in crate::store) fn new(form: Form, from: R, stored: u64) -> io::Result<Self> {
        let left = stored.saturating_mul(MAX_RATIO);
        let inner = match form {
            Form::Bare => Inner::Bare(from),
            Form::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
                decoder.window_log_max(WINDOW)?;
                Inner::Zstd(Box::new(decoder))
            }
            Form::Lz4 => {
                Inner::Lz4(Box::new(FrameDecoder::new(Watched { from, is_at_end: false })))
            }
            Form::Gzip => Inner::Deflate(Inflate::new(from, Decompress::new_gzip(15))),
            Form::Zlib => Inner::Deflate(Inflate::new(from, Decompress::new(true))),
        };
        Ok(Self { inner, left, is_over: false })
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        let count = match &mut self.inner {
            Inner::Bare(from) => from.read(buffer),
            Inner::Zstd(decoder) => decoder.read(buffer),
            Inner::Lz4(decoder) => match decoder.read(buffer) {
                Ok(0) if decoder.get_ref().is_at_end => Err(cut()),
                Ok(0) => end_of(&mut decoder.get_mut().from),
                other => other,
            },
            Inner::Deflate(inflate) => inflate.read(buffer),
        }?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            invalid(format!("it becomes more than {MAX_RATIO} times as large as it is"))
        })?;
        self.is_over = count == 0;
        Ok(count)
    }
}

fn invalid(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}

fn cut() -> io::Error {
    invalid("its compressed bytes are cut")
}

/// Nothing, if nothing follows.
fn end_of(from: &mut impl BufRead) -> io::Result<usize> {
    if from.fill_buf()?.is_empty() {
        return Ok(0);
    }
    Err(invalid("something follows its compressed bytes"))
}

/// Knows whether somebody wanted to read on where nothing was: the reader of LZ4 takes that for an
/// end wherever it is between two blocks.
struct Watched<R> {
    from: R,
    is_at_end: bool,
}

impl<R: BufRead> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.is_at_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// The readers of flate2 take the end of a file for that of its data.
struct Inflate<R> {
    from: R,
    state: Decompress,
    is_over: bool,
}

impl<R: BufRead> Inflate<R> {
    fn new(from: R, state: Decompress) -> Self {
        Self { from, state, is_over: false }
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over && !buffer.is_empty() {
            let input = self.from.fill_buf()?;
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|error| invalid(error.to_string()))?;
            let is_cut = input.is_empty();
            let taken = usize::try_from(self.state.total_in() - taken).unwrap_or(input.len());
            let given = usize::try_from(self.state.total_out() - given).unwrap_or(buffer.len());
            self.from.consume(taken);
            self.is_over = status == Status::StreamEnd;
            if given > 0 {
                return Ok(given);
            }
            if is_cut && !self.is_over {
                return Err(cut());
            }
        }
        if self.is_over { end_of(&mut self.from) } else { Ok(0) }
    }
}
