//! Who was refused and why, by source; bounded, so that a flood from made-up addresses fills nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

/// How many sources are told apart; the rest are counted together.
const MAX_SOURCES: usize = 1000;
/// How many sources are shown.
const SHOWN: usize = 20;

/// Refusals by source and reason.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    sources: HashMap<IpAddr, Vec<(&'static str, u64)>>,
    others: u64,
}

impl Refusals {
    /// Counts one.
    pub fn count(&self, source: IpAddr, reason: &'static str) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.sources.len() >= MAX_SOURCES && !table.sources.contains_key(&source) {
            table.others += 1;
            return;
        }
        let counts = table.sources.entry(source).or_default();
        match counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => counts.push((reason, 1)),
        }
    }

    /// The sources with the most refusals, and how many came from those that are not told apart.
    pub fn to_json(&self) -> Value {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |counts: &[(&str, u64)]| counts.iter().map(|(_, n)| n).sum::<u64>();
        let mut sources: Vec<_> = table.sources.iter().collect();
        sources.sort_by_key(|(address, counts)| (std::cmp::Reverse(total(counts)), **address));
        let shown = sources.iter().take(SHOWN).map(|(address, counts)| {
            let reasons: Map<String, Value> =
                counts.iter().map(|(reason, count)| ((*reason).to_owned(), (*count).into())).collect();
            json!({ "source": address.to_string(), "count": total(counts), "reasons": reasons })
        });
        json!({ "sources": shown.collect::<Vec<_>>(), "known_sources": table.sources.len(), "others": table.others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_first_and_bounded() {
        let refusals = Refusals::default();
        for n in 0..5000u32 {
            refusals.count(std::net::Ipv4Addr::from(n).into(), "v3_user");
        }
        let bad = "0.0.0.7".parse().unwrap();
        refusals.count(bad, "v3_digest");
        let json = refusals.to_json();
        assert_eq!(
            json["sources"][0],
            json!({ "source": "0.0.0.7", "count": 2, "reasons": { "v3_user": 1, "v3_digest": 1 } })
        );
        assert_eq!((json["known_sources"].as_u64(), json["others"].as_u64()), (Some(1000), Some(4000)));
    }
}
