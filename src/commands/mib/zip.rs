//! The files of a ZIP archive (APPNOTE 6.3, sections 4.3 and 4.4): stored ones and deflated ones, as vendors pack their MIB
//! modules.
//!
//! Names are shown and never used as paths.

use std::io::Read as _;

use flate2::read::DeflateDecoder;

/// The most files.
const MAX_FILES: usize = 100_000;
/// The signatures of the end of the central directory, of an entry in it, and of a file.
const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const FILE: &[u8] = b"PK\x03\x04";
/// The lengths of these, without what varies.
const END_LENGTH: usize = 22;
const ENTRY_LENGTH: usize = 46;
const FILE_LENGTH: usize = 30;

/// What is wrong with an archive, or with a file in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// It has no central directory.
    #[error("it is no ZIP archive, or its end is missing")]
    Format,
    /// A part does not stand where the directory says.
    #[error("the archive is damaged")]
    Damaged,
    /// ZIP64, or an archive in parts.
    #[error("it is a ZIP64 archive, or one in parts; unpack it and name the folder")]
    Large,
    /// It has more than the most files.
    #[error("it has more than {MAX_FILES} files; unpack it and name the folder")]
    Many,
    /// Neither stored nor deflated, or encrypted.
    #[error(
        "it is encrypted, or packed by method {0}, which is not known; unpack the archive and name the folder"
    )]
    Method(u16),
    /// It unpacks to more than is allowed.
    #[error("it unpacks to more than {0} bytes")]
    Size(u64),
    /// The checksum differs.
    #[error("its checksum is wrong")]
    Checksum,
}

/// Whether the content is that of an archive.
pub fn is_archive(content: &[u8]) -> bool {
    content.starts_with(FILE) || content.starts_with(END)
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed<'a> {
    /// Its name, with folders, as the archive has it.
    pub name: String,
    archive: &'a [u8],
    method: u16,
    checksum: u32,
    size: u32,
    packed: u32,
    at: u32,
}

/// The files of an archive, without folders.
///
/// # Errors
///
/// If it is none, or is damaged.
pub fn files(archive: &[u8]) -> Result<Vec<Packed<'_>>, ZipError> {
    // Behind the end stands a comment of up to 64 KiB.
    let from = archive.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let tail = &archive[from..];
    let end = tail.windows(END.len()).rposition(|window| window == END).ok_or(ZipError::Format)?;
    let end = &tail[end..];
    let (disk, count) = (short(end, 4)?, usize::from(short(end, 10)?));
    let start = long(end, 16)?;
    if disk != 0 || count == usize::from(u16::MAX) || start == u32::MAX {
        return Err(ZipError::Large);
    }
    if count > MAX_FILES {
        return Err(ZipError::Many);
    }
    let mut files = Vec::new();
    let mut rest = archive.get(start as usize..).ok_or(ZipError::Damaged)?;
    for _ in 0..count {
        if !rest.starts_with(ENTRY) || rest.len() < ENTRY_LENGTH {
            return Err(ZipError::Damaged);
        }
        let lengths = [short(rest, 28)?, short(rest, 30)?, short(rest, 32)?].map(usize::from);
        let name = rest.get(ENTRY_LENGTH..ENTRY_LENGTH + lengths[0]).ok_or(ZipError::Damaged)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let encrypted = short(rest, 8)? & 1 != 0;
        let file = Packed {
            archive,
            method: if encrypted { u16::MAX } else { short(rest, 10)? },
            checksum: long(rest, 16)?,
            packed: long(rest, 20)?,
            size: long(rest, 24)?,
            at: long(rest, 42)?,
            name,
        };
        if !file.name.ends_with('/') {
            files.push(file);
        }
        rest = rest.get(ENTRY_LENGTH + lengths.iter().sum::<usize>()..).ok_or(ZipError::Damaged)?;
    }
    Ok(files)
}

impl Packed<'_> {
    /// Its content of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be unpacked.
    pub fn content(&self, most: u64) -> Result<Vec<u8>, ZipError> {
        if u64::from(self.size) > most {
            return Err(ZipError::Size(most));
        }
        let file = self.archive.get(self.at as usize..).ok_or(ZipError::Damaged)?;
        if !file.starts_with(FILE) {
            return Err(ZipError::Damaged);
        }
        let start = FILE_LENGTH + usize::from(short(file, 26)?) + usize::from(short(file, 28)?);
        let packed = file.get(start..start + self.packed as usize).ok_or(ZipError::Damaged)?;
        let content = match self.method {
            0 => packed.to_vec(),
            8 => {
                let mut content = Vec::new();
                // What it says of its size may be wrong.
                let read =
                    DeflateDecoder::new(packed).take(u64::from(self.size) + 1).read_to_end(&mut content);
                read.map_err(|_| ZipError::Damaged)?;
                content
            }
            other => return Err(ZipError::Method(other)),
        };
        if content.len() != self.size as usize {
            return Err(ZipError::Damaged);
        }
        let mut checksum = flate2::Crc::new();
        checksum.update(&content);
        if checksum.sum() == self.checksum { Ok(content) } else { Err(ZipError::Checksum) }
    }
}

fn short(bytes: &[u8], at: usize) -> Result<u16, ZipError> {
    let octets = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(ZipError::Damaged)?;
    Ok(u16::from_le_bytes(*octets))
}

fn long(bytes: &[u8], at: usize) -> Result<u32, ZipError> {
    let octets = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(ZipError::Damaged)?;
    Ok(u32::from_le_bytes(*octets))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use proptest::prelude::*;

    use super::*;

    /// An archive of files, deflated if `deflate` is true.
    pub(crate) fn archive(files: &[(&str, &[u8])], deflate: bool) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let packed = if deflate {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            } else {
                content.to_vec()
            };
            let mut checksum = flate2::Crc::new();
            checksum.update(content);
            let at = out.len() as u32;
            let mut middle = Vec::new();
            middle.extend([20, 0, 0, 0, if deflate { 8 } else { 0 }, 0, 0, 0, 0, 0]);
            middle.extend(checksum.sum().to_le_bytes());
            middle.extend((packed.len() as u32).to_le_bytes());
            middle.extend((content.len() as u32).to_le_bytes());
            middle.extend((name.len() as u16).to_le_bytes());
            out.extend(FILE);
            out.extend(&middle);
            out.extend([0, 0]);
            out.extend(name.as_bytes());
            out.extend(&packed);
            directory.extend(ENTRY);
            directory.extend([20, 0]);
            directory.extend(&middle);
            directory.extend([0; 12]);
            directory.extend(at.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let start = out.len() as u32;
        out.extend(&directory);
        out.extend(END);
        out.extend([0; 4]);
        out.extend((files.len() as u16).to_le_bytes());
        out.extend((files.len() as u16).to_le_bytes());
        out.extend((directory.len() as u32).to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend([0, 0]);
        out
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let long = b"x".repeat(100_000);
        for deflate in [false, true] {
            let bytes = archive(&[("folder/", b""), ("folder/A.mib", &long), ("../../B", b"b")], deflate);
            assert!(is_archive(&bytes));
            let files = files(&bytes).unwrap();
            let all: Vec<(&str, usize)> =
                files.iter().map(|file| (file.name.as_str(), file.content(1 << 20).unwrap().len())).collect();
            assert_eq!(all, [("folder/A.mib", 100_000), ("../../B", 1)]);
            assert_eq!(files[0].content(99_999), Err(ZipError::Size(99_999)));
        }
        assert_eq!(files(b"PK\x03\x04"), Err(ZipError::Format));
    }

    proptest! {
        #[test]
        fn a_damaged_archive_is_an_error_or_as_it_was(at in any::<prop::sample::Index>(), to: u8, cut in any::<prop::sample::Index>()) {
            let mut bytes = archive(&[("A", b"some content that is some content"), ("B", b"b")], true);
            *at.get_mut(&mut bytes) = to;
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                for file in files(bytes).into_iter().flatten() {
                    if let Ok(content) = file.content(1000) {
                        prop_assert!(content.len() <= 1000);
                    }
                }
            }
        }
    }
}
