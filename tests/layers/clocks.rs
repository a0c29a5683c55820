//! Which files use the wall clock, and for what. Ages and deadlines use the monotonic clock: a step of the wall clock must change
//! none of them. So each use has a reason here that is neither.

use std::path::Path;

use crate::source::Sources;

/// What reads or makes a time of the wall clock.
const READS: [&str; 7] =
    [".wall", "clock::now()", "SystemTime", "Timestamp::now", "Zoned::now", "Wall::from_micros", "Wall("];

/// The files that do, and what for.
const USES: [(&str, &str); 52] = [
    ("src/commands/doctor/facts.rs", "whether certificates are valid"),
    ("src/commands/history.rs", "ages that people ask for, counted back from now"),
    ("src/commands/report.rs", "when a report is made, and ages counted back from then"),
    (
        "src/commands/send/security.rs",
        "the engine time of `trapline send`: read once, then it goes on with the monotonic clock",
    ),
    ("src/correlate/correlator.rs", "the time that outcomes of timers carry"),
    ("src/correlate/effects.rs", "times of counts and problems, for people"),
    ("src/correlate/expect.rs", "the times of day by which messages must come"),
    ("src/correlate/send.rs", "the time that held outcomes carry"),
    ("src/correlate/steps.rs", "the clocks of the model test"),
    ("src/correlate/view.rs", "times of what is kept, for people"),
    (
        "src/daemon/capture.rs",
        "the age of captured messages, which carry the wall clock's time over restarts",
    ),
    ("src/daemon/control.rs", "which mutes are in force, which is a matter of the wall clock"),
    ("src/daemon/replies.rs", "until when a mute lasts, as people say it"),
    ("src/daemon/own_service.rs", "the time that the outcomes of Trapline's own service carry"),
    ("src/daemon/reports.rs", "reports are made at times of day, and once over restarts"),
    ("src/daemon/storms.rs", "the time that the results about storms carry"),
    ("src/history/writer.rs", "the age and the day of files, which outlive restarts"),
    ("src/inbox/course.rs", "when messages of the run before came, whose monotonic clock may be another one"),
    (
        "src/inbox/groups.rs",
        "the times of the first and last message, for people; what goes first is decided by order",
    ),
    ("src/intake/commit.rs", "whether a mute is in force, which is a matter of the wall clock"),
    (
        "src/intake/correlation.rs",
        "where the time of the state begins; from then on it goes on with the monotonic clock",
    ),
    (
        "src/intake/http/desk.rs",
        "when a report came, for people; whether the time has come that an alert says it ends",
    ),
    ("src/intake/http/latest.rs", "when a report came, which the file carries over restarts"),
    ("src/intake/admission.rs", "the time of receipt of datagrams that waited for the first rules"),
    ("src/intake/datagrams.rs", "the time of receipt that datagrams in the waiting room carry"),
    ("src/intake/packets.rs", "the time of receipt that outcomes carry"),
    ("src/intake/pipeline.rs", "the time of receipt that outcomes carry"),
    ("src/intake/posts.rs", "the time of receipt that outcomes carry"),
    ("src/intake/amqp/consumer.rs", "the time of receipt, by which alerts with an end are open or not"),
    ("src/intake/taken.rs", "the age of what was taken, which the files carry over restarts"),
    ("src/intake/tls.rs", "whether certificates are valid"),
    ("src/web/api/messages.rs", "when a stream has begun, for people"),
    ("src/intake/storms.rs", "since when a storm lasts, for people"),
    (
        "src/sinks/alertmanager/lane.rs",
        "the begin and end that alerts carry, and the age of those of before a restart",
    ),
    ("src/sinks/delivery.rs", "the time that dead letters carry"),
    ("src/sinks/nagios/spool.rs", "file_time in check result files"),
    ("src/status.rs", "the times of the first and last message of a sender, for people"),
    ("src/commands/token.rs", "when tokens end, which outlives restarts"),
    ("src/daemon/run.rs", "when the first token was made, for people"),
    ("src/time/clock.rs", "the clocks themselves"),
    ("src/web/api/routes/rules.rs", "the time of receipt of a message that is explained"),
    ("src/web/api/sessions.rs", "how long a session was idle, which outlives restarts"),
    ("src/web/api/access.rs", "whether a token has ended, which outlives restarts"),
    ("src/web/api/routes/access.rs", "when a token was made, for people"),
    ("src/web/api/routes/checkins.rs", "when a report came, for people"),
    ("src/web/api/routes/export.rs", "where a range of time ends that has no end"),
    ("src/web/api/routes/grafana.rs", "the same"),
    ("src/web/api/routes/outcomes.rs", "the same"),
    ("src/web/api/routes/senders.rs", "which mutes are in force, which is a matter of the wall clock"),
    ("src/web/api/serve.rs", "the time that the audit has"),
    ("src/web/api/streams.rs", "the time of what streams say of themselves, for people"),
    ("src/time/receipts.rs", "what the wall clock said at receipt becomes a moment of the monotonic clock"),
];

/// The lines of a file that are neither compiled for tests only nor comments.
pub fn program(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().map(|line| line.split("//").next().unwrap_or_default())
}

#[test]
fn each_use_of_the_wall_clock_has_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(root, &["src"]).unwrap();
    let reads = |text: &str| program(text).any(|line| READS.iter().any(|read| line.contains(read)));
    let found: Vec<&str> = (sources.0.iter())
        .filter(|(path, text)| !path.ends_with("tests.rs") && !path.contains("_tests/") && reads(text))
        .map(|(path, _)| path.as_str())
        .collect();
    let listed: Vec<&str> = USES.iter().map(|(path, _)| *path).collect();
    for path in &found {
        assert!(
            listed.contains(path),
            "{path} uses the wall clock; take the monotonic one (`Now::mono`), or list what it is for in tests/layers/clocks.rs"
        );
    }
    for path in listed {
        assert!(
            found.contains(&path),
            "{path} is listed in tests/layers/clocks.rs, and does not use the wall clock"
        );
    }
}

/// What reads the time of a line takes a zone. `intake::line` has those of the configuration; everything else goes through it.
#[test]
fn lines_are_read_in_the_zones_of_the_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(root, &["src"]).unwrap();
    let reads = |text: &str| program(text).any(|line| line.contains("parse_line"));
    let is_test = |path: &str| {
        ["tests.rs", "testing.rs"].iter().any(|end| path.ends_with(end)) || path.contains("_tests/")
    };
    let found: Vec<&str> = (sources.0.iter())
        .filter(|(path, text)| !path.starts_with("src/syslog/") && !is_test(path) && reads(text))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        found,
        ["src/intake/line.rs"],
        "files that read lines by themselves; use `intake::line::Reading`"
    );
}
