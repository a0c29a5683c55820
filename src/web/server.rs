//! `[http] listen`: metrics, and whether the daemon is alive and ready.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::host;
use super::{metrics, states};
use crate::inbound::accept::{Acceptor, Next};
use crate::inbound::places::{Limits, Place, Places};
use crate::peer::Peer;
use crate::status::Status;

/// How many connections are served at once.
const MOST: usize = 64;
/// How many of them one address may have.
const MOST_OF_ONE: usize = 8;
/// How long an exchange may take: from the connection to the last octet of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the journal may keep `/ready` waiting.
const READY: Duration = Duration::from_secs(3);

/// What is served, and to whom.
#[derive(Debug)]
pub struct Site {
    status: Arc<Status>,
    places: Arc<Places>,
    /// Names of this machine that requests may use.
    hosts: Mutex<Arc<[String]>>,
}

impl Site {
    /// Serves a status.
    pub fn new(status: Arc<Status>) -> Self {
        let places = Places::new(Limits { total: MOST, per_address: MOST_OF_ONE });
        Site { status, places, hosts: Mutex::default() }
    }

    /// Sets the names that requests may use, beside addresses and localhost.
    pub fn set_hosts(&self, hosts: &[String]) {
        *self.hosts.lock().unwrap_or_else(PoisonError::into_inner) = hosts.into();
    }

    fn hosts(&self) -> Arc<[String]> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers until told to stop.
pub async fn serve(listener: Arc<std::net::TcpListener>, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    let name = listener.local_addr().map_or("HTTP".to_owned(), |address| format!("HTTP {address}/tcp"));
    let listener = match listener.try_clone().and_then(TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve HTTP"),
    };
    let status = &site.status;
    let acceptor = Acceptor::new(&name, status.shared.accepted.clone(), status.clock.clone());
    let end = async {
        // An error: nobody can tell it any more.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let start = |stream: TcpStream, peer: Peer| {
        match site.places.take(peer, status.clock.now().mono) {
            Ok(taken) => drop(tokio::spawn(exchange(stream, taken.place, site.clone()))),
            Err(refusal) => acceptor.refused(peer, &refusal),
        }
        Next::Go
    };
    acceptor.run(&listener, end, start).await;
}

/// One request and its answer. Who does not read it in time loses the connection, as others wait for the place.
async fn exchange(stream: TcpStream, place: Place, site: Arc<Site>) {
    let mut displaced = place.displaced();
    let local = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
    let service = service_fn(|request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(answer(&request, site, local).await) }
    });
    let mut server = http1::Builder::new();
    server.keep_alive(false);
    // The connection has a deadline as a whole.
    server.header_read_timeout(None);
    let served = tokio::time::timeout(PATIENCE, server.serve_connection(TokioIo::new(stream), service));
    // What goes wrong with a client is its own trouble.
    tokio::select! {
        _ = served => {}
        _ = displaced.wait_for(|displaced| *displaced) => {}
    }
}

async fn answer(request: &Request<Incoming>, site: Arc<Site>, local: bool) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    let named = host::of(
        request.uri().authority().map(hyper::http::uri::Authority::as_str),
        request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes),
    );
    if let Err(error) = named.and_then(|host| host::check(host, &site.hosts())) {
        return text(error.status(), format!("{error}\n"));
    }
    let status = site.status.clone();
    match request.uri().path() {
        "/metrics" => {
            // Reads the journal.
            let metrics = tokio::task::spawn_blocking(move || metrics::of(&status)).await;
            let Ok(metrics) = metrics else {
                return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be measured\n".to_owned());
            };
            let mut response = text(StatusCode::OK, metrics);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            response
        }
        "/api/v1/states" if local => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let answer = tokio::task::spawn_blocking(move || states::answer(&status, &query)).await;
            let Ok((code, body)) = answer else {
                return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be told\n".to_owned());
            };
            let mut response = text(code, body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        "/api/v1/states" => text(
            StatusCode::FORBIDDEN,
            "only for this machine; ask from there, or by an agent on it\n".to_owned(),
        ),
        "/alive" => text(StatusCode::OK, "alive\n".to_owned()),
        "/ready" => ready(status).await,
        "/" => text(StatusCode::OK, "Trapline: /metrics, /alive, /ready, /api/v1/states\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "not here; there are /metrics, /alive and /ready\n".to_owned()),
    }
}

async fn ready(status: Arc<Status>) -> Response<Full<Bytes>> {
    // Looks at the journal, which waits for the disk.
    let problems = tokio::task::spawn_blocking(move || status.problems());
    let problems = match tokio::time::timeout(READY, problems).await {
        Ok(Ok(problems)) => problems,
        Ok(Err(_)) => vec!["the daemon has failed to tell; see its log".to_owned()],
        Err(_) => vec!["the journal waits for the disk".to_owned()],
    };
    if problems.is_empty() {
        text(StatusCode::OK, "ready\n".to_owned())
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n")))
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
