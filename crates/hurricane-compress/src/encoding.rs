//! The formats, each at the level that makes its files smallest.

use std::io::{self, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;

/// A format of compressed copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

/// The slowest level short of "ultra", whose window browsers may refuse.
const ZSTD_LEVEL: i32 = 19;
/// RFC 9659: browsers take no larger window.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const BROTLI_QUALITY: i32 = 11;
const BROTLI_WINDOW_LOG: i32 = 22;

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// What the names of its files end with.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Compresses bytes that are in memory.
    pub(crate) fn encode(self, content: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG_MAX)?;
                encoder.compress(content)
            }
            Self::Brotli => {
                let mut compressed = Vec::new();
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW_LOG,
                    size_hint: content.len(),
                    ..BrotliEncoderParams::default()
                };
                brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
                Ok(compressed)
            }
            // Without a name or time, so that the same content is the same copy.
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(content)?;
                encoder.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let content = b"body { color: red }\n".repeat(1000);
        for encoding in Encoding::ALL {
            let compressed = encoding.encode(&content).unwrap();
            assert!(compressed.len() < content.len() / 10, "{encoding:?}");
            assert_eq!(compressed, encoding.encode(&content).unwrap(), "{encoding:?}");
            let mut decoded = Vec::new();
            match encoding {
                Encoding::Zstd => decoded = zstd::decode_all(&*compressed).unwrap(),
                Encoding::Brotli => {
                    brotli::BrotliDecompress(&mut &*compressed, &mut decoded).unwrap();
                }
                Encoding::Gzip => {
                    let mut decoder = flate2::read::GzDecoder::new(&*compressed);
                    decoder.read_to_end(&mut decoded).unwrap();
                }
            }
            assert_eq!(decoded, content, "{encoding:?}");
        }
    }
}
