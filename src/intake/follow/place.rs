//! Where reading a file goes on.

use std::io;

use serde_json::{Value, json};

/// How much of the beginning of a file tells it from others, in octets.
pub(super) const HEAD: usize = 1024;

/// A file, as it can be known again, and how far it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The first octet that was not read.
    pub(super) offset: u64,
    /// How many octets of its beginning the checksum is of.
    pub(super) head: u64,
    /// Their checksum.
    pub(super) sum: u32,
    /// When it was written last, in seconds and nanoseconds: whatever has its name later is written later. None in what an earlier release
    /// has stored.
    pub(super) written: Option<(i64, i64)>,
}

impl Place {
    pub(super) fn to_json(self) -> Value {
        let Place { device, inode, offset, head, sum, written } = self;
        let mut all = json!({ "device": device, "inode": inode, "offset": offset, "head": head, "sum": sum });
        if let Some((seconds, nanoseconds)) = written {
            all["written"] = json!([seconds, nanoseconds]);
        }
        all
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let number = |name: &str| value[name].as_u64();
        Some(Place {
            device: number("device")?,
            inode: number("inode")?,
            offset: number("offset")?,
            head: number("head").filter(|head| *head <= HEAD as u64)?,
            sum: u32::try_from(number("sum")?).ok()?,
            written: value["written"][0].as_i64().zip(value["written"][1].as_i64()),
        })
    }

    /// Whether what stands at the beginning of a file is what stood there. `read` reads some octets from the beginning.
    pub(super) fn begins(&self, read: impl FnOnce(usize) -> io::Result<Vec<u8>>) -> bool {
        read(self.head as usize)
            .is_ok_and(|head| head.len() as u64 == self.head && crc32c::crc32c(&head) == self.sum)
    }
}
