//! Tickets: one is looked for; then it is opened, updated or closed, by the state of the outcome. A crash, or an answer that is lost, repeats
//! the search, so that no second ticket is opened while the first can be found.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, StatusCode};

use super::answer::{found, is_pointer};
use super::hook::{Format, Webhook, valid_path};
use crate::http::client::{Answer, Client};
use crate::outcome::record::Record;
use crate::sinks::fields::Template;
use crate::sinks::http::api::{Part, basic, judge};
use crate::sinks::http::escape::percent;
use crate::sinks::http::lane::trouble;
use crate::sinks::http::server::Server;
use crate::sinks::piece::{self, Piece};
use crate::sinks::settings::Options;
use crate::sinks::sink::{
    Destination, Fate, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble,
};

/// Stands for an id where none is known, to show a request.
const SOME_ID: &str = "ID";

/// A request.
#[derive(Debug, Clone)]
struct Step {
    method: Method,
    path: Option<Template>,
    body: Option<Template>,
}

/// The requests.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    find: Step,
    /// Where the id is in the answer to it.
    id: String,
    open: Step,
    update: Option<Step>,
    close: Option<Step>,
}

/// A sink that keeps tickets.
#[derive(Debug)]
pub(super) struct TicketSink {
    pub(super) server: Server,
    /// What the requests have in common, and what their answers mean.
    pub(super) hook: Webhook,
    pub(super) steps: Arc<Steps>,
}

/// A request for an outcome.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    method: Method,
    path: String,
    body: String,
}

/// Reads `find`, `open`, `update` and `close`: none if there are none, `Some(None)` if something is wrong.
pub(super) fn read(options: &mut Options<'_, '_, '_>, format: Format) -> Option<Option<Steps>> {
    let mut pointer = None;
    let find = options.within("find", |options| {
        let id = options.required("id", "/result/0/sys_id");
        if let Some(id) = id.as_ref().filter(|id| !is_pointer(id)) {
            let hint = Some("write a pointer such as \"/result/0/sys_id\" (RFC 6901)");
            options.report_at(&id.span, format!("'{}' is no pointer", id.value.escape_debug()), hint);
        }
        pointer = id.map(|id| id.value);
        if options.get("path").is_none() {
            options.missing("path", "?query=correlation_id%3D{{ key }}");
        }
        step(options, Method::GET, format)
    });
    let open = options.within("open", |options| step(options, Method::POST, format));
    let update = options.within("update", |options| step(options, Method::PATCH, format));
    let close = options.within("close", |options| step(options, Method::PATCH, format));
    if find.is_none() && open.is_none() && update.is_none() && close.is_none() {
        return None;
    }
    if find.is_none() || open.is_none() {
        options.report("a sink for tickets needs 'find' and 'open'", "add [sinks.find] and [sinks.open]");
    }
    if format.takes_many() {
        options.report("a ticket has a request of its own", "remove format, or the tables of the ticket");
    }
    for key in ["path", "body"] {
        if options.get(key).is_some() {
            options.report(
                format!("'{key}' has no effect beside 'find'"),
                "give it in the tables of the ticket",
            );
        }
    }
    let (find, open) = (find.flatten(), open.flatten());
    let steps = || {
        Some(Steps {
            find: find?,
            id: pointer?,
            open: open?,
            update: update.flatten(),
            close: close.flatten(),
        })
    };
    Some(steps())
}

fn step(options: &mut Options<'_, '_, '_>, default: Method, format: Format) -> Option<Step> {
    let method = method(options, default);
    let path = options.template_of_found("path", percent);
    let body = options.template_of_found("body", format.escape());
    Some(Step { method: method?, path, body })
}

/// `method`
pub(super) fn method(options: &mut Options<'_, '_, '_>, default: Method) -> Option<Method> {
    options.string("method").map_or(Some(default), |text| {
        let known = [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE];
        let method = known.into_iter().find(|method| method.as_str() == text.value);
        if method.is_none() {
            let hint = Some("one of POST, PUT, PATCH, GET, DELETE");
            options.report_at(&text.span, format!("'{}' is no method", text.value), hint);
        }
        method
    })
}

impl Step {
    fn asked(&self, hook: &Webhook, record: &Record<'_>, found: Option<&str>) -> Result<Asked, Said> {
        let rendered = |key: &str, template: Option<&Template>| {
            let text = template.map_or(Ok(String::new()), |text| text.render_with(record, found));
            text.map_err(|error| Said::from(format!("'{key}' cannot be computed: {error}")))
        };
        let (path, body) = (rendered("path", self.path.as_ref())?, rendered("body", self.body.as_ref())?);
        valid_path(&path)?;
        let body = if body.is_empty() { body } else { hook.wrapped(body) };
        Ok(Asked { method: self.method.clone(), path, body })
    }
}

impl Steps {
    /// What follows the search; none if nothing does.
    fn next(&self, record: &Record<'_>, found: Option<&str>) -> Option<&Step> {
        match (record.outcome.common().state.is_good(), found) {
            (true, None) => None,
            (true, Some(_)) => self.close.as_ref(),
            (false, None) => Some(&self.open),
            (false, Some(_)) => self.update.as_ref(),
        }
    }
}

impl Sink for TicketSink {
    fn limits(&self) -> Limits {
        Limits { lanes: self.server.connections, order: Order::OneByOne, ..Limits::default() }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let steps = &self.steps;
        // An ok is sent only where there is a ticket.
        let found = Some(SOME_ID).filter(|_| record.outcome.common().state.is_good());
        let next = steps.next(record, found);
        let asked = |step: &Step, found| step.asked(&self.hook, record, found);
        let both = asked(&steps.find, None).and_then(|find| {
            let next = next.map(|step| asked(step, found)).transpose()?;
            Ok([find].into_iter().chain(next))
        });
        let format = self.hook.piece();
        Some(both.map(|both| {
            let pieces = |Asked { method, path, body }: Asked| {
                let body = Some(body).filter(|body| !body.is_empty()).map(|body| Piece::new(format, body));
                let head = [
                    Piece::new(piece::Format::Words, method.as_str()),
                    Piece::new(piece::Format::Path, path),
                ];
                head.into_iter().chain(body)
            };
            both.flat_map(pieces).collect()
        }))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.server.target.host.clone(), self.server.target.port)
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let mut headers = self.server.headers.clone();
        if let Some((user, password)) = &self.server.login {
            headers.insert(AUTHORIZATION, basic(user, password));
        }
        let (target, tls) = (self.server.target.clone(), self.server.tls.clone());
        let client = Client::new(seat.network.clone(), target, tls, headers);
        Box::new(TicketLane { client, hook: self.hook.clone(), steps: self.steps.clone() })
    }
}

/// One connection.
struct TicketLane {
    client: Client,
    hook: Webhook,
    steps: Arc<Steps>,
}

impl Lane for TicketLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl TicketLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let Some(item) = items.first() else { return Ok(Vec::new()) };
        let Some(record) = item.record() else {
            return Ok(vec![Fate::Dead("the outcome is damaged".into())]);
        };
        let find = match self.steps.find.asked(&self.hook, &record, None) {
            Ok(find) => find,
            Err(reason) => return Ok(vec![Fate::Dead(reason)]),
        };
        let answer = self.ask(&find).await?;
        let part = Part { id: record.id(), ..Part::default() };
        let found = if answer.status == StatusCode::NOT_FOUND {
            None
        } else {
            let fates = judge(&self.hook, self.client.server(), &answer, std::slice::from_ref(&part))?;
            if fates != [Fate::Taken] {
                return Ok(fates);
            }
            match found(&answer, &self.steps.id) {
                Ok(found) => found,
                Err(why) => {
                    // The search is repeated, and nothing is opened meanwhile.
                    let what = format!("{} answered the search with {why}", self.client.server());
                    return Ok(vec![Fate::Later(what.into())]);
                }
            }
        };
        let steps = self.steps.clone();
        let Some(step) = steps.next(&record, found.as_deref()) else { return Ok(vec![Fate::Taken]) };
        match step.asked(&self.hook, &record, found.as_deref()) {
            Ok(asked) => {
                let answer = self.ask(&asked).await?;
                judge(&self.hook, self.client.server(), &answer, &[part])
            }
            Err(reason) => Ok(vec![Fate::Dead(reason)]),
        }
    }

    async fn ask(&mut self, asked: &Asked) -> Result<Answer, Trouble> {
        let Asked { method, path, body } = asked;
        let headers = if body.is_empty() { HeaderMap::new() } else { self.hook.headers(body.as_bytes()) };
        let answer = self.client.send(method, path, &headers, body.clone().into()).await;
        answer.map_err(|error| trouble(&error))
    }
}
