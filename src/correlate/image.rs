//! The bytes of state: numbers as LEB128, times as they are, blobs with their length before them.

use unsigned_varint as varint;

use super::key::Key;
use crate::outcome::result::State;

/// Writes an image.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, number: u64) {
        if number < 0x80 {
            return self.0.push(number as u8);
        }
        self.0.extend_from_slice(varint::encode::u64(number, &mut varint::encode::u64_buffer()));
    }

    pub(super) fn fixed(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn time(&mut self, time: i64) {
        self.fixed(time as u64);
    }

    /// A number that is small in either direction.
    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub(super) fn key(&mut self, key: Key) {
        self.0.extend_from_slice(&key.number().to_le_bytes());
    }

    pub(super) fn state(&mut self, state: Option<State>) {
        let at = state.and_then(|state| State::ALL.iter().position(|s| *s == state));
        self.byte(at.map_or(u8::MAX, |at| at as u8));
    }

    pub(super) fn blob(&mut self, blob: Option<&[u8]>) {
        // The length plus one: 0 is none.
        self.number(blob.map_or(0, |blob| blob.len() as u64 + 1));
        self.0.extend_from_slice(blob.unwrap_or_default());
    }
}

/// Reads an image. Everything is none once the bytes are not what they should be.
#[derive(Debug)]
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        if let [small @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Some((*small).into());
        }
        let (number, rest) = varint::decode::u64(self.0).ok()?;
        self.0 = rest;
        Some(number)
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        self.number().map(|number| (number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    pub(super) fn fixed(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn time(&mut self) -> Option<i64> {
        self.fixed().map(|time| time as i64)
    }

    pub(super) fn key(&mut self) -> Option<Key> {
        self.take(16)?.first_chunk().map(|bytes| Key::new(u128::from_le_bytes(*bytes)))
    }

    pub(super) fn state(&mut self) -> Option<Option<State>> {
        match self.byte()? {
            u8::MAX => Some(None),
            at => State::ALL.get(usize::from(at)).copied().map(Some),
        }
    }

    pub(super) fn blob(&mut self) -> Option<Option<&'b [u8]>> {
        match self.number()? {
            0 => Some(None),
            length => Some(Some(self.take(usize::try_from(length - 1).ok()?)?)),
        }
    }
}
