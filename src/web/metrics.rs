//! What is counted, as Prometheus reads it (text format 0.0.4). Pure.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::journal::Journal;
use crate::rules::Rule;
use crate::sinks::Running;
use crate::sinks::stats::LATENCIES;
use crate::status::Status;

/// The content type of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is not counted but measured.
#[derive(Debug, Clone, Copy)]
pub struct Gauges {
    /// Seconds since the start.
    pub uptime: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// For how long the oldest outcome has been in the journal that some sink has not taken, in seconds.
    pub journal_age: f64,
    /// Damaged places that were skipped in the journal.
    pub journal_damaged: u64,
    /// The time, in microseconds since 1970.
    pub now: i64,
}

/// The state of the daemon as Prometheus reads it.
pub fn of(status: &Status) -> String {
    let journal = &status.shared.journal;
    let now = status.clock.now().wall.micros();
    let sinks = status.sinks();
    let lags = sinks.iter().map(|sink| sink.stats.lag(now));
    let gauges = Gauges {
        uptime: status.uptime().as_secs(),
        journal_bytes: journal.size(),
        journal_age: lags.fold(0.0, f64::max),
        journal_damaged: journal.damaged(),
        now,
    };
    let active = status.shared.active();
    let intake = status.shared.stats.to_json();
    render(&intake, active.rules.rules(), &sinks, gauges, journal)
}

/// Everything. `intake` is the JSON of the intake's counters.
pub fn render(
    intake: &Value,
    rules: &[Rule],
    sinks: &[Running],
    gauges: Gauges,
    journal: &Journal,
) -> String {
    let mut out = Text::default();
    for (name, count) in intake.as_object().into_iter().flatten() {
        if let Some(count) = count.as_u64() {
            out.family(&format!("trapline_{name}_total"), "counter", &words(name));
            out.line(&format!("trapline_{name}_total"), &[], count);
        }
    }
    let malformed: u64 =
        intake["malformed"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let seen = |name: &str| intake[name].as_u64().unwrap_or(0);
    // All that came, but for what could not be read and for questions who this engine is.
    let decoded =
        seen("snmp_received").saturating_sub(malformed + seen("discoveries") + seen("wrong_source"));
    out.family("trapline_decoded_total", "counter", "SNMP packets that were understood");
    out.line("trapline_decoded_total", &[], decoded);
    out.family("trapline_malformed_total", "counter", "SNMP packets that were not taken, by reason");
    for (reason, count) in intake["malformed"].as_object().into_iter().flatten() {
        out.line("trapline_malformed_total", &[("reason", reason)], count.as_u64().unwrap_or(0));
    }
    out.family("trapline_rule_matched_total", "counter", "messages that a rule took, since it was loaded");
    for rule in rules {
        out.line(
            "trapline_rule_matched_total",
            &[("rule", &rule.id)],
            rule.match_count.load(Ordering::Relaxed),
        );
    }
    for (name, help, value) in [
        ("trapline_uptime_seconds", "since the start", gauges.uptime as f64),
        ("trapline_journal_bytes", "size of the journal on disk", gauges.journal_bytes as f64),
        (
            "trapline_journal_age_seconds",
            "age of the oldest outcome that a sink has not taken",
            gauges.journal_age,
        ),
    ] {
        out.family(name, "gauge", help);
        out.line(name, &[], value);
    }
    out.family(
        "trapline_journal_damaged_total",
        "counter",
        "damaged places in the journal that were skipped",
    );
    out.line("trapline_journal_damaged_total", &[], gauges.journal_damaged);
    render_sinks(&mut out, sinks, gauges, journal);
    out.0
}

fn render_sinks(out: &mut Text, sinks: &[Running], gauges: Gauges, journal: &Journal) {
    type Count = fn(&Running) -> &AtomicU64;
    let counters: [(&str, &str, Count); 7] = [
        ("delivered", "outcomes that the server has taken", |s| &s.stats.delivered),
        ("skipped", "outcomes that are not for this sink", |s| &s.stats.skipped),
        ("cut", "outcomes that were shortened to fit", |s| &s.stats.cut),
        ("stale", "outcomes that came after something newer", |s| &s.stats.stale),
        ("dead", "outcomes that the server will never take", |s| &s.stats.dead),
        ("retried", "outcomes that were sent again", |s| &s.stats.retried),
        ("failures", "times that delivery failed", |s| &s.stats.failures),
    ];
    for (name, help, counter) in counters {
        let name = format!("trapline_sink_{name}_total");
        out.family(&name, "counter", help);
        for sink in sinks {
            out.line(&name, &[("sink", &sink.name)], counter(sink).load(Ordering::Relaxed));
        }
    }
    out.family(
        "trapline_sink_expired_total",
        "counter",
        "outcomes that were given up because the journal was full",
    );
    for sink in sinks {
        out.line("trapline_sink_expired_total", &[("sink", &sink.name)], sink.cursor.expired());
    }
    out.family("trapline_sink_lag_records", "gauge", "outcomes in the journal that the sink has not taken");
    for sink in sinks {
        let behind = journal.behind(&sink.cursor);
        out.line("trapline_sink_lag_records", &[("sink", &sink.name)], behind);
    }
    out.family("trapline_sink_lag_seconds", "gauge", "how long the oldest outcome has waited for the sink");
    for sink in sinks {
        out.line("trapline_sink_lag_seconds", &[("sink", &sink.name)], sink.stats.lag(gauges.now));
    }
    let name = "trapline_delivery_seconds";
    out.family(name, "histogram", "from the receipt of a message to the delivery of its outcome");
    for sink in sinks {
        let (below, total, sum) = sink.stats.latency.cumulated();
        for (bound, count) in LATENCIES.iter().zip(below) {
            let labels = [("sink", sink.name.as_str()), ("le", &bound.to_string())];
            out.line(&format!("{name}_bucket"), &labels, count);
        }
        out.line(&format!("{name}_bucket"), &[("sink", &sink.name), ("le", "+Inf")], total);
        out.line(&format!("{name}_sum"), &[("sink", &sink.name)], sum);
        out.line(&format!("{name}_count"), &[("sink", &sink.name)], total);
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.line("x", &[("rule", "a\"b\\c\nd"), ("le", "1")], 3);
        text.line("y", &[], 0.5);
        assert_eq!(text.0, "x{rule=\"a\\\"b\\\\c\\nd\",le=\"1\"} 3\ny 0.5\n");
    }
}
