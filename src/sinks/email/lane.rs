//! Sends mail, and keeps for each outcome which recipients have it: only the others get it again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::mail::{Composer, Mail};
use super::session::{Server, Session, Submitted, Verdict};
use crate::net::Network;
use crate::outcome::record::Record;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble,
};

/// The most outcomes of a mail, and the most octets of them.
const MOST: usize = 100;
const MOST_BYTES: usize = 512 << 10;
/// Of how many outcomes it is known which recipients have them.
const MOST_KNOWN: usize = 20_000;

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
        if self.digest.is_zero() {
            return Limits::default();
        }
        Limits { lanes: 1, items: MOST, bytes: MOST_BYTES, order: Order::Kept, linger: self.digest }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let mail = self.composer.mail(std::slice::from_ref(record), false);
        let to = Piece::new(Format::Words, format!("to {}:\n", self.server.address));
        Some(mail.map(|mail| vec![to, Piece::new(Format::Mail, mail.text)]))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.server.address.host.clone(), self.server.address.port)
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(EmailLane { email: self.clone(), network: seat.network.clone(), known: HashMap::new() })
    }
}

struct EmailLane {
    email: Email,
    network: Arc<dyn Network>,
    /// Outcomes that some recipients do not have yet, with what is final for each recipient.
    known: HashMap<Id, Vec<Option<Verdict>>>,
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
        let mut fates: Vec<Option<Fate>> = vec![None; items.len()];
        if self.known.len() > MOST_KNOWN {
            // Of outcomes that were given up nobody tells.
            self.known.retain(|id, _| items.iter().any(|item| item.id == *id));
        }
        let groups = self.groups(items, &mut fates);
        if groups.is_empty() {
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
                }
            }
        }
        session.quit().await;
        Ok(fates.into_iter().map(fate).collect())
    }

    /// Which outcomes go to which recipients. An outcome whose recipients are others than those of an earlier one of its host and
    /// service waits for that.
    fn groups(&self, items: &[Item], fates: &mut [Option<Fate>]) -> Groups {
        let count = self.email.composer.to.len();
        let mut groups = Groups::new();
        let mut before: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            let open: Vec<usize> = match self.known.get(&item.id) {
                Some(known) => (0..count).filter(|at| known[*at].is_none()).collect(),
                None => (0..count).collect(),
            };
            let first = before.entry(item.key).or_insert_with(|| open.clone());
            if *first == open {
                groups.entry(open).or_default().push(place);
            } else {
                fates[place] = Some(Fate::Later("an earlier one of this host and service waits".into()));
            }
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
            return Ok(places.iter().map(|_| Fate::Dead("the outcome is damaged".into())).collect());
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
                Submitted::Each(verdicts) => {
                    let fate = |place: &usize| self.settle(items[*place].id, recipients, &verdicts, cut);
                    return Ok(places.iter().map(fate).collect());
                }
                Submitted::TooLarge(said) if places.len() > 1 => return Err(Trouble::Halve(said)),
                Submitted::TooLarge(said) if short => return Ok(vec![Fate::Dead(said)]),
                Submitted::TooLarge(_) => {}
            }
        }
        Ok(Vec::new())
    }

    /// The fate of an outcome, given what became of it for some recipients.
    fn settle(&mut self, id: Id, recipients: &[usize], verdicts: &[Verdict], cut: bool) -> Fate {
        let all = &self.email.composer.to;
        let known = self.known.entry(id).or_insert_with(|| vec![None; all.len()]);
        let mut later = None;
        for (at, verdict) in recipients.iter().zip(verdicts) {
            match verdict {
                Verdict::Later(said) => later = Some(said.clone()),
                Verdict::Taken | Verdict::Dead(_) => known[*at] = Some(verdict.clone()),
            }
        }
        if let Some(said) = later {
            return Fate::Later(said);
        }
        let known = self.known.remove(&id).unwrap_or_default();
        let refused = all.iter().zip(&known).filter_map(|(name, verdict)| match verdict {
            Some(Verdict::Dead(said)) => Some((name.as_str(), said)),
            _ => None,
        });
        let (names, said): (Vec<&str>, Vec<&Said>) = refused.unzip();
        let Some(said) = said.first() else { return if cut { Fate::Cut } else { Fate::Taken } };
        Fate::Dead(format!("not for {}: {said}", names.join(", ")).into())
    }
}

fn fate(fate: Option<Fate>) -> Fate {
    fate.unwrap_or(Fate::Later("not sent yet".into()))
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
