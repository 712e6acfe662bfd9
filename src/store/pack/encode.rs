//! Compressing what is written, in bounded memory. Whatever the codec, its usual tool reads the
//! result, and it is no smaller than a reader of ours believes.

use std::io::{self, Write};

use flate2::write::{GzEncoder, ZlibEncoder};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::decode::MAX_RATIO;
use super::{Form, Packing};

/// The levels of zstd for ours. Above 19 the decoder would need far more memory.
const ZSTD: [i32; 12] = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16, 19];
/// The levels of deflate for ours.
const DEFLATE: [u32; 12] = [1, 2, 3, 4, 5, 6, 6, 7, 7, 8, 8, 9];

/// Writes what it is given to `W`, compressed.
pub(in crate::store) struct Encoder<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Bare(W),
    Zstd(Box<zstd::stream::write::Encoder<'static, Counting<W>>>, u64),
    Lz4(Box<FrameEncoder<W>>),
    Gzip(GzEncoder<W>),
    Zlib(ZlibEncoder<W>),
}

impl<W: Write> Encoder<W> {
    /// For `length` bytes, no more and no less.
    pub(super) fn new(packing: Packing, out: W, length: u64) -> io::Result<Self> {
        let at = usize::try_from(packing.level.clamp(1, 12)).unwrap_or(1) - 1;
        Ok(Self(match packing.form {
            Form::Bare => Inner::Bare(out),
            Form::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Counting::new(out), ZSTD[at])?;
                encoder.include_checksum(true)?;
                encoder.include_contentsize(true)?;
                encoder.set_pledged_src_size(Some(length))?;
                Inner::Zstd(Box::new(encoder), length)
            }
            Form::Lz4 => {
                let frame = FrameInfo::new()
                    .block_size(BlockSize::Max256KB)
                    .block_mode(BlockMode::Linked)
                    .content_size(Some(length))
                    .content_checksum(true);
                Inner::Lz4(Box::new(FrameEncoder::with_frame_info(frame, out)))
            }
            Form::Gzip => Inner::Gzip(GzEncoder::new(out, flate2::Compression::new(DEFLATE[at]))),
            Form::Zlib => Inner::Zlib(ZlibEncoder::new(out, flate2::Compression::new(DEFLATE[at]))),
        }))
    }

    /// Writes the end.
    pub(super) fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Bare(out) => Ok(out),
            Inner::Zstd(encoder, length) => {
                let mut out = encoder.finish()?;
                pad(&mut out, length)?;
                Ok(out.out)
            }
            Inner::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Inner::Gzip(encoder) => encoder.finish(),
            Inner::Zlib(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Bare(out) => out.write(part),
            Inner::Zstd(encoder, _) => encoder.write(part),
            Inner::Lz4(encoder) => encoder.write(part),
            Inner::Gzip(encoder) => encoder.write(part),
            Inner::Zlib(encoder) => encoder.write(part),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Inner::Bare(out) => out.flush(),
            Inner::Zstd(encoder, _) => encoder.flush(),
            Inner::Lz4(encoder) => encoder.flush(),
            Inner::Gzip(encoder) => encoder.flush(),
            Inner::Zlib(encoder) => encoder.flush(),
        }
    }
}

/// How many bytes went through.
pub(in crate::store) struct Counting<W> {
    out: W,
    pub(in crate::store) count: u64,
}

impl<W> Counting<W> {
    pub(in crate::store) fn new(out: W) -> Self {
        Self { out, count: 0 }
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let count = self.out.write(part)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A gigabyte of zeros becomes some 30 KiB, and so would a bomb: the only honest data that shrinks
/// so far is filled up by frames that each reader of zstd skips, until a reader of ours believes it.
fn pad<W: Write>(out: &mut Counting<W>, length: u64) -> io::Result<()> {
    while out.count < length.div_ceil(MAX_RATIO) {
        let missing = length.div_ceil(MAX_RATIO) - out.count;
        let zeros = u32::try_from(missing.saturating_sub(8)).unwrap_or(u32::MAX);
        out.write_all(&0x184d_2a50_u32.to_le_bytes())?;
        out.write_all(&zeros.to_le_bytes())?;
        io::copy(&mut io::Read::take(io::repeat(0), zeros.into()), out)?;
    }
    Ok(())
}
