//! How the rows that a search finds are spread over hosts, services, states, rules, senders and reasons.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::error::HistoryError;
use super::row::Row;
use super::search::Search;
use crate::files::Folder;

/// How many names of a facet are told apart.
const NAMES: usize = 10_000;
/// How many of them are shown.
const SHOWN: usize = 20;

/// The name of a row in a facet.
type Of = fn(&Row) -> Option<&str>;

/// The facets, in the order in which they are shown.
const FACETS: [(&str, Of); 6] = [
    ("state", |row| row.state_word()),
    ("host", |row| Some(&row.host)),
    ("service", |row| row.service.as_deref()),
    ("rule", |row| Some(&row.rule)),
    ("source", |row| Some(&row.source)),
    ("why", |row| row.why()),
];

/// What was counted.
#[derive(Debug, Default)]
pub struct Facets {
    counts: [HashMap<String, u64>; FACETS.len()],
    /// What has names beyond those that are told apart.
    others: [u64; FACETS.len()],
    rows: u64,
    outcomes: u64,
    partial: bool,
    unreadable: Vec<String>,
}

impl Facets {
    /// Counts what a search finds, until its time is over.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn of(search: &Search, folder: &Folder) -> Result<Facets, HistoryError> {
        let mut facets = Facets::default();
        let page = search.visit(folder, None, &mut |row| {
            facets.take(&row);
            true
        })?;
        (facets.partial, facets.unreadable) = (page.partial, page.unreadable);
        Ok(facets)
    }

    fn take(&mut self, row: &Row) {
        self.rows += 1;
        self.outcomes += row.count;
        for (at, (_, of)) in FACETS.iter().enumerate() {
            let Some(name) = of(row) else { continue };
            let counts = &mut self.counts[at];
            if let Some(count) = counts.get_mut(name) {
                *count += row.count;
            } else if counts.len() < NAMES {
                counts.insert(name.to_owned(), row.count);
            } else {
                self.others[at] += row.count;
            }
        }
    }

    /// The JSON of the API.
    pub fn to_json(&self) -> Value {
        let facet = |at: usize| {
            let mut all: Vec<(&str, u64)> =
                self.counts[at].iter().map(|(name, count)| (name.as_str(), *count)).collect();
            all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            let shown: u64 = all.iter().take(SHOWN).map(|one| one.1).sum();
            let sum: u64 = all.iter().map(|one| one.1).sum::<u64>() + self.others[at];
            let top: Vec<Value> = all
                .iter()
                .take(SHOWN)
                .map(|(name, count)| json!({ "value": name, "count": count }))
                .collect();
            json!({ "names": all.len(), "others": sum - shown, "top": top })
        };
        let facets: serde_json::Map<String, Value> =
            FACETS.iter().enumerate().map(|(at, (name, _))| ((*name).to_owned(), facet(at))).collect();
        let mut json = json!({ "rows": self.rows, "outcomes": self.outcomes, "partial": self.partial, "facets": facets });
        if !self.unreadable.is_empty() {
            json["unreadable"] = json!(self.unreadable);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::row::{Mark, Rest};
    use crate::outcome::result::State;

    #[test]
    fn names_are_bounded_and_everything_counts() {
        let mut facets = Facets::default();
        for n in 0..20_000u64 {
            facets.take(&Row {
                n: 0,
                time: 0,
                epoch: 1,
                sequence: n,
                is_event: false,
                state: State::Critical,
                previous: None,
                is_first: false,
                count: 2,
                mark: Mark::None,
                rule: "r".to_owned(),
                host: format!("h{}", n % 15_000),
                service: None,
                source: String::new(),
                output: String::new(),
                rest: Rest::default(),
            });
        }
        let json = facets.to_json();
        assert_eq!((&json["rows"], &json["outcomes"]), (&20_000.into(), &40_000.into()));
        let host = &json["facets"]["host"];
        let top: u64 = host["top"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
        assert_eq!((host["names"].as_u64(), top + host["others"].as_u64().unwrap()), (Some(10_000), 40_000));
        assert_eq!(json["facets"]["state"]["top"][0], json!({ "value": "critical", "count": 40_000 }));
        assert_eq!(json["facets"]["service"]["names"], 0);
    }
}
