//! Metrics for Prometheus, in its text format 0.0.4.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::inbound::accept::Counts;
use crate::intake::amqp::board::Entry;
use crate::intake::forward::desk::Entry as Forwarded;
use crate::intake::stats;
use crate::sinks::Running;
use crate::sinks::stats::LATENCIES;
use crate::status::Status;

pub use prometheus_text::CONTENT_TYPE;

/// The metrics of a daemon. Reads the journal, so it may block.
pub fn of(status: &Arc<Status>) -> String {
    let mut registry = Registry::with_prefix("trapline");
    registry.register_collector(Box::new(Metrics(status.clone())));
    let mut text = String::new();
    // Fails only where writing to a String does: never.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Metrics(Arc<Status>);

/// The families of metrics that are being written.
struct Families<'e>(DescriptorEncoder<'e>);

type Label<'l> = (&'static str, &'l str);

impl Families<'_> {
    /// A counter; its name ends with `_total`.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        count(&mut self.0.encode_descriptor(name, help, None, MetricType::Counter)?, value)
    }

    /// A counter for each value of a label; its name ends with `_total`.
    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'l>, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (label, value) in values {
            count(&mut family.encode_family(&[label])?, value)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        measure(&mut self.0.encode_descriptor(name, help, None, MetricType::Gauge)?, value)
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'l>, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (label, value) in values {
            measure(&mut family.encode_family(&[label])?, value)?;
        }
        Ok(())
    }
}

/// Whole numbers are written without a fraction.
fn measure(encoder: &mut MetricEncoder<'_>, value: f64) -> Result<(), Error> {
    if value.fract() == 0.0 { encoder.encode_gauge(&(value as i64)) } else { encoder.encode_gauge(&value) }
}

fn count(encoder: &mut MetricEncoder<'_>, value: u64) -> Result<(), Error> {
    encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (status, mut out) = (&*self.0, Families(encoder));
        intake(status, &mut out)?;
        journal(status, &mut out)?;
        sinks(status, &mut out)?;
        let accepted = status.shared.accepted.all();
        let listeners = |count: fn(&Counts) -> u64| {
            accepted.iter().map(move |(name, counts)| (("listener", name.as_str()), count(counts)))
        };
        out.counters(
            "accept_errors",
            "connections that could not be accepted; listeners without any are not listed",
            listeners(|counts| counts.errors),
        )?;
        out.counters(
            "connections_refused",
            "connections that were closed because there was no place for them",
            listeners(|counts| counts.refused),
        )?;
        let capture = &status.shared.capture;
        if capture.is_on() {
            let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            out.counter(
                "captured",
                "messages that were kept for trying out changed rules",
                get(&capture.kept),
            )?;
            out.counter(
                "capture_lost",
                "messages that could not be kept because too many came at once, or the disk took none",
                get(&capture.lost),
            )?;
            out.gauge("capture_bytes", "size of the files of captured messages", get(&capture.bytes) as f64)?;
        }
        let tables = status.shared.lookups.all();
        out.gauges(
            "lookup_rows",
            "rows of a table",
            tables.iter().map(|(name, entry)| (("table", &**name), entry.rows as f64)),
        )?;
        let now = status.clock.now().mono;
        let ages = tables
            .iter()
            .filter_map(|(name, entry)| Some((("table", &**name), now.since(entry.good?).as_secs_f64())));
        out.gauges(
            "lookup_age_seconds",
            "since a table was last seen to be the newest version of its source",
            ages,
        )?;
        out.counters(
            "lookup_failures",
            "times that a table could not be read, or was not used because of mistakes",
            tables.iter().map(|(name, entry)| (("table", &**name), entry.failures)),
        )?;
        queues(status, &mut out)?;
        followed(status, &mut out)?;
        forwards(status, &mut out)?;
        history(status, &mut out)?;
        let restarts = status.health.restarts();
        out.counters(
            "restarts",
            "threads and tasks of the daemon that failed and were started again",
            restarts.iter().map(|(part, count)| (("part", part.as_str()), *count)),
        )?;
        out.gauge("uptime_seconds", "since the start", status.uptime().as_secs() as f64)
    }
}

/// Name and help of a counter, and what it counts of an entry.
type Count<E> = (&'static str, &'static str, fn(&E) -> u64);

fn queues(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    let all = status.shared.queues.all();
    out.gauges(
        "queue_connected",
        "1 if the messages of a queue come",
        all.iter().map(|(name, entry)| (("queue", &**name), f64::from(u8::from(entry.connected)))),
    )?;
    let counts: [Count<Entry>; 3] = [
        ("queue_taken", "messages of a queue that were taken and acknowledged", |entry| entry.taken),
        ("queue_redelivered", "messages that the broker delivered again", |entry| entry.redelivered),
        ("queue_rejected", "messages without an event, which were rejected", |entry| entry.rejected),
    ];
    for (family, help, count) in counts {
        out.counters(family, help, all.iter().map(|(name, entry)| (("queue", &**name), count(entry))))?;
    }
    Ok(())
}

fn followed(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    let all = status.shared.follows.all();
    out.gauges(
        "followed_open",
        "1 if a file or the journal of systemd is read",
        all.iter().map(|(name, entry)| (("intake", &**name), f64::from(u8::from(entry.open)))),
    )?;
    let lines = all.iter().map(|(name, entry)| (("intake", &**name), entry.lines));
    out.counters("followed_lines", "lines of files and of the journal of systemd that were read", lines)?;
    let refused = all.iter().map(|(name, entry)| (("intake", &**name), entry.refused));
    out.counters("followed_refused", "entries of the journal of systemd that make no line", refused)
}

fn forwards(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    let all = status.shared.forwards.all();
    let counts: [Count<Forwarded>; 4] = [
        ("forward_sent", "packets that were sent on as they came", |entry| entry.sent),
        ("forward_own_address", "packets that were sent on with the address of this machine", |entry| {
            entry.own_address
        }),
        ("forward_dropped", "packets that could not be sent on", |entry| entry.dropped),
        ("forward_looped", "packets that came from their receiver, or again and again", |entry| entry.looped),
    ];
    for (family, help, count) in counts {
        out.counters(family, help, all.iter().map(|(name, entry)| (("forward", &**name), count(entry))))?;
    }
    Ok(())
}

fn history(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    let history = &status.history;
    if !history.on.load(Ordering::Relaxed) {
        return Ok(());
    }
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    out.counter("history_read", "outcomes that the history has counted", get(&history.read))?;
    out.counter("history_rows", "outcomes that have a row in the history", get(&history.rows))?;
    out.counter(
        "history_thinned",
        "outcomes for which another row of the history stands",
        get(&history.thinned),
    )?;
    out.counter(
        "history_missed",
        "outcomes that the journal had removed before the history read them",
        get(&history.missed),
    )?;
    out.gauge("history_bytes", "size of the files of the history", get(&history.bytes) as f64)?;
    let failing = u8::from(history.error().is_some());
    out.gauge("history_failing", "1 if the history cannot be written", f64::from(failing))
}

fn intake(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    let intake = status.shared.stats.to_json();
    for (name, value) in intake.as_object().into_iter().flatten() {
        if let Some(value) = value.as_u64() {
            out.counter(name, &stats::help(name).unwrap_or_default(), value)?;
        }
    }
    let reasons = || intake["malformed"].as_object().into_iter().flatten();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    out.counters(
        "malformed",
        "SNMP packets that were not accepted, by reason",
        reasons().map(|(reason, count)| (("reason", reason.as_str()), number(count))),
    )?;
    out.counters(
        "swallowed",
        "outcomes that rules swallowed because of what they keep over time, by reason",
        intake["swallowed"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(reason, count)| (("reason", reason.as_str()), number(count))),
    )?;
    let active = status.shared.active();
    let servers = active.tls.iter().chain(active.http.0.iter().filter_map(|(_, site)| site.tls.as_ref()));
    let certificates = servers.filter_map(|tls| {
        let file = tls.parts.certificate.to_str()?;
        Some((("file", file), tls.certificate.as_ref()?.not_after as f64))
    });
    out.gauges(
        "tls_certificate_ends_seconds",
        "when the certificate of listeners with TLS ends, in seconds since 1970 UTC",
        certificates,
    )?;
    let reverse = if active.hosts.reverse_dns { status.shared.reverse.to_json() } else { Value::Null };
    out.counters(
        "reverse_dns",
        "addresses whose name was asked for, by what came of it",
        (reverse.as_object().into_iter().flatten())
            .map(|(result, count)| (("result", result.as_str()), number(count))),
    )?;
    out.counters(
        "rule_matched",
        "messages that a rule matched, since it was loaded",
        active
            .rules
            .rules()
            .iter()
            .map(|rule| (("rule", &*rule.id), rule.match_count.load(Ordering::Relaxed))),
    )?;
    out.counters(
        "rule_render_errors",
        "fields that a rule could not render, since it was loaded; rules without errors are not listed",
        active
            .rules
            .rules()
            .iter()
            .map(|rule| (("rule", &*rule.id), rule.render_failures.load(Ordering::Relaxed)))
            .filter(|(_, failures)| *failures > 0),
    )?;
    out.counters(
        "rule_over_budget",
        "patterns, conditions and fields of a rule that took too long for a message, since it was loaded; rules without \
         any are not listed",
        active
            .rules
            .rules()
            .iter()
            .map(|rule| (("rule", &*rule.id), rule.over_budget.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0),
    )
}

fn journal(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    let journal = &status.shared.journal;
    let now = status.clock.now().mono;
    let age = status.sinks().iter().map(|sink| sink.stats.lag(now)).fold(0.0, f64::max);
    out.gauge("journal_bytes", "size of the journal on disk", journal.size() as f64)?;
    out.gauge("journal_age_seconds", "age of the oldest outcome that a sink has not delivered", age)?;
    out.counter("journal_damaged", "damaged places in the journal that were skipped", journal.damaged())
}

fn sinks(status: &Status, out: &mut Families<'_>) -> Result<(), Error> {
    type Count = fn(&Running) -> &AtomicU64;
    let counters: [(&str, &str, Count); 7] = [
        ("sink_delivered", "outcomes that the server has accepted", |s| &s.stats.delivered),
        ("sink_skipped", "outcomes that are not for this sink", |s| &s.stats.skipped),
        ("sink_cut", "outcomes that were shortened to fit", |s| &s.stats.cut),
        ("sink_stale", "outcomes that came after something newer", |s| &s.stats.stale),
        ("sink_dead", "outcomes that the server will never accept", |s| &s.stats.dead),
        ("sink_retried", "outcomes that were sent again", |s| &s.stats.retried),
        ("sink_failures", "times that delivery failed", |s| &s.stats.failures),
    ];
    let (sinks, journal) = (status.sinks(), &status.shared.journal);
    for (name, help, value) in counters {
        let values = sinks.iter().map(|s| (("sink", s.name.as_str()), value(s).load(Ordering::Relaxed)));
        out.counters(name, help, values)?;
    }
    out.counters(
        "sink_expired",
        "outcomes that were dropped because the journal was full",
        sinks.iter().map(|sink| (("sink", sink.name.as_str()), sink.cursor.expired())),
    )?;
    out.gauges(
        "sink_dead_letters",
        "dead letters that are kept, also those of before the start",
        sinks.iter().map(|s| (("sink", s.name.as_str()), s.stats.letters.load(Ordering::Relaxed) as f64)),
    )?;
    let now = status.clock.now().mono;
    let behind = |sink: &Running| journal.behind(&sink.cursor) as f64;
    out.gauges(
        "sink_lag_records",
        "outcomes in the journal that the sink has not delivered",
        sinks.iter().map(|sink| (("sink", sink.name.as_str()), behind(sink))),
    )?;
    out.gauges(
        "sink_lag_seconds",
        "how long the oldest outcome has waited for the sink",
        sinks.iter().map(|sink| (("sink", sink.name.as_str()), sink.stats.lag(now))),
    )?;
    let unconfigured = status.unconfigured();
    out.gauges(
        "unconfigured_sink_lag_records",
        "outcomes in the journal for a sink that is not configured",
        unconfigured.iter().map(|sink| (("sink", sink.name.as_str()), sink.behind as f64)),
    )?;
    let help = "from the receipt of a message to the delivery of its outcome";
    let mut family = out.0.encode_descriptor("delivery_seconds", help, None, MetricType::Histogram)?;
    for sink in sinks.iter() {
        let (below, total, sum) = sink.stats.latency.cumulated();
        let before = std::iter::once(0).chain(below);
        let buckets: Vec<(f64, u64)> =
            LATENCIES.into_iter().zip(below.into_iter().zip(before).map(|(to, from)| to - from)).collect();
        let labels = [("sink", sink.name.as_str())];
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::Shared;
    use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
    use crate::status::Health;
    use crate::time::clock::SystemClock;

    #[test]
    fn names_and_types_stay_and_labels_are_escaped() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        let journal = Journal::open(options, 7).unwrap().0;
        let clock = Arc::new(SystemClock);
        let shared = Arc::new(Shared::new(journal.clone(), SyncPolicy::Never, clock.clone()));
        let health = Arc::new(Health::default());
        let status = Arc::new(Status::new(shared, health.clone(), clock));
        journal.register("left-over").unwrap();
        let sink = Running::open("out", &journal).unwrap();
        sink.stats.latency.observe_all([700].into_iter());
        status.set_sinks(vec![sink]);
        health.failed("a \"part\"\\\n", "panicked".to_owned());
        let text = of(&status);
        let types: String =
            text.lines().filter(|l| l.starts_with("# TYPE")).map(|l| format!("{l}\n")).collect();
        insta::assert_snapshot!(types);
        for line in [
            "trapline_malformed_total{reason=\"truncated\"} 0",
            "trapline_sink_delivered_total{sink=\"out\"} 0",
            "trapline_sink_lag_records{sink=\"out\"} 0",
            "trapline_unconfigured_sink_lag_records{sink=\"left-over\"} 0",
            "trapline_restarts_total{part=\"a \\\"part\\\"\\\\\\n\"} 0",
            "trapline_delivery_seconds_bucket{sink=\"out\",le=\"0.0005\"} 0",
            "trapline_delivery_seconds_bucket{sink=\"out\",le=\"0.001\"} 1",
            "trapline_delivery_seconds_bucket{sink=\"out\",le=\"3600\"} 1",
            "trapline_delivery_seconds_bucket{sink=\"out\",le=\"+Inf\"} 1",
            "trapline_delivery_seconds_sum{sink=\"out\"} 0.0007",
            "trapline_delivery_seconds_count{sink=\"out\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
