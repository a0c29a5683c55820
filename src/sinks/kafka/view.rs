//! What is known of a cluster, and the connections to its brokers.

use std::collections::HashMap;
use std::sync::Arc;

use super::connection::{Connection, Manner};
use super::wire::{self, METADATA, Metadata};
use crate::net::Network;
use crate::settings::address::Address;
use crate::sinks::sink::{Said, Trouble};
use crate::sinks::turns::Turns;

/// How many topics are known at most. Beyond that, all are asked for anew.
const MOST_TOPICS: usize = 1024;
/// How many brokers a cluster may have. Numbers of brokers and partitions are the cluster's own.
const MOST_BROKERS: usize = 1024;

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Where to ask for its brokers.
    pub(super) addresses: Vec<Address>,
    pub(super) manner: Manner,
}

/// What is known of it.
pub(super) struct View {
    cluster: Arc<Cluster>,
    network: Arc<dyn Network>,
    /// The address to ask next.
    turns: Turns,
    /// The connection that is asked for topics.
    guide: Option<Connection>,
    brokers: HashMap<i32, Address>,
    connections: HashMap<i32, Connection>,
    /// The leaders of the partitions of topics.
    topics: HashMap<String, Vec<i32>>,
    /// Topics that are to be asked for anew.
    stale: Vec<String>,
}

impl View {
    pub(super) fn new(cluster: Arc<Cluster>, network: Arc<dyn Network>) -> Self {
        let turns = Turns::new(cluster.addresses.len());
        View {
            cluster,
            network,
            turns,
            guide: None,
            brokers: HashMap::new(),
            connections: HashMap::new(),
            topics: HashMap::new(),
            stale: Vec::new(),
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.guide.is_some() || !self.connections.is_empty()
    }

    /// Ends all connections.
    pub(super) fn disconnect(&mut self) {
        self.guide = None;
        self.connections.clear();
    }

    /// The leaders of a topic's partitions, if they are known.
    pub(super) fn leaders(&self, topic: &str) -> Option<&[i32]> {
        self.topics.get(topic).map(Vec::as_slice)
    }

    /// Has a topic be asked for anew, once the request that is under way is settled.
    pub(super) fn doubt(&mut self, topic: &str) {
        if !self.stale.iter().any(|known| known == topic) {
            self.stale.push(topic.to_owned());
        }
    }

    /// Forgets what is in doubt.
    pub(super) fn renew(&mut self) {
        for topic in self.stale.drain(..) {
            self.topics.remove(&topic);
        }
    }

    /// Asks for topics. Returns those that there are not, each with the error.
    pub(super) async fn learn(&mut self, topics: &[String]) -> Result<Vec<(String, i16)>, Trouble> {
        let found = self.ask(topics).await?;
        if self.topics.len() + topics.len() > MOST_TOPICS {
            self.topics.clear();
        }
        let mut missing = Vec::new();
        for topic in topics {
            let Some(known) = found.topics.iter().find(|known| known.name == *topic) else {
                missing.push((topic.clone(), 3));
                continue;
            };
            if known.error != 0 || known.partitions.is_empty() {
                missing.push((topic.clone(), if known.error == 0 { 5 } else { known.error }));
                continue;
            }
            // A partition that the answer leaves out has no leader, as far as is known.
            let count = known.partitions.iter().map(|(number, _)| *number).max().unwrap_or(0);
            let count = usize::try_from(count).unwrap_or(0).min(known.partitions.len() - 1) + 1;
            let mut leaders = vec![-1; count];
            for (number, leader) in &known.partitions {
                if let Some(place) = usize::try_from(*number).ok().and_then(|at| leaders.get_mut(at)) {
                    *place = *leader;
                }
            }
            self.topics.insert(topic.clone(), leaders);
        }
        self.meet(&found);
        Ok(missing)
    }

    /// Takes note of the brokers. A connection to one that is elsewhere now ends.
    fn meet(&mut self, found: &Metadata) {
        let address = |host: &str, port: i32| {
            let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
            Some(Address { host: host.to_owned(), port })
        };
        let brokers = found.brokers.iter().take(MOST_BROKERS);
        let brokers: HashMap<i32, Address> =
            brokers.filter_map(|(number, host, port)| Some((*number, address(host, *port)?))).collect();
        self.connections.retain(|number, _| brokers.get(number) == self.brokers.get(number));
        self.brokers = brokers;
    }

    async fn ask(&mut self, topics: &[String]) -> Result<Metadata, Trouble> {
        if let Some(mut guide) = self.guide.take()
            && let Ok(found) = asked(&mut guide, topics).await
        {
            self.guide = Some(guide);
            return Ok(found);
        }
        let mut trouble = Trouble::Away("no address of a broker".into(), "set addresses of this sink");
        for _ in 0..self.cluster.addresses.len() {
            let turn = self.turns.take();
            let address = &self.cluster.addresses[turn];
            let opened = Connection::open(address, &self.cluster.manner, &*self.network).await;
            trouble = match opened {
                Ok(mut guide) => match asked(&mut guide, topics).await {
                    Ok(found) => {
                        self.turns.keep(turn);
                        self.guide = Some(guide);
                        return Ok(found);
                    }
                    Err(trouble) => trouble,
                },
                Err(unopened) => unopened.into(),
            };
        }
        Err(trouble)
    }

    /// Takes the connection to a broker, or makes one. Whoever uses it to its end [gives it back](Self::keep).
    pub(super) async fn connection(&mut self, broker: i32) -> Result<Connection, Trouble> {
        if let Some(connection) = self.connections.remove(&broker) {
            return Ok(connection);
        }
        let Some(address) = self.brokers.get(&broker) else {
            let said = Said::from(format!("the cluster does not say where its broker {broker} is"));
            return Err(Trouble::Away(said, "see whether it runs"));
        };
        Ok(Connection::open(address, &self.cluster.manner, &*self.network).await?)
    }

    /// Keeps a connection for the next batch.
    pub(super) fn keep(&mut self, broker: i32, connection: Connection) {
        self.connections.insert(broker, connection);
    }
}

async fn asked(guide: &mut Connection, topics: &[String]) -> Result<Metadata, Trouble> {
    let version = guide.version(METADATA)?;
    let answer = guide.ask(METADATA, version, &wire::metadata_request(version, topics)).await?;
    wire::metadata(version, &answer).ok_or_else(|| guide.nonsense())
}
