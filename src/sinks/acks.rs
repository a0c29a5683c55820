//! Acknowledgements of single outcomes of a batch, as the fates that a lane reports.

use std::collections::HashSet;

use crate::sinks::sink::{Fate, Hint, Item, Said, Trouble};

/// What a server said of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ack {
    /// This became of it.
    Fate(Fate),
    /// It refuses what the configuration says, such as a place where this user may not write.
    Refused(Said, Hint),
    /// Nothing.
    None,
}

/// What follows from an error that a server names by a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// It can never take an outcome of the request.
    Dead,
    /// It takes none of them now.
    Later,
    /// It refuses what the configuration says.
    Refused(Hint),
}

impl Means {
    /// What became of an outcome of which this was said.
    pub(super) fn ack(self, said: Said) -> Ack {
        match self {
            Means::Dead => Ack::Fate(Fate::Dead(said)),
            Means::Later => Ack::Fate(Fate::Later(said)),
            Means::Refused(hint) => Ack::Refused(said, hint),
        }
    }
}

/// An error: its number, what it is called, and what follows.
pub(super) struct Row<N> {
    pub(super) code: N,
    pub(super) says: &'static str,
    pub(super) means: Means,
}

/// A row of a table of errors.
pub(super) const fn row<N: Copy>(code: N, says: &'static str, means: Means) -> Row<N> {
    Row { code, says, means }
}

/// The fates of a batch. Where the server refused all that it answered, the sink waits, as its configuration is wrong; where it took some,
/// only what it refused is sent again. `ended` is why the exchange ended before everything was answered, and `rest` becomes of what was not, if
/// something else was.
pub(super) fn settle(
    items: &[Item],
    acks: Vec<Ack>,
    ended: Option<Trouble>,
    rest: fn(Said) -> Fate,
) -> Result<Vec<Fate>, Trouble> {
    let judged = acks.iter().any(|ack| matches!(ack, Ack::Fate(_)));
    if !judged {
        let refused = acks.iter().find_map(|ack| match ack {
            Ack::Refused(said, hint) => Some(Trouble::Refused(said.clone(), hint)),
            _ => None,
        });
        if let Some(trouble) = refused.or(ended) {
            return Err(trouble);
        }
    }
    let mut fates: Vec<Fate> = acks
        .into_iter()
        .map(|ack| match ack {
            Ack::Fate(fate) => fate,
            Ack::Refused(said, _) => Fate::Later(said),
            Ack::None => rest("others sent with it were acknowledged, and it was not".into()),
        })
        .collect();
    in_order(items, &mut fates);
    Ok(fates)
}

/// Has what comes behind an outcome of the same host and service that is sent again be sent again, too: the server would
/// have the older one last.
pub(super) fn in_order(items: &[Item], fates: &mut [Fate]) {
    let mut waiting = HashSet::new();
    for (item, fate) in items.iter().zip(fates) {
        match fate {
            Fate::Later(_) | Fate::Unanswered(_) => drop(waiting.insert(item.key())),
            Fate::Taken | Fate::Cut if !waiting.is_empty() && waiting.contains(&item.key()) => {
                *fate = Fate::Later("an earlier outcome of its host and service is sent again".into());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::sink::Key;
    use crate::sinks::testing::item;

    fn settled(acks: Vec<Ack>, ended: bool) -> Result<Vec<&'static str>, &'static str> {
        let mut items: Vec<Item> = (1..=3).map(|number| item(number, "h", Some("s"), "text")).collect();
        items[2].key = Key::Known(1);
        let ended = ended.then(|| Trouble::Unanswered("it closed the connection".into(), "see its log"));
        let fates = settle(&items, acks, ended, Fate::Unanswered).map_err(|trouble| match trouble {
            Trouble::Refused(..) => "refused",
            _ => "ended",
        })?;
        let word = |fate: &Fate| match fate {
            Fate::Taken => "taken",
            Fate::Dead(_) => "dead",
            Fate::Unanswered(_) => "unanswered",
            _ => "later",
        };
        Ok(fates.iter().map(word).collect())
    }

    #[test]
    fn what_is_acknowledged_counts_and_the_rest_keeps_its_order() {
        let taken = || Ack::Fate(Fate::Taken);
        let dead = || Ack::Fate(Fate::Dead("no".into()));
        let refused = || Ack::Refused("not allowed".into(), "allow it");
        assert_eq!(settled(vec![taken(), taken(), taken()], false), Ok(vec!["taken"; 3]));
        assert_eq!(
            settled(vec![taken(), Ack::None, taken()], true),
            Ok(vec!["taken", "unanswered", "taken"])
        );
        assert_eq!(
            settled(vec![Ack::None, taken(), taken()], true),
            Ok(vec!["unanswered", "later", "taken"])
        );
        assert_eq!(settled(vec![dead(), taken(), Ack::None], true), Ok(vec!["dead", "taken", "unanswered"]));
        assert_eq!(settled(vec![Ack::None, Ack::None, Ack::None], true), Err("ended"));
        assert_eq!(settled(vec![refused(), taken(), taken()], false), Ok(vec!["later", "later", "taken"]));
        assert_eq!(settled(vec![refused(), refused(), refused()], false), Err("refused"));
        assert_eq!(settled(vec![refused(), Ack::None, Ack::None], true), Err("refused"));
    }
}
