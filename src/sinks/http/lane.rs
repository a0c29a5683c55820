//! A sink that speaks HTTP, and its lanes: one connection each, with one request under way.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::api::{Api, Call, Part, basic, judge};
use super::server::Server;
use crate::http::client::{Answer, Client, HttpError};
use crate::net::Network;
use crate::outcome::record::Record;
use crate::sinks::hints::Hints;
use crate::sinks::settings::Configured;
use crate::sinks::sink::{
    Destination, Fate, Item, Lane, Limits, Pieces, Said, Seat, Sending, Sink, Trouble, Working,
};
use crate::time::clock::{Clock, SystemClock};

/// How long a server may take to acknowledge what it has taken.
const ACK_PATIENCE: Duration = Duration::from_mins(2);
/// How often it is asked.
const ACK_EVERY: Duration = Duration::from_millis(250);

const HINTS: Hints = Hints {
    running: "see whether it runs, and whether the url of this sink is right",
    certificates: "check ca_file, fingerprint and server_name of this sink",
    log: "see its log",
};

/// A sink that speaks HTTP.
#[derive(Debug)]
pub struct Web {
    server: Server,
    api: Arc<dyn Api>,
}

impl Web {
    /// A sink for this server.
    pub fn new(server: Server, api: impl Api) -> Self {
        Web { server, api: Arc::new(api) }
    }

    /// The only end of a sink for this server.
    pub fn end(server: Server, api: impl Api) -> Configured {
        Arc::new(Web::new(server, api))
    }
}

impl Sink for Web {
    fn limits(&self) -> Limits {
        let batch = self.api.batch();
        Limits {
            lanes: self.server.connections,
            items: batch.items,
            bytes: batch.bytes,
            order: batch.order,
            ..Limits::default()
        }
    }

    fn takes_events(&self) -> bool {
        self.api.takes_events()
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let takes = self.api.takes_events() || !record.outcome.is_event();
        takes.then(|| self.api.part(record).map(|part| self.api.pieces(&part)))
    }

    fn sets(&self) -> &'static [&'static str] {
        self.api.sets()
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.server.target.host.clone(), self.server.target.port)
    }

    fn greet(&self, network: Arc<dyn Network>) -> Working<'_> {
        let mut lane = self.lane_on(network, Arc::new(SystemClock));
        Box::pin(async move { lane.greet().await })
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(self.lane_on(seat.network.clone(), seat.clock.clone()))
    }
}

impl Web {
    fn lane_on(&self, network: Arc<dyn Network>, clock: Arc<dyn Clock>) -> WebLane {
        let mut headers = self.server.headers.clone();
        if let Some((user, password)) = &self.server.login {
            headers.insert(AUTHORIZATION, basic(user, password));
        }
        let (target, tls) = (self.server.target.clone(), self.server.tls.clone());
        let client = Client::new(network, target, tls, headers);
        WebLane { api: self.api.clone(), client, clock, session: None }
    }
}

/// One connection.
struct WebLane {
    api: Arc<dyn Api>,
    client: Client,
    clock: Arc<dyn Clock>,
    session: Option<HeaderMap>,
}

impl Lane for WebLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl WebLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let most = self.api.batch().bytes;
        let mut parts = Vec::new();
        // What can never be sent, by its place.
        let mut dead = Vec::new();
        let mut bytes = 0;
        for (place, item) in items.iter().enumerate() {
            let Some(record) = item.record() else {
                dead.push((place, Said::from("the outcome is damaged")));
                continue;
            };
            match self.api.part(&record) {
                Ok(part) => {
                    bytes += part.body.len();
                    if bytes > most && !parts.is_empty() {
                        break;
                    }
                    parts.push(part);
                }
                Err(reason) => dead.push((place, reason)),
            }
        }
        let mut fates = if parts.is_empty() { Vec::new() } else { self.exchange(&parts).await? };
        for (place, reason) in dead {
            fates.insert(place.min(fates.len()), Fate::Dead(reason));
        }
        Ok(fates)
    }

    async fn exchange(&mut self, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
        let call = self.api.call(parts);
        loop {
            let old = self.session.is_some();
            if !old {
                self.session = Some(self.login().await?);
            }
            let answer = match self.request(&call).await {
                Ok(answer) => answer,
                Err(error) => return self.by_status_alone(&error, parts).ok_or_else(|| trouble(&error)),
            };
            match judge(&*self.api, self.client.server(), &answer, parts) {
                Ok(fates) => {
                    if let Some(ticket) = self.api.ticket(&answer) {
                        self.acknowledged(ticket).await?;
                    }
                    return Ok(fates);
                }
                Err(trouble) => {
                    let refused = matches!(trouble, Trouble::Refused(..));
                    if refused {
                        self.session = None;
                    }
                    // A session may have ended; a new one is tried once.
                    if !(refused && old && self.api.login().is_some()) {
                        return Err(trouble);
                    }
                }
            }
        }
    }

    async fn greet(&mut self) -> Result<(), Trouble> {
        self.session = Some(self.login().await?);
        let Some(call) = self.api.greeting() else { return Ok(()) };
        let answer = self.call(&call).await?;
        let hint = match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "check user, password or token of this sink",
            StatusCode::NOT_FOUND => "check the url of this sink",
            _ => return Ok(()),
        };
        let what = format!("{} answered {}: {}", self.client.server(), answer.status, answer.excerpt());
        Err(Trouble::Refused(what.into(), hint))
    }

    async fn login(&mut self) -> Result<HeaderMap, Trouble> {
        let Some(call) = self.api.login() else { return Ok(HeaderMap::new()) };
        let answer = self.call(&call).await?;
        self.api.session(&answer).map_err(|reason| {
            let what = format!("{} refuses the login: {reason}", self.client.server());
            Trouble::Refused(what.into(), "check user and password of this sink")
        })
    }

    async fn acknowledged(&mut self, ticket: u64) -> Result<(), Trouble> {
        let start = self.clock.now().mono;
        while let Some(call) = self.api.ask(ticket) {
            let answer = self.call(&call).await?;
            let unanswered = |what: String| Trouble::Unanswered(what.into(), "see its log");
            if !answer.status.is_success() {
                let server = self.client.server();
                return Err(unanswered(format!(
                    "{server} answered {} when asked for acknowledgements",
                    answer.status
                )));
            }
            if self.api.acknowledged(&answer, ticket) {
                break;
            }
            if self.clock.now().mono.since(start) >= ACK_PATIENCE {
                let minutes = ACK_PATIENCE.as_secs() / 60;
                let server = self.client.server();
                return Err(unanswered(format!("{server} has not acknowledged for {minutes} minutes")));
            }
            tokio::time::sleep(ACK_EVERY).await;
        }
        Ok(())
    }

    /// What became of outcomes whose answer has a body that cannot be read, such as one that a server ends without the end of
    /// TLS: taken, where the API asks for no body. None where it does.
    fn by_status_alone(&self, error: &HttpError, parts: &[Part]) -> Option<Vec<Fate>> {
        let HttpError::Answer(_, status, _) = error else { return None };
        let answer = Answer { status: *status, retry_after: None, body: Bytes::new() };
        let fates = judge(&*self.api, self.client.server(), &answer, parts).ok()?;
        fates.iter().all(|fate| matches!(fate, Fate::Taken | Fate::Cut)).then_some(fates)
    }

    async fn call(&mut self, call: &Call) -> Result<Answer, Trouble> {
        self.request(call).await.map_err(|error| trouble(&error))
    }

    async fn request(&mut self, call: &Call) -> Result<Answer, HttpError> {
        let mut headers = call.headers.clone();
        if let Some(session) = &self.session {
            headers.extend(session.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        self.client.send(&call.method, &call.path, &headers, call.body.clone()).await
    }
}

/// What it means for a request that there is no answer.
pub(in crate::sinks) fn trouble(error: &HttpError) -> Trouble {
    let said = Said::from(error.to_string());
    match error {
        // One patience is for the way there and for the answer.
        HttpError::Failed(server, failure) if failure.is_late() => HINTS.unanswered(failure, server),
        HttpError::Failed(server, failure) => HINTS.trouble(failure, server),
        // The sinks look at paths before they send.
        HttpError::Path(_) => Trouble::Refused(said, "check the url of this sink"),
        HttpError::Broken(..) | HttpError::Answer(..) => Trouble::Unanswered(said, HINTS.log),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use hyper::Method;
    use hyper::header::HeaderValue;

    use super::*;
    use crate::settings::url::Target;
    use crate::sinks::http::answers::{Means, Row};
    use crate::sinks::http::api::Batch;
    use crate::sinks::sink::Order;
    use crate::sinks::testing::{item, seat};

    /// One line an outcome, up to 16 bytes a request; a login, and acknowledgements by ticket.
    #[derive(Debug)]
    struct Lines;

    impl Api for Lines {
        fn batch(&self) -> Batch {
            Batch { items: 10, bytes: 16, order: Order::Free }
        }

        fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
            match &*record.outcome.common().output {
                "never" => Err("not this one".into()),
                output => Ok(Part { body: format!("{output}\n").into_bytes(), ..Part::default() }),
            }
        }

        fn call(&self, parts: &[Part]) -> Call {
            let body: Vec<u8> = parts.iter().flat_map(|part| part.body.clone()).collect();
            Call::json(Method::POST, "/lines", body)
        }

        fn answers(&self) -> &'static [Row] {
            const { &[Row { status: 200..=200, body: "ok*", means: Means::Taken, source: "here" }] }
        }

        fn says(&self, answer: &Answer) -> String {
            answer.excerpt()
        }

        fn login(&self) -> Option<Call> {
            Some(Call::json(Method::POST, "/login", Vec::new()))
        }

        fn session(&self, answer: &Answer) -> Result<HeaderMap, Said> {
            let token = HeaderValue::from_str(&answer.excerpt()).map_err(|_| Said::from("no token"))?;
            Ok(HeaderMap::from_iter([(AUTHORIZATION, token)]))
        }

        fn ticket(&self, answer: &Answer) -> Option<u64> {
            answer.excerpt().strip_prefix("ok ")?.parse().ok()
        }

        fn ask(&self, ticket: u64) -> Option<Call> {
            Some(Call::json(Method::GET, &format!("/ticket/{ticket}"), Vec::new()))
        }

        fn acknowledged(&self, answer: &Answer, _ticket: u64) -> bool {
            answer.excerpt() == "yes"
        }
    }

    /// A server that answers in turn, and what it was asked: path, token, body. With a status of 0 it closes.
    fn server(answers: &'static [(u16, &'static str)]) -> (Target, Receiver<(String, String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (heard, hears) = channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for (status, body) in answers {
                let (mut head, mut token, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut head).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    match line.trim().split_once(": ") {
                        Some(("authorization", value)) => value.clone_into(&mut token),
                        Some(("content-length", value)) => length = value.parse().unwrap(),
                        Some(_) => {}
                        None => break,
                    }
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                heard.send((path, token, String::from_utf8(content).unwrap())).unwrap();
                if *status == 0 {
                    return;
                }
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
            }
        });
        (target, hears)
    }

    fn send(lane: &mut WebLane, outputs: &[&str]) -> Result<Vec<Fate>, Trouble> {
        let items: Vec<Item> = (0..).zip(outputs).map(|(n, output)| item(n, "h", None, output)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lane.deliver(&items))
    }

    fn lane(target: Target) -> WebLane {
        let (seat, _) = seat();
        let client = Client::new(seat.network, target, None, HeaderMap::new());
        WebLane { api: Arc::new(Lines), client, clock: seat.clock, session: None }
    }

    fn heard(path: &str, token: &str, body: &str) -> (String, String, String) {
        (path.to_owned(), token.to_owned(), body.to_owned())
    }

    #[test]
    fn what_cannot_be_sent_is_dead_and_what_does_not_fit_comes_later() {
        let (target, hears) = server(&[(200, "t1"), (200, "ok")]);
        let fates = send(&mut lane(target), &["never", "one", "never", "two", "never", "a longer three"]);
        let dead = Fate::Dead("not this one".into());
        let expected = [dead.clone(), Fate::Taken, dead.clone(), Fate::Taken, dead];
        assert_eq!(fates.unwrap(), expected, "the last one does not fit");
        assert_eq!(hears.recv().unwrap(), heard("/login", "", ""));
        assert_eq!(hears.recv().unwrap(), heard("/lines", "t1", "one\ntwo\n"));
        let (nowhere, _) = server(&[]);
        assert_eq!(send(&mut lane(nowhere), &["never"]).unwrap().len(), 1, "without a request");
        let (target, _hears) = server(&[(200, "t1"), (200, "ok")]);
        assert_eq!(send(&mut lane(target), &["longer than any request"]), Ok(vec![Fate::Taken]));
    }

    #[test]
    fn a_session_that_has_ended_is_begun_again_once() {
        for taken in [true, false] {
            let (target, hears) = server(if taken {
                &[(401, ""), (200, "t2"), (200, "ok")]
            } else {
                &[(401, ""), (200, "t2"), (401, "")]
            });
            let mut lane = lane(target);
            lane.session = Some(HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("old"))]));
            let sent = send(&mut lane, &["one"]);
            assert_eq!(sent == Ok(vec![Fate::Taken]), taken, "{sent:?}");
            assert!(taken || matches!(sent, Err(Trouble::Refused(..))));
            assert_eq!(lane.session.is_some(), taken);
            let tokens: Vec<String> = hears.iter().take(3).map(|(_, token, _)| token).collect();
            assert_eq!(tokens, ["old", "", "t2"]);
        }
    }

    #[test]
    fn what_is_acknowledged_later_is_asked_for() {
        let (target, hears) = server(&[(200, "t1"), (200, "ok 7"), (200, "no"), (200, "yes")]);
        assert_eq!(send(&mut lane(target), &["one"]), Ok(vec![Fate::Taken]));
        let paths: Vec<String> = hears.iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, ["/login", "/lines", "/ticket/7", "/ticket/7"]);
    }

    #[test]
    fn a_server_that_is_away_or_breaks_off() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = Target::parse(&format!("http://{gone}/")).unwrap();
        assert!(matches!(send(&mut lane(target), &["one"]), Err(Trouble::Away(..))));
        let (target, _hears) = server(&[(200, "t1"), (0, "")]);
        assert!(matches!(send(&mut lane(target), &["one"]), Err(Trouble::Unanswered(..))));
    }

    /// The same without login, for which a status is enough.
    #[derive(Debug)]
    struct Statuses;

    impl Api for Statuses {
        fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
            Lines.part(record)
        }

        fn call(&self, parts: &[Part]) -> Call {
            Lines.call(parts)
        }

        fn answers(&self) -> &'static [Row] {
            const { &[Row { status: 200..=299, body: "*", means: Means::Taken, source: "here" }] }
        }

        fn says(&self, _answer: &Answer) -> String {
            String::new()
        }
    }

    /// An answer whose end never comes is one, where its status says all. Where the body has to say it, it is none.
    #[test]
    fn an_answer_that_is_cut_off_counts_where_its_status_is_enough() {
        let answered = |api: Arc<dyn Api>, status: u16, body: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                let mut chunk = [0; 2048];
                while !asked.ends_with(b"one\n") {
                    let read = stream.read(&mut chunk).unwrap();
                    asked.extend_from_slice(&chunk[..read]);
                }
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\n{body}").unwrap();
            });
            let mut lane = WebLane { api, session: Some(HeaderMap::new()), ..lane(target) };
            send(&mut lane, &["one"])
        };
        for body in ["", "ok, and so"] {
            assert_eq!(answered(Arc::new(Statuses), 201, body).unwrap(), [Fate::Taken]);
            for status in [400, 500] {
                let unknown = answered(Arc::new(Statuses), status, body);
                assert!(matches!(unknown, Err(Trouble::Unanswered(..))), "{status}: {unknown:?}");
            }
            let unknown = answered(Arc::new(Lines), 200, body);
            assert!(matches!(unknown, Err(Trouble::Unanswered(..))), "{unknown:?}");
        }
    }
}
