//! Sends values. A request has a connection of its own, and the answer counts what Zabbix has processed, without names: where some
//! values failed, each half is sent again. Zabbix keeps one value of an item and a time, so what comes twice is there once.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer::{Answer, Means};
use super::frame::{self, HEAD};
use super::services::Services;
use super::values::{Value, Values};
use crate::net::{self, Network, Stream};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::reach::{Failure, Stage, within};
use crate::settings::address::Address;
use crate::sinks::fields::Template;
use crate::sinks::hints::Hints;
use crate::sinks::memory::Memory;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble, Unopened,
};
use crate::sinks::tls::{self, Tls};
use crate::sinks::turns::Turns;
use crate::time::clock::{Clock, Mono};

/// How long Zabbix may take for a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one of its addresses may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

const HINTS: Hints = Hints {
    running: "see whether it runs, and whether `addresses` of this sink is right",
    certificates: "check ca_file, fingerprint, server_name, cert_file and key_file of this sink, and TLSAccept of the proxy",
    log: "see the log of the Zabbix server or proxy",
};

/// A Zabbix server, or some.
#[derive(Clone)]
pub(super) struct Zabbix {
    /// Where they are: the first that can be reached is used. At least one.
    pub(super) addresses: Vec<Address>,
    /// The technical name of the host of an outcome.
    pub(super) host: Template,
    /// Whether services are made known to discovery rules.
    pub(super) discovery: bool,
    /// How long a host or item that Zabbix does not know may take to be there.
    pub(super) grace: Duration,
    pub(super) tls: Tls,
}

impl Debug for Zabbix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zabbix").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Zabbix {
    fn values(&self, record: &Record<'_>) -> Result<Values, Said> {
        match &record.outcome {
            Outcome::CheckResult(check) => Values::new(record, check, &self.host),
            Outcome::Event(_) => Err("the outcome is no check result".into()),
        }
    }
}

impl Sink for Zabbix {
    fn limits(&self) -> Limits {
        Limits { items: 250, bytes: 4 << 20, order: Order::OneByOne, ..Limits::default() }
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        if record.outcome.is_event() {
            return None;
        }
        let pieces = |values: Values| {
            let to = Piece::new(Format::Words, format!("to {}:", self.addresses[0]));
            let key = Piece::new(Format::ItemKey, values.values[0].key.as_str());
            vec![to, key, Piece::new(Format::Json, request(&values.values))]
        };
        Some(self.values(record).map(pieces))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.addresses[0].host.clone(), self.addresses[0].port)
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(ZabbixLane {
            way: Way {
                zabbix: self.clone(),
                network: seat.network.clone(),
                turns: Turns::new(self.addresses.len()),
                at: 0,
            },
            clock: seat.clock.clone(),
            services: Services::new(Memory::new(seat.name.clone(), seat.memory.clone())),
            failing: HashMap::new(),
        })
    }
}

/// The body of a request.
fn request<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<u8> {
    let values: Vec<&Value> = values.into_iter().collect();
    serde_json::json!({ "request": "sender data", "data": values }).to_string().into_bytes()
}

struct ZabbixLane {
    way: Way,
    clock: Arc<dyn Clock>,
    services: Services,
    /// Outcomes that Zabbix has not processed, and since when.
    failing: HashMap<Id, Mono>,
}

/// The way to a server.
struct Way {
    zabbix: Zabbix,
    network: Arc<dyn Network>,
    turns: Turns,
    /// Which of the addresses was asked last.
    at: usize,
}

impl Lane for ZabbixLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl ZabbixLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut fates: Vec<Option<Fate>> = vec![None; items.len()];
        let (mut fresh, mut again) = (Vec::new(), Vec::new());
        for (at, item) in items.iter().enumerate() {
            let values = item.record().ok_or("the outcome is damaged".into());
            match values.and_then(|record| self.way.zabbix.values(&record)) {
                // What failed before would make others be sent again with it.
                Ok(values) if self.failing.contains_key(&item.id) => again.push((at, values)),
                Ok(values) => fresh.push((at, values)),
                Err(reason) => fates[at] = Some(Fate::Dead(reason)),
            }
        }
        for (some, urgent) in [(fresh, false), (again, true)] {
            if let Err(trouble) = self.settle(items, &some, urgent, &mut fates).await {
                // What is known of others is not given up for it.
                if fates.iter().all(|fate| !matches!(fate, Some(Fate::Taken | Fate::Cut | Fate::Later(_)))) {
                    return Err(trouble);
                }
                for (at, _) in &some {
                    fates[*at] = Some(Fate::Later(trouble.to_string().into()));
                }
            }
        }
        Ok(fates.into_iter().map(|fate| fate.unwrap_or(Fate::Later("not sent yet".into()))).collect())
    }

    /// Sends some outcomes, with what discovery rules must know of them.
    async fn settle(
        &mut self,
        items: &[Item],
        some: &[(usize, Values)],
        urgent: bool,
        fates: &mut [Option<Fate>],
    ) -> Result<(), Trouble> {
        if some.is_empty() {
            return Ok(());
        }
        if self.way.zabbix.discovery {
            self.announce(some, urgent).await?;
        }
        let groups: Vec<&[Value]> = some.iter().map(|(_, values)| &values.values[..]).collect();
        let taken = self.way.submit(&groups).await?;
        let now = self.clock.now().mono;
        for ((at, values), taken) in some.iter().zip(taken) {
            let id = items[*at].id;
            fates[*at] = Some(if taken {
                self.failing.remove(&id);
                if values.cut { Fate::Cut } else { Fate::Taken }
            } else {
                self.failed(id, values, now)
            });
        }
        Ok(())
    }

    fn failed(&mut self, id: Id, values: &Values, now: Mono) -> Fate {
        let since = *self.failing.entry(id).or_insert(now);
        let value = &values.values[0];
        let reason = Said::from(format!(
            "{} has not processed the values of host '{}', key '{}' and its output: it has no such host or trapper item, leaves them to another proxy, or does not allow this sender",
            self.way.server(),
            value.host,
            value.key
        ));
        if now.since(since) < self.way.zabbix.grace {
            return Fate::Later(reason);
        }
        self.failing.remove(&id);
        Fate::Dead(reason)
    }

    async fn announce(&mut self, some: &[(usize, Values)], urgent: bool) -> Result<(), Trouble> {
        let now = self.clock.now().mono;
        let mut hosts: BTreeMap<&str, (Vec<&str>, i64)> = BTreeMap::new();
        for (_, values) in some {
            if let Some(service) = &values.service {
                let (services, time) = hosts.entry(values.host()).or_default();
                services.push(service);
                *time = values.time.max(*time);
            }
        }
        let news = |(host, (services, time)): (&&str, &(Vec<&str>, i64))| {
            self.services.news(host, services, urgent, *time, now)
        };
        let news: Vec<Value> = hosts.iter().filter_map(news).collect();
        if news.is_empty() {
            return Ok(());
        }
        let groups: Vec<&[Value]> = news.iter().map(std::slice::from_ref).collect();
        let taken = self.way.submit(&groups).await?;
        for (value, taken) in news.iter().zip(taken) {
            self.services.told(&value.host, &hosts[value.host.as_str()].0, taken, now);
        }
        self.services.keep();
        Ok(())
    }
}

impl Way {
    fn server(&self) -> &Address {
        &self.zabbix.addresses[self.at]
    }

    /// Sends groups of values. Gives for each whether Zabbix has processed all of it.
    async fn submit(&mut self, groups: &[&[Value]]) -> Result<Vec<bool>, Trouble> {
        let mut taken = vec![false; groups.len()];
        // What no address has the host of, and whether one has another host.
        let (mut elsewhere, mut is_here) = (None, false);
        // Parts that are still to be sent, the first one last.
        let mut parts = Vec::from([(0, groups.len())]);
        while let Some((start, end)) = parts.pop() {
            let part = start..end;
            let values: Vec<&Value> = groups[part.clone()].iter().copied().flatten().collect();
            let answer = self.ask_around(&request(values.iter().copied()), values.len()).await?;
            let means = answer.means(values.len());
            is_here |= means != Means::Elsewhere;
            match means {
                Means::Taken => taken[part].fill(true),
                // Hosts of several proxies may be among them.
                Means::Halve | Means::Elsewhere if part.len() > 1 => {
                    let middle = start + part.len() / 2;
                    parts.extend([(middle, end), (start, middle)]);
                }
                Means::None | Means::Halve => {}
                Means::Elsewhere => elsewhere = answer.trouble(means, &self.server().to_string()),
                means => {
                    let trouble = answer.trouble(means, &self.server().to_string());
                    return Err(trouble.unwrap_or_else(|| self.broken(&"its answer means nothing")));
                }
            }
        }
        elsewhere.filter(|_| !is_here).map_or(Ok(taken), Err)
    }

    /// Asks the addresses in turn, until one does not say that another one has the host.
    async fn ask_around(&mut self, body: &[u8], values: usize) -> Result<Answer, Trouble> {
        let mut answer = self.exchange(body).await?;
        for _ in 1..self.zabbix.addresses.len() {
            if answer.means(values) != Means::Elsewhere {
                break;
            }
            answer = self.exchange(body).await?;
        }
        if answer.means(values) != Means::Elsewhere {
            self.turns.keep(self.at);
        }
        Ok(answer)
    }

    fn broken(&self, what: &dyn fmt::Display) -> Trouble {
        self.failed(&what.to_string().into())
    }

    fn failed(&self, failure: &Failure) -> Trouble {
        HINTS.trouble(failure, &format_args!("Zabbix at {}", self.server()))
    }

    async fn exchange(&mut self, body: &[u8]) -> Result<Answer, Trouble> {
        let mut stream = self.connect().await?;
        match within(PATIENCE, self.ask(&mut stream, body)).await {
            Ok(answer) => answer,
            Err(late) => Err(self.failed(&late)),
        }
    }

    /// Connects to the first address that can be reached, from the one whose turn it is.
    async fn connect(&mut self) -> Result<Box<dyn Stream>, Unopened> {
        let (mut why, mut is_certificate) = (Vec::new(), true);
        for _ in 0..self.zabbix.addresses.len() {
            self.at = self.turns.take();
            match within(CONNECT_PATIENCE, self.connect_to(self.server())).await.flatten() {
                Ok(stream) => return Ok(stream),
                Err(failure) => {
                    is_certificate &= failure.stage() == Stage::Tls;
                    why.push(format!("{}: {failure}", self.server()));
                }
            }
        }
        let hint = if is_certificate { HINTS.certificates } else { HINTS.running };
        Err(Unopened::Away(format!("cannot connect to Zabbix at {}", why.join(", ")).into(), hint))
    }

    async fn connect_to(&self, Address { host, port }: &Address) -> Result<Box<dyn Stream>, Failure> {
        let stream = net::connect(&*self.network, host, *port).await?;
        tls::begin(&self.zabbix.tls, stream).await
    }

    async fn ask(&self, stream: &mut Box<dyn Stream>, body: &[u8]) -> Result<Answer, Trouble> {
        stream.write_all(&frame::frame(body)).await.map_err(|error| self.broken(&error))?;
        stream.flush().await.map_err(|error| self.broken(&error))?;
        let mut head = [0; HEAD];
        stream.read_exact(&mut head).await.map_err(|error| self.broken(&error))?;
        let (flags, length) = frame::head(&head).map_err(|what| self.broken(&what))?;
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.map_err(|error| self.broken(&error))?;
        let json = frame::body(flags, &answer).map_err(|what| self.broken(&what))?;
        Ok(Answer::read(&json))
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
