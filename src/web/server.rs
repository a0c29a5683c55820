//! `[http] listen`: metrics, and whether the daemon is alive and ready.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, ETAG, HOST, HeaderName,
    HeaderValue, IF_NONE_MATCH, ORIGIN, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::api::answer::{Answer, Body};
use super::api::desk::Desk;
use super::api::problem::Problem;
use super::api::serve::{self as api, Door};
use super::stall::Stall;
use super::{host, metrics, outcomes, site};
use crate::inbound::accept::{Acceptor, Next};
use crate::inbound::places::{Limits, Place, Places};
use crate::intake::tls;
use crate::net::Stream;
use crate::peer::Peer;
use crate::settings::tls_server::Server;
use crate::status::Status;
use crate::time::log_limit::Kind;

/// How many connections are served at once, beside those that have become streams: of these the API lets in so many by itself.
const MOST: usize = 64;
/// How many of them one address may have: browsers open some, and keep them.
const MOST_OF_ONE: usize = 20;
/// How long the head of a request may take, from the end of the answer before it on.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection without a stream may be open. Clients open another one then.
const OPEN: Duration = Duration::from_mins(2);
/// How long it may take to end then: to read what was begun, and to take the answer.
const END: Duration = Duration::from_secs(20);
/// The same when the daemon stops.
const STOP: Duration = Duration::from_secs(1);
/// The longest head of a request, in octets.
const LONGEST_HEAD: usize = 16 * 1024;
/// What a page may load and do: only what this server gives, and no text that becomes a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// How long the journal may keep `/ready` waiting.
const READY: Duration = Duration::from_secs(3);

/// Why another machine gets nothing.
const PLAIN: &str = "tokens would come in clear text: give [http] tls = { cert_file, key_file }, ask over a proxy with TLS on that \
                     machine, or set plaintext = true where the network is trusted";

/// What is served, and to whom.
#[derive(Debug)]
pub struct Site {
    status: Arc<Status>,
    desk: Arc<Desk>,
    places: Arc<Places>,
    rules: Mutex<Arc<Rules>>,
}

/// To whom it answers.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What is shown to clients; none if nothing is encrypted.
    pub tls: Option<Arc<Server>>,
    /// Names of this machine that requests may use, beside addresses and localhost.
    pub hosts: Vec<String>,
    /// Whether other machines get the API and the console without encryption.
    pub plaintext: bool,
    /// Origins of pages of other servers that may use the API with a token.
    pub origins: Vec<String>,
    /// Whether `/metrics/outcomes` has what is not ok.
    pub outcomes: bool,
}

impl Site {
    /// Serves a status.
    pub fn new(desk: Arc<Desk>) -> Self {
        let places = Places::new(Limits { total: MOST, per_address: MOST_OF_ONE });
        Site { status: desk.status.clone(), desk, places, rules: Mutex::default() }
    }

    /// What routes of the API reach.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Sets to whom it answers.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers until told to stop.
pub async fn serve(listener: Arc<std::net::TcpListener>, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    let name = listener.local_addr().map_or("HTTP".to_owned(), |address| format!("HTTP {address}/tcp"));
    let listener = match listener.try_clone().and_then(TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve HTTP"),
    };
    let (status, stop_of_streams) = (&site.status, stop.clone());
    let acceptor = Acceptor::new(&name, status.shared.accepted.clone(), status.clock.clone());
    let end = async {
        // An error: nobody can tell it any more.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let start = |stream: TcpStream, peer: Peer| {
        match site.places.take(peer, status.clock.now().mono) {
            Ok(taken) => {
                drop(tokio::spawn(serve_one(stream, taken.place, site.clone(), stop_of_streams.clone())));
            }
            Err(refusal) => acceptor.refused(peer, &refusal.to_string()),
        }
        Next::Go
    };
    acceptor.run(&listener, end, start).await;
}

/// Begins TLS, if it is to be spoken, with the certificate that is in force now.
async fn begun(stream: TcpStream, peer: IpAddr, site: &Site) -> Option<(Box<dyn Stream>, bool)> {
    let Some(server) = site.rules().tls.clone() else { return Some((Box::new(stream), false)) };
    match tls::begin(&server, Box::new(stream)).await {
        Ok((stream, _)) => Some((stream, true)),
        Err(failure) => {
            let shared = &site.status.shared;
            shared.stats.tls_failed.add(1);
            let now = site.status.clock.now().mono;
            if let Some(suppressed) = shared.limiter.allow_for(Kind::Tls, ("web", failure.to_string()), now) {
                tracing::warn!(from = %peer, suppressed, "a connection of the web server was closed, as TLS did not begin: {failure}");
            }
            None
        }
    }
}

/// The requests of a connection and their answers.
async fn serve_one(stream: TcpStream, place: Place, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    let (mut displaced, mut place) = (place.displaced(), Some(place));
    let Ok(peer) = stream.peer_addr() else { return };
    let address = peer.ip().to_canonical();
    let begun = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return,
        _ = displaced.wait_for(|displaced| *displaced) => return,
        begun = begun(stream, address, &site) => begun,
    };
    let Some((stream, secure)) = begun else { return };
    let door = Door { address, secure };
    let (begins, mut streams) = watch::channel(false);
    let service = service_fn(|request| {
        let answer = answer(request, site.clone(), door);
        let begins = &begins;
        async move {
            let answer = answer.await;
            if matches!(answer.body(), Body::Pieces(_)) {
                begins.send_replace(true);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let connection = server.serve_connection(TokioIo::new(Stall::new(stream)), service).with_upgrades();
    tokio::pin!(connection);
    let (mut until, mut ending, mut stops) = (Instant::now() + OPEN, false, false);
    loop {
        tokio::select! {
            biased;
            // The sender is gone only when the server is.
            _ = stop.wait_for(|stop| *stop), if !stops => {
                connection.as_mut().graceful_shutdown();
                (until, ending, stops) = (Instant::now() + STOP, true, true);
            }
            _ = displaced.wait_for(|displaced| *displaced), if place.is_some() => return,
            _ = streams.wait_for(|streams| *streams), if place.is_some() => {
                // Its place is for requests. Without one it brings no further ones.
                place = None;
                connection.as_mut().graceful_shutdown();
            }
            // What goes wrong with a client is its own trouble.
            _ = connection.as_mut() => return,
            () = sleep_until(until) => {
                if place.is_none() && !stops {
                    until = Instant::now() + OPEN;
                    continue;
                }
                if ending {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                (until, ending) = (Instant::now() + END, true);
            }
        }
    }
}

async fn answer(request: Request<Incoming>, site: Arc<Site>, door: Door) -> Response<Body> {
    let answer = answer_to(request, site, door).await;
    let mut response = answer.into_response();
    let fields = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        fields.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(CONTENT_SECURITY_POLICY, POLICY);
    response
}

async fn answer_to(request: Request<Incoming>, site: Arc<Site>, door: Door) -> Answer {
    let named = host::of(
        request.uri().authority().map(hyper::http::uri::Authority::as_str),
        request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes),
    );
    let rules = site.rules();
    if let Err(error) = named.and_then(|host| host::check(host, &rules.hosts)) {
        return Answer::text(error.status(), format!("{error}\n"));
    }
    let path = request.uri().path();
    let is_open = matches!(path, "/metrics" | "/metrics/outcomes" | "/api/metrics" | "/alive" | "/ready");
    if !is_open && !rules.plaintext && !door.secure && !door.address.is_loopback() {
        return Problem::new(StatusCode::FORBIDDEN, PLAIN).into();
    }
    if path.starts_with("/api/") {
        return cors(request, &site, &rules, door).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    let status = site.status.clone();
    match path {
        "/metrics" => metrics(status).await,
        "/metrics/outcomes" if rules.outcomes => problems(site.desk.clone()).await,
        "/alive" => Answer::text(StatusCode::OK, "alive\n".to_owned()),
        "/ready" => ready(status).await,
        path => file(path, request.headers().get(IF_NONE_MATCH)),
    }
}

/// The answer of the API, with what lets a page of another server read it, if its origin is one of those that may. Cookies are never
/// taken from it.
async fn cors(mut request: Request<Incoming>, site: &Site, rules: &Rules, door: Door) -> Answer {
    let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let known = origin.filter(|origin| rules.origins.iter().any(|known| known == origin)).map(str::to_owned);
    let Some(origin) = known else { return api::answer(request, site.desk.clone(), door).await };
    let answer = if request.method() == Method::OPTIONS {
        Answer::done()
            .with(ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE")
            .with(ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match, last-event-id")
            .with(ACCESS_CONTROL_MAX_AGE, "600")
    } else {
        request.headers_mut().remove(COOKIE);
        api::answer(request, site.desk.clone(), door).await
    };
    answer.with(ACCESS_CONTROL_ALLOW_ORIGIN, &origin).with(VARY, "Origin")
}

/// A file of the console.
fn file(path: &str, if_none_match: Option<&HeaderValue>) -> Answer {
    let Some(asset) = site::file(path) else {
        let text = "not here; there are /, /metrics, /alive and /ready\n".to_owned();
        return Answer::text(StatusCode::NOT_FOUND, text);
    };
    let is_known =
        if_none_match.and_then(|tags| tags.to_str().ok()).is_some_and(|tags| site::is_known(asset, tags));
    let answer = if is_known {
        Answer { status: StatusCode::NOT_MODIFIED, ..Answer::done() }
    } else {
        Answer::of(StatusCode::OK, asset.content_type, asset.content.clone())
    };
    answer.with(CACHE_CONTROL, "no-cache").with(ETAG, &asset.etag)
}

async fn metrics(status: Arc<Status>) -> Answer {
    // Reads the journal.
    let metrics = tokio::task::spawn_blocking(move || metrics::of(&status)).await;
    match metrics {
        Ok(metrics) => Answer::of(StatusCode::OK, metrics::CONTENT_TYPE, metrics),
        Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be measured\n".to_owned()),
    }
}

/// What is not ok, as metrics.
async fn problems(desk: Arc<Desk>) -> Answer {
    let read = tokio::task::spawn_blocking(move || {
        outcomes::read(&desk.folder()?)
            .map_err(|error| Problem::unavailable(format!("the history has no answer: {error}")))
    });
    match read.await {
        Ok(Ok(text)) => Answer::of(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Ok(Err(problem)) => problem.into(),
        Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be measured\n".to_owned()),
    }
}

async fn ready(status: Arc<Status>) -> Answer {
    // Looks at the journal, which waits for the disk.
    let problems = tokio::task::spawn_blocking(move || status.problems());
    let problems = match tokio::time::timeout(READY, problems).await {
        Ok(Ok(problems)) => problems,
        Ok(Err(_)) => vec!["the daemon has failed to tell; see its log".to_owned()],
        Err(_) => vec!["the journal waits for the disk".to_owned()],
    };
    if problems.is_empty() {
        Answer::text(StatusCode::OK, "ready\n".to_owned())
    } else {
        Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n")))
    }
}
