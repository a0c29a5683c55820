//! Kafka's protocol (kafka.apache.org/protocol), as far as a producer needs it: requests and answers in the versions before the compact ones, which
//! all brokers since 0.11 speak. From and to octets, without I/O.

use std::str;

/// What a request asks for: its key in the protocol, and the versions that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) says: &'static str,
    pub(super) oldest: i16,
    pub(super) newest: i16,
}

/// Sends records. The answer names records that are at fault from version 8 on.
pub(super) const PRODUCE: Api = Api { key: 0, says: "Produce", oldest: 3, newest: 8 };
/// Asks where partitions are. Version 4 does not make a topic that is not there.
pub(super) const METADATA: Api = Api { key: 3, says: "Metadata", oldest: 1, newest: 4 };
/// Names a mechanism.
pub(super) const HANDSHAKE: Api = Api { key: 17, says: "SaslHandshake", oldest: 1, newest: 1 };
/// Asks which versions the broker speaks.
pub(super) const VERSIONS: Api = Api { key: 18, says: "ApiVersions", oldest: 0, newest: 0 };
/// A step of a login.
pub(super) const AUTHENTICATE: Api = Api { key: 36, says: "SaslAuthenticate", oldest: 0, newest: 0 };

/// Writes numbers and texts, in network order.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn i16(&mut self, number: i16) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn i32(&mut self, number: i32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn i64(&mut self, number: i64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn count(&mut self, length: usize) -> &mut Self {
        self.i32(i32::try_from(length).unwrap_or(i32::MAX))
    }

    /// A text of at most 32,767 octets.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let text = &text[..text.floor_char_boundary(i16::MAX.cast_unsigned().into())];
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn octets(&mut self, octets: &[u8]) -> &mut Self {
        self.count(octets.len());
        self.0.extend_from_slice(octets);
        self
    }
}

/// Reads them. None where the octets end early or are nonsense.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text, which may be missing.
    pub(super) fn text(&mut self) -> Option<Option<&'a str>> {
        match usize::try_from(self.i16()?) {
            Ok(length) => str::from_utf8(self.take(length)?).ok().map(Some),
            Err(_) => Some(None),
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        self.text()?
    }

    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.take(length)
    }

    /// A list of things that have at least one octet each.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count > self.0.len() {
            return None;
        }
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(one(self)?);
        }
        Some(all)
    }
}

/// A request, with its length before it.
pub(super) fn request(api: Api, version: i16, number: i32, body: &[u8]) -> Vec<u8> {
    let mut head = Writer::default();
    head.i16(api.key).i16(version).i32(number).text("trapline");
    let mut frame = Writer(Vec::with_capacity(head.0.len() + body.len() + 4));
    frame.count(head.0.len() + body.len());
    frame.0.extend_from_slice(&head.0);
    frame.0.extend_from_slice(body);
    frame.0
}

/// The versions that a broker speaks: key, oldest, newest.
pub(super) type Versions = Vec<(i16, i16, i16)>;

/// The answer to [`VERSIONS`]: an error, and the versions.
pub(super) fn versions(body: &[u8]) -> Option<(i16, Versions)> {
    let mut body = Reader(body);
    let error = body.i16()?;
    Some((error, body.list(|one| Some((one.i16()?, one.i16()?, one.i16()?)))?))
}

/// Asks for these topics.
pub(super) fn metadata_request(version: i16, topics: &[String]) -> Vec<u8> {
    let mut body = Writer::default();
    body.count(topics.len());
    for topic in topics {
        body.text(topic);
    }
    if version >= 4 {
        // A topic is not made by asking for it.
        body.0.push(0);
    }
    body.0
}

/// Where partitions are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Number, host and port of each broker.
    pub(super) brokers: Vec<(i32, String, i32)>,
    pub(super) topics: Vec<Topic>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) error: i16,
    pub(super) name: String,
    /// Number and leader of each partition; the leader is negative where there is none.
    pub(super) partitions: Vec<(i32, i32)>,
}

pub(super) fn metadata(version: i16, body: &[u8]) -> Option<Metadata> {
    let mut body = Reader(body);
    if version >= 3 {
        body.i32()?;
    }
    let brokers = body.list(|one| {
        let broker = (one.i32()?, one.name()?.to_owned(), one.i32()?);
        one.text()?;
        Some(broker)
    })?;
    if version >= 2 {
        body.text()?;
    }
    body.i32()?;
    let topics = body.list(|one| {
        let (error, name) = (one.i16()?, one.name()?.to_owned());
        one.take(1)?;
        let partitions = one.list(|one| {
            one.i16()?;
            let partition = (one.i32()?, one.i32()?);
            one.list(Reader::i32)?;
            one.list(Reader::i32)?;
            Some(partition)
        })?;
        Some(Topic { error, name, partitions })
    })?;
    Some(Metadata { brokers, topics })
}

/// A batch for a partition of a topic.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) batch: Vec<u8>,
}

/// Sends batches, to be acknowledged by all replicas that are in sync. `patience` in milliseconds is how long they may take.
pub(super) fn produce_request(parts: &[Part<'_>], patience: i32) -> Vec<u8> {
    let mut body = Writer::default();
    // No transaction; all replicas.
    body.i16(-1).i16(-1).i32(patience);
    let topics: Vec<&[Part<'_>]> = parts.chunk_by(|a, b| a.topic == b.topic).collect();
    body.count(topics.len());
    for parts in topics {
        body.text(parts[0].topic).count(parts.len());
        for part in parts {
            body.i32(part.partition).octets(&part.batch);
        }
    }
    body.0
}

/// What a broker says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) error: i16,
    /// Records that are at fault, by their places in the batch, and why.
    pub(super) records: Vec<(i32, Option<String>)>,
    pub(super) message: Option<String>,
}

/// The answer to [`PRODUCE`]: what is said of each batch, and for how long the broker hears nothing now, in milliseconds.
pub(super) fn produced(version: i16, body: &[u8]) -> Option<(Vec<Produced>, i32)> {
    let mut body = Reader(body);
    let all = body.list(|one| {
        let topic = one.name()?.to_owned();
        one.list(|one| {
            let (partition, error) = (one.i32()?, one.i16()?);
            // Where the batch is, and when it came there.
            one.i64()?;
            one.i64()?;
            if version >= 5 {
                one.i64()?;
            }
            let (mut records, mut message) = (Vec::new(), None);
            if version >= 8 {
                records = one.list(|one| Some((one.i32()?, one.text()?.map(str::to_owned))))?;
                message = one.text()?.map(str::to_owned);
            }
            Some(Produced { topic: topic.clone(), partition, error, records, message })
        })
    })?;
    Some((all.into_iter().flatten().collect(), body.i32()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_that_promise_too_much_are_nonsense() {
        let mut body = Writer::default();
        body.i16(0).i32(i32::MAX);
        assert_eq!(versions(&body.0), None);
        assert_eq!(metadata(1, &[0x7f; 8]), None);
        assert_eq!(produced(7, &[]), None);
    }

    proptest! {
        #[test]
        fn no_answer_of_a_broker_panics(version in 0i16..9, body in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..200)) {
            let _ = versions(&body);
            let _ = metadata(version, &body);
            let _ = produced(version, &body);
            let mut reader = Reader(&body);
            let _ = (reader.text(), reader.octets());
        }
    }
}
