//! `[http] listen`: metrics, and whether the daemon is alive and ready.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::metrics;
use crate::status::Status;

/// How many connections are served at once.
const MOST: usize = 64;
/// How long a client may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers until told to stop.
pub async fn serve(
    listener: Arc<std::net::TcpListener>,
    state: Arc<Status>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match listener.try_clone().and_then(TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve HTTP"),
    };
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HTTP connection; trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
            _ = stop.changed() => return,
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let state = state.clone();
                async move { Ok::<_, Infallible>(answer(&request, state).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // What goes wrong with a client is its own trouble.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

async fn answer(request: &Request<Incoming>, state: Arc<Status>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => {
            // Reads the journal.
            let metrics = tokio::task::spawn_blocking(move || metrics::of(&state)).await;
            let Ok(metrics) = metrics else {
                return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be measured\n".to_owned());
            };
            let mut response = text(StatusCode::OK, metrics);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            response
        }
        "/alive" => text(StatusCode::OK, "alive\n".to_owned()),
        "/ready" => match state.problems() {
            problems if problems.is_empty() => text(StatusCode::OK, "ready\n".to_owned()),
            problems => text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n"))),
        },
        "/" => text(StatusCode::OK, "Trapline: /metrics, /alive, /ready\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "not here; there are /metrics, /alive and /ready\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
