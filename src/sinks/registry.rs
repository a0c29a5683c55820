//! The sinks that there are.

use crate::outcome::result::Outcome;
use crate::sinks::adapter::{PushSink, Pushing};
use crate::sinks::file::JsonLines;
use crate::sinks::http::Web;
use crate::sinks::nagios::pipe::Pipe;
use crate::sinks::nagios::spool::Spool;
use crate::sinks::nsca::Nsca;
use crate::sinks::settings::{NagiosMethod, SinkKind};
use crate::sinks::sink::Sink;
use crate::sinks::{amqp, canopsis};

/// How many outcomes go in one request to most sinks.
const ITEMS: usize = 512;
/// How many go to one that costs a confirmation or a sync each time.
const MANY: usize = 2048;

/// The sink of a configuration.
pub(super) fn sink(kind: &SinkKind) -> Box<dyn Sink> {
    match kind.clone() {
        SinkKind::Nagios(nagios) => match nagios.method {
            NagiosMethod::Pipe(path) => boxed(ITEMS, checks, move || Pipe::new(path.clone())),
            NagiosMethod::Spool(path) => boxed(ITEMS, checks, move || Spool::new(path.clone())),
        },
        SinkKind::Nsca(nsca) => boxed(ITEMS, checks, move || Nsca::new(nsca.clone())),
        SinkKind::Canopsis(config) => boxed(MANY, all, move || canopsis::sink(&config)),
        SinkKind::Amqp(config) => boxed(MANY, all, move || amqp::sink(&config)),
        SinkKind::Icinga2(server, api) => boxed(ITEMS, checks, move || Web::new(&server, api.clone())),
        SinkKind::Alignak(server, api) => boxed(ITEMS, checks, move || Web::new(&server, api.clone())),
        SinkKind::Nrdp(server, api) => boxed(ITEMS, checks, move || Web::new(&server, api.clone())),
        SinkKind::CanopsisHttp(server, api) => boxed(ITEMS, all, move || Web::new(&server, api.clone())),
        SinkKind::Webhook(server, api) => boxed(ITEMS, all, move || Web::new(&server, api.clone())),
        SinkKind::Splunk(server, api) => boxed(ITEMS, all, move || Web::new(&server, api.clone())),
        SinkKind::File(file) => boxed(MANY, all, move || JsonLines::new(file.path.clone())),
    }
}

fn boxed<S: PushSink + 'static>(
    items: usize,
    takes: fn(&Outcome<'_>) -> bool,
    make: impl Fn() -> S + Send + Sync + 'static,
) -> Box<dyn Sink> {
    Box::new(Pushing::new(items, takes, make))
}

fn all(_: &Outcome<'_>) -> bool {
    true
}

/// Whether an outcome is a check result: the server knows no events.
fn checks(outcome: &Outcome<'_>) -> bool {
    matches!(outcome, Outcome::CheckResult(_))
}
