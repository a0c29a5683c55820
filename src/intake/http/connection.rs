//! One connection over HTTP/1 (RFC 9112), bounded in time and in what it may hold. hyper reads the requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::inbound::places::Place;
use crate::intake::http::desk::Desk;
use crate::intake::listener::Transport;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::peer::Peer;
use crate::settings::tls_server::Identity;

/// How long the head of a request may take, from the end of the one before it on.
const HEAD: Duration = Duration::from_secs(30);
/// How long a connection may be open. It ends with the answer to a request then, and clients open another one.
const OPEN: Duration = Duration::from_mins(10);
/// How long it may take to end: to read what was begun, and to take the answer.
const END: Duration = Duration::from_secs(20);
/// The same when the daemon stops.
const STOP: Duration = Duration::from_secs(2);
/// The longest head of a request, in octets.
const LONGEST_HEAD: usize = 16 * 1024;
/// The most fields of a head.
const MOST_FIELDS: usize = 64;

/// Where a connection has come in.
pub(in crate::intake) struct Door {
    /// What its listener listens on.
    pub(in crate::intake) at: Arc<Transport>,
    /// Who is at its other end.
    pub(in crate::intake) peer: Peer,
    /// The same, where a certificate says so.
    pub(in crate::intake) identity: Option<Arc<Identity>>,
    /// What all listeners share.
    pub(in crate::intake) shared: Arc<Shared>,
    /// Becomes true when its listener is to stop.
    pub(in crate::intake) stop: watch::Receiver<bool>,
    /// It has this until its end.
    pub(in crate::intake) place: Option<Place>,
}

/// Answers all its requests.
pub(in crate::intake) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, door: Door) {
    let Door { at, peer, identity, shared, mut stop, place } = door;
    let mut displaced = place.as_ref().map(Place::displaced);
    let pipeline = Pipeline::of_posts(shared.clone(), identity);
    let desk = Desk::new(at, peer, shared, place, pipeline);
    let service = service_fn(|request| {
        let answer = desk.answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    server.max_buf_size(LONGEST_HEAD).max_headers(MOST_FIELDS);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let (mut until, mut ending) = (Instant::now() + OPEN, false);
    loop {
        tokio::select! {
            biased;
            () = told(Some(&mut stop)), if !ending => {
                connection.as_mut().graceful_shutdown();
                (until, ending) = (Instant::now() + STOP, true);
            }
            () = told(displaced.as_mut()) => return,
            // What goes wrong with a client is its own trouble.
            _ = connection.as_mut() => return,
            () = sleep_until(until) => {
                if ending {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                (until, ending) = (Instant::now() + END, true);
            }
        }
    }
}

/// Returns once it is true.
async fn told(what: Option<&mut watch::Receiver<bool>>) {
    match what {
        // The sender is gone only when its listener is.
        Some(what) => drop(what.wait_for(|told| *told).await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
