//! Sends mail, and keeps for each outcome which recipients have it: only the others get it again. A recipient that the server
//! puts off holds up nobody else; each of them gets the outcomes of a host and service in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mail::{Composer, Mail};
use super::session::{Server, Session, Submitted, Verdict};
use crate::net::Network;
use crate::outcome::record::Record;
use crate::sinks::memory::Memory;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Letter, Limits, Order, Pieces, Post, Posted, Posting, Said, Seat,
    Sending, Sink, Trouble, Working,
};
use crate::time::clock::{Clock, Mono};

/// The most outcomes of a mail, and the most octets of them.
const MOST: usize = 100;
const MOST_BYTES: usize = 512 << 10;
/// Of how many outcomes it is remembered over a restart which recipients have them.
const MOST_REMEMBERED: usize = 10_000;
/// How many outcomes are known before those are looked for that nobody asks for any more.
const MOST_KNOWN: usize = 20_000;
/// An outcome that was put off is tried again within half of this time, or was given up.
const GONE: Duration = Duration::from_mins(10);

/// Why an outcome is not sent to some recipient.
const WAITS: &str = "an earlier one of this host and service waits";

/// Mail to some recipients.
#[derive(Debug, Clone)]
pub(super) struct Email {
    pub(super) server: Server,
    pub(super) composer: Composer,
    /// How long outcomes are gathered for one mail; zero for a mail an outcome.
    pub(super) digest: Duration,
}

impl Sink for Email {
    fn limits(&self) -> Limits {
        // The lane keeps the order, by recipient.
        let one = Limits { order: Order::Free, ..Limits::default() };
        if self.digest.is_zero() {
            return one;
        }
        Limits { items: MOST, bytes: MOST_BYTES, linger: self.digest, ..one }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let mail = self.composer.mail(std::slice::from_ref(record), false);
        let to = Piece::new(Format::Words, format!("to {}:\n", self.server.address));
        Some(mail.map(|mail| vec![to, Piece::new(Format::Mail, mail.text)]))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.server.address.host.clone(), self.server.address.port)
    }

    fn greet(&self, network: Arc<dyn Network>) -> Working<'_> {
        Box::pin(async move {
            Session::open(&self.server, &*network).await?.quit().await;
            Ok(())
        })
    }

    fn post(&self) -> Option<&dyn Post> {
        Some(self)
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(EmailLane {
            email: self.clone(),
            network: seat.network.clone(),
            clock: seat.clock.clone(),
            open: HashMap::new(),
            memory: Memory::new(seat.name.clone(), seat.memory.clone()),
        })
    }
}

impl Post for Email {
    fn recipients(&self) -> &[String] {
        &self.composer.to
    }

    fn post<'a>(&'a self, letter: &'a Letter, to: &'a [String], network: Arc<dyn Network>) -> Posting<'a> {
        Box::pin(async move {
            let names: Vec<&str> = to.iter().map(String::as_str).collect();
            let mut session = Session::open(&self.server, &*network).await?;
            let submitted =
                session.submit(&self.composer.from, &names, &self.composer.letter(letter, to)).await?;
            session.quit().await;
            Ok(match submitted {
                Submitted::TooLarge(said) => vec![Posted::Dead(said); to.len()],
                Submitted::Each(verdicts) | Submitted::Never(_, verdicts) => verdicts
                    .into_iter()
                    .map(|verdict| match verdict {
                        Verdict::Taken => Posted::Taken,
                        Verdict::Later(said) => Posted::Later(said),
                        Verdict::Dead(said) => Posted::Dead(said),
                    })
                    .collect(),
            })
        })
    }
}

struct EmailLane {
    email: Email,
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    /// Outcomes that some recipients do not have yet, in their order, by host and service.
    open: HashMap<u64, BTreeMap<Id, Open>>,
    /// Outcomes that some recipients have and others do not, by their ids.
    memory: Memory<Done>,
}

/// An outcome that some recipients do not have yet.
#[derive(Debug)]
struct Open {
    /// When it was to be sent last.
    seen: Mono,
    /// What is final for each recipient.
    verdicts: Vec<Option<Verdict>>,
}

impl Open {
    fn is_open_for(&self, recipient: usize) -> bool {
        self.verdicts.get(recipient).is_some_and(Option::is_none)
    }

    fn open_for(&self) -> Vec<usize> {
        (0..self.verdicts.len()).filter(|at| self.is_open_for(*at)).collect()
    }
}

/// Who has an outcome that others do not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    /// When its message was received, in microseconds since 1970 UTC.
    time: i64,
    /// The addresses.
    taken: BTreeSet<String>,
}

/// Outcomes that go to the same recipients: by places among the recipients, the places among the items.
type Groups = BTreeMap<Vec<usize>, Vec<usize>>;

impl Lane for EmailLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl EmailLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let now = self.clock.now().mono;
        self.note(items, now);
        let mut fates: Vec<Option<Fate>> = items.iter().map(|item| self.ended(item)).collect();
        let groups = self.groups(items, &mut fates);
        if groups.is_empty() {
            self.memory.keep();
            return Ok(fates.into_iter().map(fate).collect());
        }
        let mut session = Session::open(&self.email.server, &*self.network).await?;
        let mut sent = false;
        for (recipients, places) in groups {
            match self.send_group(&mut session, items, &recipients, &places).await {
                Ok(told) => {
                    sent = true;
                    for (place, told) in places.into_iter().zip(told) {
                        fates[place] = Some(told);
                    }
                }
                Err(trouble) if !sent => return Err(trouble),
                // What is known of others is not given up for it.
                Err(trouble) => {
                    let said = Said::from(trouble.to_string());
                    for place in places {
                        fates[place] = Some(Fate::Later(said.clone()));
                    }
                    if !matches!(trouble, Trouble::Halve(_)) {
                        break;
                    }
                }
            }
        }
        session.quit().await;
        self.memory.keep();
        let fates: Vec<Fate> = fates.into_iter().map(fate).collect();
        for (item, _) in items.iter().zip(&fates).filter(|(_, fate)| !is_open(fate)) {
            self.forget(item);
        }
        Ok(fates)
    }

    /// Notes what is open, and forgets what was given up: of that nobody tells.
    fn note(&mut self, items: &[Item], now: Mono) {
        let is_alive = |open: &Open| now.since(open.seen) < GONE;
        if self.open.values().map(BTreeMap::len).sum::<usize>() > MOST_KNOWN {
            self.open.retain(|_, all| {
                all.retain(|_, open| is_alive(open));
                !all.is_empty()
            });
        }
        let is_there = |id: &Id| items.iter().any(|item| item.id == *id);
        for item in items {
            let all = self.open.entry(item.key()).or_default();
            all.retain(|id, open| is_alive(open) || is_there(id));
            let done = self.memory.values().get(&record_id(item));
            let taken = |to: &String| done.is_some_and(|done| done.taken.contains(to));
            let verdict = |to: &String| taken(to).then_some(Verdict::Taken);
            let begin = || Open { seen: now, verdicts: self.email.composer.to.iter().map(verdict).collect() };
            all.entry(item.id).or_insert_with(begin).seen = now;
        }
    }

    /// The fate of an outcome that is open for nobody any more, as the recipients are others than before a restart.
    fn ended(&mut self, item: &Item) -> Option<Fate> {
        let all = self.open.get(&item.key())?;
        let ended = all.get(&item.id).is_some_and(|open| open.open_for().is_empty());
        ended.then(|| {
            self.forget(item);
            self.memory.remove(&record_id(item));
            Fate::Taken
        })
    }

    /// Which outcomes go to which recipients. A recipient for whom an earlier outcome of the same host and service is open, and does
    /// not go along, waits for that.
    fn groups(&self, items: &[Item], fates: &mut [Option<Fate>]) -> Groups {
        let mut groups = Groups::new();
        // What goes along, by host and service: the recipients of the first one, and all recipients.
        let mut along: HashMap<u64, (Vec<usize>, BTreeSet<usize>)> = HashMap::new();
        let is_there = |id: &Id| items.iter().any(|item| item.id == *id);
        for (place, item) in items.iter().enumerate() {
            let Some(all) = self.open.get(&item.key()).filter(|_| fates[place].is_none()) else { continue };
            let Some(open) = all.get(&item.id) else { continue };
            let waits = |at: &usize| {
                all.range(..item.id).any(|(id, earlier)| earlier.is_open_for(*at) && !is_there(id))
            };
            let mut recipients: Vec<usize> = open.open_for().into_iter().filter(|at| !waits(at)).collect();
            let (first, before) = along.entry(item.key()).or_default();
            if recipients != *first {
                recipients.retain(|at| !before.contains(at));
            }
            if recipients.is_empty() {
                fates[place] = Some(Fate::Behind(WAITS.into()));
                continue;
            }
            if before.is_empty() {
                first.clone_from(&recipients);
            }
            before.extend(&recipients);
            groups.entry(recipients).or_default().push(place);
        }
        groups
    }

    async fn send_group(
        &mut self,
        session: &mut Session,
        items: &[Item],
        recipients: &[usize],
        places: &[usize],
    ) -> Result<Vec<Fate>, Trouble> {
        let records: Option<Vec<Record<'_>>> = places.iter().map(|place| items[*place].record()).collect();
        let Some(records) = records else {
            return match places {
                [_] => Ok(vec![Fate::Dead("the outcome is damaged".into())]),
                _ => Err(Trouble::Halve("an outcome is damaged".into())),
            };
        };
        let to: Vec<&str> = recipients.iter().map(|at| self.email.composer.to[*at].as_str()).collect();
        let from = self.email.composer.from.clone();
        let mut cut = false;
        for short in [false, true] {
            let Mail { text, cut: was_cut } = match self.email.composer.mail(&records, short) {
                Ok(mail) => mail,
                Err(reason) => return Ok(places.iter().map(|_| Fate::Dead(reason.clone())).collect()),
            };
            cut |= was_cut;
            match session.submit(&from, &to, &text).await? {
                // One of them may be why: the others go without it.
                Submitted::Never(said, _) if places.len() > 1 => return Err(Trouble::Halve(said)),
                Submitted::Each(verdicts) | Submitted::Never(_, verdicts) => {
                    let fate = |place: &usize| self.settle(&items[*place], recipients, &verdicts, cut);
                    return Ok(places.iter().map(fate).collect());
                }
                Submitted::TooLarge(said) if places.len() > 1 => return Err(Trouble::Halve(said)),
                Submitted::TooLarge(said) if short => {
                    return Ok(places
                        .iter()
                        .map(|place| {
                            let dead = vec![Verdict::Dead(said.clone()); recipients.len()];
                            self.settle(&items[*place], recipients, &dead, cut)
                        })
                        .collect());
                }
                Submitted::TooLarge(_) => {}
            }
        }
        Ok(Vec::new())
    }

    /// The fate of an outcome, given what became of it for some recipients.
    fn settle(&mut self, item: &Item, recipients: &[usize], verdicts: &[Verdict], cut: bool) -> Fate {
        let all = &self.email.composer.to;
        let Some(open) = self.open.get_mut(&item.key()).and_then(|all| all.get_mut(&item.id)) else {
            return fate(None);
        };
        let mut later = None;
        for (at, verdict) in recipients.iter().zip(verdicts) {
            match verdict {
                Verdict::Later(said) => later = Some(said.clone()),
                Verdict::Taken | Verdict::Dead(_) => open.verdicts[*at] = Some(verdict.clone()),
            }
        }
        let with = |is: fn(&Option<Verdict>) -> bool| {
            let fits = all.iter().zip(&open.verdicts).filter(|(_, verdict)| is(verdict));
            fits.map(|(name, _)| name.clone()).collect::<BTreeSet<String>>()
        };
        let taken = with(|verdict| *verdict == Some(Verdict::Taken));
        let waiting = with(Option::is_none);
        let refused = with(|verdict| matches!(verdict, Some(Verdict::Dead(_))));
        let dead = open.verdicts.iter().flatten().find_map(|verdict| match verdict {
            Verdict::Dead(said) => Some(said.clone()),
            _ => None,
        });
        let names = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        if !waiting.is_empty() {
            self.remember(item, taken);
            let not_yet = |said: &str| Said::from(format!("not for {} yet: {said}", names(waiting)));
            return match later {
                Some(said) => Fate::Later(not_yet(said.as_str())),
                None => Fate::Behind(not_yet(WAITS)),
            };
        }
        if let Some(said) = dead {
            // Who has it does not get it again if its dead letter is sent again.
            self.remember(item, taken);
            return Fate::Dead(format!("not for {}: {said}", names(refused)).into());
        }
        self.memory.remove(&record_id(item));
        if cut { Fate::Cut } else { Fate::Taken }
    }

    fn forget(&mut self, item: &Item) {
        if let Some(all) = self.open.get_mut(&item.key()) {
            all.remove(&item.id);
            if all.is_empty() {
                self.open.remove(&item.key());
            }
        }
    }

    /// Remembers who has an outcome that others do not have.
    fn remember(&mut self, item: &Item, taken: BTreeSet<String>) {
        let (id, done) = (record_id(item), Done { time: item.time, taken });
        let known = self.memory.values();
        if done.taken.is_empty() || known.get(&id) == Some(&done) {
            return;
        }
        if !known.contains_key(&id) && known.len() >= MOST_REMEMBERED {
            let oldest = known.iter().min_by_key(|(_, done)| done.time).map(|(id, _)| id.clone());
            oldest.map(|oldest| self.memory.remove(&oldest));
        }
        self.memory.set(&id, done);
    }
}

/// As [`Record::id`].
fn record_id(item: &Item) -> String {
    format!("{:016x}-{}", item.epoch, item.sequence)
}

/// Whether an outcome is given to the lane again.
fn is_open(fate: &Fate) -> bool {
    matches!(fate, Fate::Later(_) | Fate::Behind(_))
}

fn fate(fate: Option<Fate>) -> Fate {
    fate.unwrap_or(Fate::Later("not sent yet".into()))
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
