//! Batches of records in Kafka's format 2 (kafka.apache.org/documentation, Record Batch), and the partition of a key.

use super::wire::Writer;

/// The octets of a batch without its records.
const HEAD: usize = 61;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// In milliseconds since 1970 UTC.
    pub(super) time: i64,
    /// Host and service: what has the same key is in the same partition, in its order.
    pub(super) key: String,
    /// The id of its outcome.
    pub(super) id: String,
    /// JSON.
    pub(super) value: Vec<u8>,
}

impl Record {
    /// About how many octets it has in a batch.
    pub(super) fn size(&self) -> usize {
        self.key.len() + self.id.len() + self.value.len() + 80
    }

    fn push(&self, out: &mut Vec<u8>, number: usize, base: i64) {
        let mut body = vec![0];
        varint(&mut body, self.time.wrapping_sub(base));
        varint(&mut body, signed(number));
        octets(&mut body, self.key.as_bytes());
        octets(&mut body, &self.value);
        let headers = [("trapline-id", self.id.as_str()), ("content-type", "application/json")];
        varint(&mut body, signed(headers.len()));
        for (name, value) in headers {
            octets(&mut body, name.as_bytes());
            octets(&mut body, value.as_bytes());
        }
        varint(out, signed(body.len()));
        out.extend_from_slice(&body);
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn octets(out: &mut Vec<u8>, text: &[u8]) {
    varint(out, signed(text.len()));
    out.extend_from_slice(text);
}

/// A number in as few octets as it needs, with its sign in the last bit.
fn varint(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Records as one batch, without compression.
pub(super) fn encode(records: &[&Record]) -> Vec<u8> {
    let base = records.first().map_or(0, |record| record.time);
    let latest = records.iter().map(|record| record.time).max().unwrap_or(base);
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let mut body = Writer::default();
    // Attributes: no compression, the time is that of the sender.
    body.i16(0).i32(count.saturating_sub(1)).i64(base).i64(latest);
    // No producer id: the broker does not look for repetitions.
    body.i64(-1).i16(-1).i32(-1).i32(count);
    for (number, record) in records.iter().enumerate() {
        record.push(&mut body.0, number, base);
    }
    let mut batch = Writer(Vec::with_capacity(HEAD + body.0.len()));
    let length = i32::try_from(body.0.len() + 9).unwrap_or(i32::MAX);
    batch.i64(0).i32(length).i32(-1);
    batch.0.push(2);
    batch.i32(crc32c::crc32c(&body.0).cast_signed());
    batch.0.extend_from_slice(&body.0);
    batch.0
}

/// The partition of a key, as Kafka's own producers choose it.
pub(super) fn partition(key: &str, partitions: usize) -> usize {
    let hash = murmur2(key.as_bytes()) & 0x7fff_ffff;
    hash as usize % partitions.max(1)
}

/// `Utils.murmur2` of Kafka's clients.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ (data.len() as u32);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of Kafka's own UtilsTest.
    #[test]
    fn keys_go_where_kafkas_producers_put_them() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(partition("abc", 4), 479_470_107 % 4);
        assert_eq!(partition("abc", 0), 0);
    }

    #[test]
    fn numbers_take_as_many_octets_as_they_need() {
        for (number, expected) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (-64, &[127]),
            (64, &[0x80, 1]),
            (300, &[0xd8, 4]),
        ] {
            let mut out = Vec::new();
            varint(&mut out, number);
            assert_eq!(out, expected, "{number}");
        }
        for number in [i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            varint(&mut out, number);
            assert_eq!(out.len(), 10);
        }
    }
}
