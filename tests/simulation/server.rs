//! Servers that sinks deliver to over HTTP. They take what they are sent and say so as their authors have it, or they
//! misbehave.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::history::History;
use crate::network::SimStream;
use crate::outcome::{Outcome, named_in};
use crate::place::{Kind, Nature, Place};
use crate::random::Random;

/// How a server behaves at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mood {
    /// From how many requests on one is treated badly; 0 for none.
    pub bad: u64,
    /// The longest time that it takes to answer, in milliseconds.
    pub slow: u64,
    /// Whether it answers everything with an error.
    pub down: bool,
    /// From how many outcomes on it puts one off for now, whatever it does with the others of the request; 0 for none.
    pub picky: u64,
}

/// A server.
#[derive(Clone)]
pub struct Server {
    pub place: Rc<RefCell<Place>>,
    pub mood: Rc<RefCell<Mood>>,
    pub history: History,
    pub random: Random,
}

/// What a server does with a request as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// As it should.
    Right,
    /// An error of the server, before it has looked at the request.
    Error,
    /// It asks to wait.
    Busy,
    /// A page of something that stands before it.
    Page,
    /// It closes before it answers; whether it has processed the request is drawn.
    Close,
    /// It answers in part and closes.
    Partial,
    /// It resets the connection.
    Reset,
    /// It does not answer.
    Hang,
}

impl Server {
    /// Serves one connection to its end.
    pub async fn serve(self, mut stream: SimStream) {
        while let Some(request) = read_request(&mut stream).await {
            let (treatment, kills) = (self.treatment(), self.place.borrow().kills());
            let outcomes = named_in(&request.body);
            let silenced = outcomes.iter().any(|one| self.place.borrow().nature(*one) == Nature::Silences);
            let names: Vec<String> = outcomes.iter().map(ToString::to_string).collect();
            let host = self.place.borrow().host.clone();
            self.history.say(&format!("{host} gets {} {treatment:?}", names.join(" ")));
            if silenced || treatment == Treatment::Reset {
                return stream.reset();
            }
            let processes = match treatment {
                Treatment::Right => true,
                Treatment::Close | Treatment::Partial => self.random.once_in(2),
                Treatment::Hang => self.random.once_in(3),
                _ => false,
            };
            let answer = if processes {
                self.process(&request, &outcomes)
            } else {
                Answer { taken: Vec::new(), ..self.refuse(treatment) }
            };
            let mood = *self.mood.borrow();
            if mood.slow > 0 {
                sleep(Duration::from_millis(self.random.below(mood.slow + 1))).await;
            }
            let sent = match treatment {
                Treatment::Close => false,
                Treatment::Hang => {
                    // Until the client gives up.
                    let _ = stream.read(&mut [0]).await;
                    false
                }
                Treatment::Partial => {
                    let bytes = answer.bytes();
                    let part = self.random.below(bytes.len() as u64) as usize;
                    let _ = stream.write_all(&bytes[..part]).await;
                    false
                }
                _ => stream.write_all(&answer.bytes()).await.is_ok(),
            };
            if !sent {
                return;
            }
            if mood.slow > 0 {
                self.history.say(&format!("{host} has answered {}", names.join(" ")));
            }
            self.place.borrow_mut().told_at_last(self.history.now(), &answer.taken, kills);
        }
    }

    fn treatment(&self) -> Treatment {
        let mood = *self.mood.borrow();
        if mood.down {
            return *self.random.pick(&[Treatment::Error, Treatment::Busy, Treatment::Error]);
        }
        if mood.bad == 0 || !self.random.once_in(mood.bad) {
            return Treatment::Right;
        }
        *self.random.pick(&[
            Treatment::Error,
            Treatment::Busy,
            Treatment::Page,
            Treatment::Close,
            Treatment::Partial,
            Treatment::Reset,
            Treatment::Hang,
        ])
    }

    fn refuse(&self, treatment: Treatment) -> Answer {
        let page = "<html>please log in</html>".to_owned();
        // Whoever has a webhook has no words of his own: any 2xx is his yes.
        let web = self.place.borrow().kind == Kind::Webhook;
        match treatment {
            Treatment::Busy => {
                Answer { retry_after: Some(self.random.range(1, 20)), ..Answer::new(503, page) }
            }
            Treatment::Page if web => Answer::new(302, page),
            Treatment::Page => Answer::new(200, page),
            _ => Answer::new(500, page),
        }
    }

    fn process(&self, request: &Request, outcomes: &[Outcome]) -> Answer {
        let kind = self.place.borrow().kind;
        match kind {
            Kind::Canopsis => self.each(request),
            Kind::Elastic => self.items(request),
            Kind::Nrdp | Kind::Splunk => self.all_or_none(kind, outcomes),
            _ => self.single(kind, outcomes),
        }
    }

    /// One outcome in a request.
    fn single(&self, kind: Kind, outcomes: &[Outcome]) -> Answer {
        let Some(outcome) = outcomes.first().copied() else { return Answer::new(400, "nothing".into()) };
        match self.nature(outcome) {
            Nature::Good => {
                self.take(&[outcome]);
                let body = match kind {
                    Kind::Icinga2 => {
                        json!({ "results": [{ "code": 200.0, "status": "processed" }] }).to_string()
                    }
                    Kind::Alignak => json!({ "_status": "OK", "_result": ["done"] }).to_string(),
                    _ => String::new(),
                };
                Answer { taken: vec![outcome], ..Answer::new(200, body) }
            }
            Nature::Rejected => match kind {
                Kind::Icinga2 => {
                    let status = format!("refused {outcome}");
                    Answer::new(200, json!({ "results": [{ "code": 404.0, "status": status }] }).to_string())
                }
                Kind::Alignak => {
                    let issue = format!("refused {outcome}: does not exist");
                    Answer::new(200, json!({ "_status": "ERR", "_issues": [issue] }).to_string())
                }
                _ => Answer::new(422, format!("refused {outcome}")),
            },
            _ => match kind {
                Kind::Icinga2 => {
                    Answer::new(200, json!({ "results": [{ "code": 500.0, "status": "no" }] }).to_string())
                }
                Kind::Alignak => Answer::new(
                    200,
                    json!({ "_status": "ERR", "_issues": ["Alignak backend error"] }).to_string(),
                ),
                _ => Answer::new(500, "not now".into()),
            },
        }
    }

    /// A request that is taken or refused as a whole.
    fn all_or_none(&self, kind: Kind, outcomes: &[Outcome]) -> Answer {
        let natures: Vec<(Outcome, Nature)> = outcomes.iter().map(|one| (*one, self.nature(*one))).collect();
        if let Some((outcome, _)) = natures.iter().find(|(_, nature)| *nature == Nature::Rejected) {
            return match kind {
                Kind::Nrdp => {
                    let message = format!("BAD JSON refused {outcome}");
                    Answer::new(200, json!({ "result": { "status": -1, "message": message } }).to_string())
                }
                _ => Answer::new(400, json!({ "text": format!("refused {outcome}"), "code": 6 }).to_string()),
            };
        }
        if natures.iter().any(|(_, nature)| *nature != Nature::Good) {
            return Answer::new(500, "not now".into());
        }
        self.take(outcomes);
        let body = match kind {
            Kind::Nrdp => json!({ "result": { "status": 0, "message": "OK" } }),
            _ => json!({ "text": "Success", "code": 0 }),
        };
        Answer { taken: outcomes.to_vec(), ..Answer::new(200, body.to_string()) }
    }

    /// A request whose answer says what becomes of each outcome.
    fn each(&self, request: &Request) -> Answer {
        let events: Vec<Value> = serde_json::from_slice(&request.body).unwrap_or_default();
        let (mut sent, mut retry, mut failed, mut taken) = (vec![], vec![], vec![], vec![]);
        for event in events {
            let Some(outcome) = named_in(event.to_string().as_bytes()).first().copied() else { continue };
            match self.nature(outcome) {
                Nature::Good => {
                    self.take(&[outcome]);
                    taken.push(outcome);
                    sent.push(event);
                }
                Nature::Rejected => failed.push(event),
                _ => retry.push(event),
            }
        }
        let body = json!({ "sent_events": sent, "retry_events": retry, "failed_events": failed });
        Answer { taken, ..Answer::new(200, body.to_string()) }
    }

    /// A request of documents, two lines each, whose answer has an item for each.
    fn items(&self, request: &Request) -> Answer {
        let (mut items, mut taken) = (vec![], vec![]);
        for document in request.body.split(|octet| *octet == b'\n').skip(1).step_by(2) {
            let Some(outcome) = named_in(document).first().copied() else { continue };
            let (status, kind) = match self.nature(outcome) {
                Nature::Good => {
                    // It has a document of this id already, or has it now: who sends it again does so without need.
                    let known = self.place.borrow().times.contains_key(&outcome);
                    self.take(&[outcome]);
                    taken.push(outcome);
                    if known { (409, "version_conflict_engine_exception") } else { (201, "") }
                }
                Nature::Rejected => (400, "mapper_parsing_exception"),
                _ => (429, "es_rejected_execution_exception"),
            };
            let mut item = json!({ "status": status });
            if !kind.is_empty() {
                item["error"] = json!({ "type": kind, "reason": format!("refused {outcome}") });
            }
            items.push(json!({ "create": item }));
        }
        Answer { taken, ..Answer::new(200, json!({ "items": items }).to_string()) }
    }

    /// What it makes of an outcome now.
    pub fn nature(&self, outcome: Outcome) -> Nature {
        let (nature, picky) = (self.place.borrow_mut().nature_now(outcome), self.mood.borrow().picky);
        if nature == Nature::Good && picky > 0 && self.random.once_in(picky) {
            return Nature::Later(1);
        }
        nature
    }

    fn take(&self, outcomes: &[Outcome]) {
        let mut place = self.place.borrow_mut();
        for outcome in outcomes {
            place.take_silently(self.history.now(), *outcome);
        }
    }
}

/// An answer of a server.
struct Answer {
    status: u16,
    body: String,
    retry_after: Option<u64>,
    /// What it says that it has taken.
    taken: Vec<Outcome>,
}

impl Answer {
    fn new(status: u16, body: String) -> Self {
        Answer { status, body, retry_after: None, taken: Vec::new() }
    }

    fn bytes(&self) -> Vec<u8> {
        let wait = self.retry_after.map_or_else(String::new, |wait| format!("Retry-After: {wait}\r\n"));
        let (status, length) = (self.status, self.body.len());
        format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{wait}\r\n{}", self.body).into_bytes()
    }
}

struct Request {
    body: Vec<u8>,
}

/// The next request; none at the end of the connection.
async fn read_request(stream: &mut SimStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { body: bytes[head..head + length].to_vec() })
}
