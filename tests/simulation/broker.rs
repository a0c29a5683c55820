//! An AMQP broker. The client opens its own sockets, so its lanes are replaced; everything above them is real.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use trapline::config::sinks::SinkSection;
use trapline::outcome::Record;
use trapline::sinks::settings::Configured;
use trapline::sinks::sink::{Fate, Item, Lane, Limits, Pieces, Seat, Sending, Sink, Trouble};

use crate::config::SinkText;
use crate::outcome::{Outcome, named_in};
use crate::place::{Kind, Nature};
use crate::server::{Mood, Server};
use crate::world::World;

type Reply = oneshot::Sender<Result<Vec<Fate>, Trouble>>;

/// What a lane publishes.
pub struct Publish {
    /// With the hashes of their keys.
    outcomes: Vec<(Outcome, u64)>,
    reply: Reply,
}

/// The sink as configured, with other lanes.
#[derive(Debug)]
struct Replaced {
    real: Configured,
    broker: mpsc::UnboundedSender<Publish>,
}

impl Sink for Replaced {
    fn limits(&self) -> Limits {
        self.real.limits()
    }

    fn takes_events(&self) -> bool {
        self.real.takes_events()
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        self.real.pieces(record)
    }

    fn lane(&self, _: &Seat) -> Box<dyn Lane> {
        Box::new(BrokerLane(self.broker.clone()))
    }
}

struct BrokerLane(mpsc::UnboundedSender<Publish>);

impl Lane for BrokerLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        let name = |item: &Item| {
            let output = item.record().map(|record| record.outcome.common().output.to_string());
            Some((*named_in(output.unwrap_or_default().as_bytes()).first()?, item.key()))
        };
        let outcomes = items.iter().filter_map(name).collect();
        let (reply, replied) = oneshot::channel();
        let sent = self.0.send(Publish { outcomes, reply });
        Box::pin(async move {
            if sent.is_err() {
                return Err(Trouble::Away("no broker".into(), "start it"));
            }
            replied.await.unwrap_or(Err(Trouble::Unanswered("the connection broke".into(), "see its log")))
        })
    }
}

/// Replaces the lanes of AMQP sinks.
pub fn with_brokers(mut sections: Vec<SinkSection>, sinks: &[SinkText], world: &World) -> Vec<SinkSection> {
    for (section, sink) in sections.iter_mut().zip(sinks) {
        let place = sink.lineage.place.borrow();
        if place.kind == Kind::Amqp {
            let (real, broker) = (section.settings.sink.clone(), world.brokers.borrow()[&place.id].clone());
            section.settings.sink = Arc::new(Replaced { real, broker });
        }
    }
    sections
}

/// Takes what is published, one after the other on each lane.
pub async fn serve(server: Server, mut published: mpsc::UnboundedReceiver<Publish>, world: World) {
    while let Some(publish) = published.recv().await {
        let (server, spawn) = (server.clone(), world.clone());
        spawn.executor.spawn(crate::world::WORLD, async move { confirm(&server, publish).await });
    }
}

async fn confirm(server: &Server, publish: Publish) {
    let Publish { outcomes, reply } = publish;
    let kills = server.place.borrow().kills();
    let mood: Mood = *server.mood.borrow();
    let random = &server.random;
    let names: Vec<String> = outcomes.iter().map(|(outcome, _)| outcome.to_string()).collect();
    server.history.say(&format!("{} is sent {}", server.place.borrow().host, names.join(" ")));
    if mood.down {
        let _ = reply.send(Err(Trouble::Away("refused".into(), "start it")));
        return;
    }
    let bad = mood.bad > 0 && random.once_in(mood.bad);
    // Confirms come in order: a broker that breaks has taken the first ones.
    let most = if bad { random.below(outcomes.len() as u64 + 1) as usize } else { outcomes.len() };
    let (mut fates, mut taken) = (Vec::new(), Vec::new());
    let place: &Rc<RefCell<_>> = &server.place;
    let mut put_off = BTreeSet::new();
    for (outcome, key) in &outcomes[..most] {
        // What follows of a key must not overtake what was put off: the queue that is full for one is full for the other.
        if put_off.contains(key) {
            fates.push(Fate::Later("not now either".into()));
            continue;
        }
        match server.nature(*outcome) {
            Nature::Rejected => fates.push(Fate::Dead(format!("refused {outcome}").into())),
            Nature::Later(_) | Nature::Never | Nature::Silences => {
                put_off.insert(*key);
                fates.push(Fate::Later("not now".into()));
            }
            Nature::Good => {
                place.borrow_mut().take_silently(server.history.now(), *outcome);
                taken.push(*outcome);
                fates.push(Fate::Taken);
            }
        }
    }
    if mood.slow > 0 {
        sleep(Duration::from_millis(random.below(mood.slow + 1))).await;
    }
    let answer = if bad && random.once_in(2) {
        Err(Trouble::Unanswered("the connection broke".into(), "see its log"))
    } else {
        Ok(fates)
    };
    let heard = answer.is_ok();
    let names: Vec<String> = taken.iter().map(ToString::to_string).collect();
    let said = reply.send(answer).is_ok() && heard;
    let unheard = if said { "" } else { ", and nobody hears of it" };
    server.history.say(&format!("{} takes {}{unheard}", server.place.borrow().host, names.join(" ")));
    if said {
        place.borrow_mut().told_at_last(server.history.now(), &taken, kills);
    }
}
