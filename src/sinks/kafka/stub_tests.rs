//! A cluster for tests that fails on whatever is not as the protocol says.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::wire::{Reader, Writer};
use crate::net::{Connecting, Network, Stream};

/// A record as a broker keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) headers: Vec<(String, String)>,
}

/// What a broker does with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Does {
    Takes,
    Refuses(i16),
    /// Names records that are at fault.
    Names(i16, Vec<i32>),
    Closes,
    Ignores,
    /// Takes it and closes the connection before it says so.
    TakesAndCloses,
}

type Judge = dyn FnMut(&str, i32, &[Stored]) -> Does + Send;

/// Brokers, by their ports the topics' leaders: port 9000 + number.
#[derive(Clone)]
pub(super) struct Stub(pub(super) Arc<Mutex<State>>);

pub(super) struct State {
    /// The leaders of the partitions of each topic, or an error.
    pub(super) topics: HashMap<String, Result<Vec<i32>, i16>>,
    pub(super) judge: Box<Judge>,
    /// The newest version of Produce.
    pub(super) newest: i16,
    /// User and password that are wanted, by PLAIN.
    pub(super) login: Option<(&'static str, &'static str)>,
    /// What it sends to the first request.
    pub(super) nonsense: Option<&'static [u8]>,
    pub(super) kept: BTreeMap<(String, i32), Vec<Stored>>,
    /// Requests to write, and connections.
    pub(super) requests: usize,
    pub(super) connections: usize,
    /// How long each answer asks to be left alone, in milliseconds.
    pub(super) pause: i32,
    /// Ports that nobody listens on.
    pub(super) down: Vec<u16>,
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stub")
    }
}

impl Stub {
    pub(super) fn new(judge: impl FnMut(&str, i32, &[Stored]) -> Does + Send + 'static) -> Self {
        Stub(Arc::new(Mutex::new(State {
            topics: HashMap::from([("t".to_owned(), Ok(vec![1, 2, 1, 2]))]),
            judge: Box::new(judge),
            newest: 8,
            login: None,
            nonsense: None,
            kept: BTreeMap::new(),
            requests: 0,
            connections: 0,
            pause: 0,
            down: Vec::new(),
        })))
    }

    /// All that is kept of a topic, by partition.
    pub(super) fn kept(&self) -> Vec<Stored> {
        self.0.lock().unwrap().kept.values().flatten().cloned().collect()
    }
}

impl Network for Stub {
    fn connect<'a>(&'a self, _: &'a str, port: u16) -> Connecting<'a> {
        let mut state = self.0.lock().unwrap();
        if state.down.contains(&port) {
            return Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())));
        }
        state.connections += 1;
        let (own, other) = tokio::io::duplex(1 << 20);
        let number = if port == 9092 { 1 } else { i32::from(port) - 9000 };
        tokio::spawn(serve(other, self.clone(), number));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

async fn serve(mut stream: DuplexStream, stub: Stub, broker: i32) {
    let mut is_in = false;
    while let Ok(length) = stream.read_i32().await {
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut frame).await.unwrap();
        let mut request = Reader(&frame);
        let (key, version, number) = (request.i16().unwrap(), request.i16().unwrap(), request.i32().unwrap());
        assert_eq!(request.text(), Some(Some("trapline")));
        let Some(body) = answer(&stub, (key, version), request, broker, &mut is_in) else { return };
        let Some(body) = body else { continue };
        let mut out = Writer::default();
        out.count(body.len() + 4).i32(number).0.extend_from_slice(&body);
        if stream.write_all(&out.0).await.is_err() {
            return;
        }
    }
}

/// The answer to a request; inner none if there is none, none if the connection ends.
fn answer(
    stub: &Stub,
    (key, version): (i16, i16),
    mut request: Reader<'_>,
    broker: i32,
    is_in: &mut bool,
) -> Option<Option<Vec<u8>>> {
    let mut state = stub.0.lock().unwrap();
    let mut out = Writer::default();
    if let Some(nonsense) = state.nonsense {
        return Some(Some(nonsense.to_vec()));
    }
    match (key, version) {
        (18, 0) => {
            let apis = [(0, 3, state.newest), (3, 0, 9), (17, 0, 1), (18, 0, 3), (36, 0, 2)];
            out.i16(0).count(apis.len());
            for (key, oldest, newest) in apis {
                out.i16(key).i16(oldest).i16(newest);
            }
        }
        (17, 1) => {
            let known = request.text() == Some(Some("PLAIN"));
            out.i16(if known { 0 } else { 33 }).i32(1).text("PLAIN");
        }
        (36, 0) => {
            let (user, password) = state.login?;
            *is_in = request.octets() == Some(format!("\0{user}\0{password}").as_bytes());
            out.i16(if *is_in { 0 } else { 58 }).text("no such user").octets(b"");
        }
        // Who is not let in is cut off.
        _ if state.login.is_some() && !*is_in => return None,
        (3, 4) => metadata(&state, &mut request, &mut out),
        (0, 3..=8) => return produce(&mut state, version, &mut request, broker),
        other => panic!("a request {other:?}"),
    }
    assert!(request.0.is_empty(), "more than a request");
    Some(Some(out.0))
}

fn metadata(state: &State, request: &mut Reader<'_>, out: &mut Writer) {
    out.i32(0).i32(2);
    for number in [1, 2] {
        out.i32(number).text("k").i32(9000 + number).i16(-1);
    }
    out.text("cluster").i32(1);
    let count = request.i32().unwrap();
    out.i32(count);
    for _ in 0..count {
        let name = request.text().unwrap().unwrap();
        match state.topics.get(name).unwrap_or(&Err(3)) {
            Err(error) => out.i16(*error).text(name).0.extend_from_slice(&[0, 0, 0, 0, 0]),
            Ok(leaders) => {
                out.i16(0).text(name).0.push(0);
                out.count(leaders.len());
                for (number, leader) in leaders.iter().enumerate() {
                    out.i16(0).count(number).i32(*leader).i32(1).i32(1).i32(1).i32(1);
                }
            }
        }
    }
    let mut last = [9];
    last.copy_from_slice(request.0);
    request.0 = &[];
    assert_eq!(last, [0], "it has topics made");
}

fn produce(
    state: &mut State,
    version: i16,
    request: &mut Reader<'_>,
    broker: i32,
) -> Option<Option<Vec<u8>>> {
    state.requests += 1;
    let mut out = Writer::default();
    assert_eq!((request.i16(), request.i16()), (Some(-1), Some(-1)), "no transaction, all replicas");
    assert!(request.i32().unwrap() > 0);
    let topics = request.i32().unwrap();
    out.i32(topics);
    let (mut silent, mut closes) = (false, false);
    for _ in 0..topics {
        let topic = request.text().unwrap().unwrap().to_owned();
        let partitions = request.i32().unwrap();
        out.text(&topic).i32(partitions);
        for _ in 0..partitions {
            let partition = request.i32().unwrap();
            let records = batch(request.octets().unwrap());
            let leads = state.topics[&topic].as_ref().unwrap()[usize::try_from(partition).unwrap()] == broker;
            let does = if leads { (state.judge)(&topic, partition, &records) } else { Does::Refuses(6) };
            let (error, named) = match &does {
                Does::Takes | Does::Closes | Does::Ignores | Does::TakesAndCloses => (0, Vec::new()),
                Does::Refuses(error) => (*error, Vec::new()),
                Does::Names(error, named) => (*error, named.clone()),
            };
            if matches!(does, Does::Takes | Does::TakesAndCloses) {
                state.kept.entry((topic.clone(), partition)).or_default().extend(records);
            }
            closes |= matches!(does, Does::Closes | Does::TakesAndCloses);
            silent |= does == Does::Ignores;
            out.i32(partition).i16(error).i64(7).i64(-1);
            if version >= 5 {
                out.i64(0);
            }
            if version >= 8 {
                out.count(named.len());
                for number in named {
                    out.i32(number).text("this one");
                }
                out.i16(-1);
            }
        }
    }
    assert!(request.0.is_empty(), "more than a request");
    out.i32(state.pause);
    if closes { None } else { Some((!silent).then_some(out.0)) }
}

/// The records of a batch, all of whose numbers must be right.
fn batch(octets: &[u8]) -> Vec<Stored> {
    let number = |at: usize, size: usize| {
        octets[at..at + size].iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
    };
    assert_eq!(number(8, 4) as usize, octets.len() - 12, "its length: {}", BASE64.encode(octets));
    assert_eq!(octets[16], 2);
    assert_eq!(number(17, 4) as u32, crc32c::crc32c(&octets[21..]));
    assert_eq!(number(21, 2), 0);
    let count = number(57, 4);
    assert_eq!(number(23, 4) + 1, count);
    let (base, latest) = (number(27, 8) as i64, number(35, 8) as i64);
    assert!(latest >= base);
    assert_eq!((number(43, 8), number(51, 2), number(53, 4)), (u64::MAX, 0xffff, 0xffff_ffff));
    let mut rest = &octets[61..];
    let mut records = Vec::new();
    for expected in 0..count {
        let length = varint(&mut rest) as usize;
        let (mut record, behind) = rest.split_at(length);
        rest = behind;
        assert_eq!(record[0], 0);
        record = &record[1..];
        assert!(base + varint(&mut record) <= latest);
        assert_eq!(varint(&mut record), expected as i64);
        let (key, value) = (text(&mut record), text(&mut record));
        let headers = (0..varint(&mut record)).map(|_| (text(&mut record), text(&mut record))).collect();
        assert!(record.is_empty());
        records.push(Stored { key, value, headers });
    }
    assert!(rest.is_empty());
    records
}

fn varint(octets: &mut &[u8]) -> i64 {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = octets[0];
        *octets = &octets[1..];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

fn text(octets: &mut &[u8]) -> String {
    let length = varint(octets) as usize;
    let (text, rest) = octets.split_at(length);
    *octets = rest;
    String::from_utf8(text.to_vec()).unwrap()
}
