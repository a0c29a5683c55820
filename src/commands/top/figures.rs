//! What two looks at the daemon say. Pure.

use std::collections::HashMap;

use serde_json::Value;

/// The counters of what is lost: before a rule could see it, or behind the rules.
const LOST: [&str; 4] = ["kernel_drops", "waiting_lost", "outcomes_lost", "storm_left_out"];
/// The counters of what is refused.
const REFUSED: [&str; 7] = [
    "posts_refused",
    "wrong_community",
    "wrong_source",
    "version_off",
    "no_access",
    "tls_failed",
    "streams_refused",
];
/// How many senders and groups are kept.
const MOST: usize = 200;

/// What the daemon has told at a time.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The status.
    pub status: Value,
    /// Who sends.
    pub senders: Value,
    /// Groups of the inbox.
    pub unmatched: Value,
    /// When, in seconds since some time.
    pub at: f64,
}

/// A counter with its rate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// All of them.
    pub total: u64,
    /// How many a second.
    pub rate: f64,
}

/// A sink.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SinkRow {
    /// Its name.
    pub name: String,
    /// What it delivers.
    pub delivered: Rate,
    /// How many outcomes it has not delivered.
    pub behind: u64,
    /// The age of the oldest of them, in seconds.
    pub lag: f64,
    /// Its dead letters.
    pub dead: u64,
    /// Its last error; empty if there is none.
    pub error: String,
}

/// A sender.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SenderRow {
    /// Its address.
    pub address: String,
    /// The host that its last message was about.
    pub host: String,
    /// What it sends.
    pub messages: Rate,
    /// Of these, what no rule takes.
    pub unmatched: u64,
    /// Of these, what is refused.
    pub refused: u64,
}

/// A group of the inbox.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupRow {
    /// Its number.
    pub id: u64,
    /// What its messages are.
    pub what: String,
    /// How many there were.
    pub messages: Rate,
}

/// All figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// The version of the daemon.
    pub version: String,
    /// How long it runs, in seconds.
    pub uptime: u64,
    /// How many rules it has.
    pub rules: u64,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// Counters by name, in the order in which they are shown.
    pub intake: Vec<(&'static str, Rate)>,
    /// The sinks.
    pub sinks: Vec<SinkRow>,
    /// The senders, the loudest first.
    pub senders: Vec<SenderRow>,
    /// Groups of the inbox, the loudest first.
    pub groups: Vec<GroupRow>,
    /// How many groups there are.
    pub all_groups: u64,
}

impl Figures {
    /// The figures between two looks.
    pub fn between(before: &Look, now: &Look) -> Self {
        let seconds = (now.at - before.at).max(0.001);
        let same = before.status["pid"] == now.status["pid"];
        let rate = |before: u64, now: u64| Rate {
            total: now,
            // A daemon that was started again counts from 0.
            rate: if same { now.saturating_sub(before) as f64 / seconds } else { 0.0 },
        };
        let sum = |look: &Look, names: &[&str]| -> u64 {
            names.iter().map(|name| number(&look.status["intake"][*name])).sum()
        };
        let malformed = |look: &Look| -> u64 {
            look.status["intake"]["malformed"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(_, count)| number(count))
                .sum()
        };
        let of = |names: &[&str]| rate(sum(before, names), sum(now, names));
        let intake = vec![
            ("received", of(&["snmp_received", "syslog_received", "posts_received"])),
            ("matched", of(&["matched"])),
            ("unmatched", of(&["unmatched"])),
            ("dropped by rules", of(&["dropped"])),
            ("refused", of(&REFUSED)),
            ("malformed", rate(malformed(before), malformed(now))),
            ("lost", of(&LOST)),
            ("outcomes", of(&["outcomes"])),
        ];
        let problems = now.status["problems"].as_array().into_iter().flatten().map(text).collect();
        Figures {
            version: text(&now.status["version"]),
            uptime: number(&now.status["uptime_seconds"]),
            rules: number(&now.status["rules"]),
            problems,
            intake,
            sinks: sinks(before, now, &rate),
            senders: senders(before, now, &rate),
            groups: groups(before, now, &rate),
            all_groups: number(&now.unmatched["all"]),
        }
    }
}

fn sinks(before: &Look, now: &Look, rate: &dyn Fn(u64, u64) -> Rate) -> Vec<SinkRow> {
    let earlier = by_key(&before.status["sinks"], "name");
    let row = |sink: &Value| {
        let delivered = number(&sink["delivered"]);
        let was = earlier.get(&text(&sink["name"])).map_or(delivered, |sink| number(&sink["delivered"]));
        SinkRow {
            name: text(&sink["name"]),
            delivered: rate(was, delivered),
            behind: number(&sink["behind"]),
            lag: sink["lag_seconds"].as_f64().unwrap_or(0.0),
            dead: number(&sink["dead"]),
            error: text(&sink["error"]),
        }
    };
    now.status["sinks"].as_array().into_iter().flatten().map(row).collect()
}

fn senders(before: &Look, now: &Look, rate: &dyn Fn(u64, u64) -> Rate) -> Vec<SenderRow> {
    let count = |sender: &Value| -> u64 {
        ["matched", "dropped", "unmatched", "refused"].iter().map(|name| number(&sender[*name])).sum()
    };
    let earlier = by_key(&before.senders["senders"], "address");
    let row = |sender: &Value| {
        let known = [&sender["known_as"], &sender["host"]];
        SenderRow {
            address: text(&sender["address"]),
            host: known.iter().map(|name| text(name)).find(|name| !name.is_empty()).unwrap_or_default(),
            // Who was not there before has sent all of it since.
            messages: rate(earlier.get(&text(&sender["address"])).map_or(0, |was| count(was)), count(sender)),
            unmatched: number(&sender["unmatched"]),
            refused: number(&sender["refused"]),
        }
    };
    let mut all: Vec<SenderRow> = now.senders["senders"].as_array().into_iter().flatten().map(row).collect();
    all.sort_by(|a, b| louder(&a.messages, &b.messages).then_with(|| a.address.cmp(&b.address)));
    all.truncate(MOST);
    all
}

fn groups(before: &Look, now: &Look, rate: &dyn Fn(u64, u64) -> Rate) -> Vec<GroupRow> {
    let earlier = by_key(&before.unmatched["groups"], "group");
    let row = |group: &Value| {
        let count = number(&group["count"]);
        let was = earlier.get(&group["group"].to_string()).map_or(count, |was| number(&was["count"]));
        GroupRow { id: number(&group["group"]), what: text(&group["what"]), messages: rate(was, count) }
    };
    let mut all: Vec<GroupRow> = now.unmatched["groups"].as_array().into_iter().flatten().map(row).collect();
    all.sort_by(|a, b| louder(&a.messages, &b.messages).then_with(|| a.id.cmp(&b.id)));
    all.truncate(MOST);
    all
}

/// Who sends more now comes first, then who has sent more.
fn louder(a: &Rate, b: &Rate) -> std::cmp::Ordering {
    b.rate.total_cmp(&a.rate).then_with(|| b.total.cmp(&a.total))
}

fn by_key<'v>(list: &'v Value, key: &str) -> HashMap<String, &'v Value> {
    let named = |one: &'v Value| {
        let key = &one[key];
        (key.as_str().map_or_else(|| key.to_string(), str::to_owned), one)
    };
    list.as_array().into_iter().flatten().map(named).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(at: f64, pid: u64, received: u64) -> Look {
        Look {
            status: json!({ "pid": pid, "version": "1", "uptime_seconds": 7, "rules": 3, "problems": ["p"],
                "intake": { "snmp_received": received, "syslog_received": 1, "malformed": { "v3": received } },
                "sinks": [{ "name": "a", "delivered": received, "behind": 2, "lag_seconds": 1.5, "dead": 1, "error": "e" }] }),
            senders: json!({ "senders": [
                { "address": "192.0.2.1", "matched": 9, "unmatched": 1, "host": "r1" },
                { "address": "192.0.2.2", "matched": received, "refused": 2, "known_as": "r2", "host": "x" },
            ]}),
            unmatched: json!({ "all": 40, "groups": [
                { "group": 1, "what": "one", "count": 50 }, { "group": 2, "what": "two", "count": received },
            ]}),
            at,
        }
    }

    #[test]
    fn rates_are_differences_over_time() {
        let figures = Figures::between(&look(1.0, 5, 10), &look(3.0, 5, 20));
        assert_eq!(figures.intake[0], ("received", Rate { total: 21, rate: 5.0 }));
        assert_eq!(figures.intake[5], ("malformed", Rate { total: 20, rate: 5.0 }));
        assert_eq!(figures.sinks[0].delivered, Rate { total: 20, rate: 5.0 });
        assert_eq!(
            (figures.senders[0].address.as_str(), figures.senders[0].host.as_str()),
            ("192.0.2.2", "r2")
        );
        assert_eq!((figures.groups[0].id, figures.groups[0].messages.rate), (2, 5.0));
        assert_eq!((figures.groups[1].messages, figures.all_groups), (Rate { total: 50, rate: 0.0 }, 40));
    }

    #[test]
    fn a_daemon_that_was_started_again_has_no_rate() {
        let figures = Figures::between(&look(1.0, 5, 1000), &look(2.0, 6, 20));
        assert!(figures.intake.iter().all(|(_, rate)| rate.rate == 0.0));
        let nothing = Figures::between(&Look::default(), &Look::default());
        assert!(nothing.sinks.is_empty() && nothing.senders.is_empty());
    }
}
