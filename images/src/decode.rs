//! Undoes the compression of a layer or an archive: gzip, zstd, or none, told by its first bytes.
//!
//! Memory stays bounded whatever a stream's header asks for. It does not bound the *length* of what
//! comes out: [`Capped`] does, and every user puts one around it.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest zstd window that is decoded; it is held in memory.
pub const ZSTD_WINDOW_MAX: u64 = 64 << 20;
const ZSTD_HEADER_MAX: usize = 18;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, with any number of members.
    Gzip,
    /// zstd, with any number of frames.
    Zstd,
}

impl Compression {
    /// What the first bytes of a stream say.
    pub fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A stream without its compression.
pub enum Decoder<R: BufRead> {
    /// There was none.
    Plain(R),
    /// gzip.
    Gzip(MultiGzDecoder<R>),
    /// zstd.
    Zstd(Box<ZstdFrames<R>>),
}

impl<R: BufRead> Decoder<R> {
    /// Looks at the first bytes of `source` and decodes accordingly.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn new(mut source: R) -> io::Result<Self> {
        Ok(match Compression::of(source.fill_buf()?) {
            Compression::None => Self::Plain(source),
            Compression::Gzip => Self::Gzip(MultiGzDecoder::new(source)),
            Compression::Zstd => Self::Zstd(Box::new(ZstdFrames::new(source))),
        })
    }

    /// How the stream was compressed.
    pub fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    /// The source, at wherever it stands.
    pub fn into_inner(self) -> R {
        match self {
            Self::Plain(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(frames) => frames.source,
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(frames) => frames.read(buffer),
        }
    }
}

/// zstd frames one after another; those to be skipped are skipped.
pub struct ZstdFrames<R: BufRead> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Starts the next frame; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            let mut header = Vec::with_capacity(ZSTD_HEADER_MAX);
            self.source.by_ref().take(5).read_to_end(&mut header)?;
            match *header.as_slice() {
                [] => return Ok(false),
                [0x50..=0x5f, 0x2a, 0x4d, 0x18, first] => {
                    let mut rest = [0; 3];
                    self.source.read_exact(&mut rest)?;
                    let length = u64::from(u32::from_le_bytes([first, rest[0], rest[1], rest[2]]));
                    let skipped =
                        io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                [0x28, 0xb5, 0x2f, 0xfd, ..] => return self.start_frame(header),
                _ => return Err(invalid("bytes after a zstd frame that are no frame".to_owned())),
            }
        }
    }

    fn start_frame(&mut self, mut header: Vec<u8>) -> io::Result<bool> {
        let needed = header.get(4).map_or(ZSTD_HEADER_MAX, |d| header_length(*d));
        let more = needed.saturating_sub(header.len()) as u64;
        self.source.by_ref().take(more).read_to_end(&mut header)?;
        let window = window_size(&header).ok_or(io::ErrorKind::UnexpectedEof)?;
        if window > ZSTD_WINDOW_MAX {
            return Err(invalid(format!(
                "the zstd window is {window} bytes; at most {ZSTD_WINDOW_MAX} are decoded"
            )));
        }
        let mut start = header.as_slice().chain(&mut self.source);
        self.decoder.init(&mut start).map_err(io::Error::other)?;
        self.in_frame = true;
        Ok(true)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.in_frame && !self.decoder.is_finished() {
                let step = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, step).map_err(io::Error::other)?;
                continue;
            }
            let read = if self.in_frame { self.decoder.read(buffer)? } else { 0 };
            if read > 0 {
                return Ok(read);
            }
            self.in_frame = false;
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

/// How long a frame's header is, from its descriptor byte (RFC 8878, 3.1.1.1).
fn header_length(descriptor: u8) -> usize {
    let window = usize::from(descriptor & 0x20 == 0);
    5 + window + dictionary_length(descriptor) + content_length(descriptor)
}

fn dictionary_length(descriptor: u8) -> usize {
    [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0)
}

fn content_length(descriptor: u8) -> usize {
    match (descriptor >> 6, descriptor & 0x20 != 0) {
        (0, true) => 1,
        (0, false) => 0,
        (1, _) => 2,
        (2, _) => 4,
        (_, _) => 8,
    }
}

/// How much memory a frame asks for.
fn window_size(header: &[u8]) -> Option<u64> {
    let descriptor = *header.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *header.get(5)?;
        let base = 1_u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let start = 5 + dictionary_length(descriptor);
    let length = content_length(descriptor);
    let field = header.get(start..start + length)?;
    let size = field.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Some(if length == 2 { size + 256 } else { size })
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A reader that fails, rather than ends, after `limit` bytes: what stops a bomb.
pub struct Capped<R> {
    inner: R,
    left: u64,
    exceeded: bool,
}

impl<R> Capped<R> {
    /// Lets at most `limit` bytes pass.
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit, exceeded: false }
    }

    /// Whether more was there than allowed.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// The reader inside.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.exceeded = true;
                return Err(invalid("more bytes than allowed".to_owned()));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
