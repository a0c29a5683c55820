//! Streams: server-sent events, a WebSocket, lines of JSON.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _, stream};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes as Octets, Message};

use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::messages::{self, Messages};
use crate::web::api::problem::Problem;
use crate::web::api::route::{Answering, Cost, Does, Gives, Route};
use crate::web::api::streams::{Item, PARAMS, Stream};

/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long it may take to say that it is closed.
const CLOSING: Duration = Duration::from_secs(1);
/// The longest message of a client: it has nothing to say.
const LONGEST: usize = 4096;

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        cost: Cost::Stream,
        query: PARAMS,
        gives: Gives::Other("text/event-stream"),
        ..Route::get("/api/events/status", "Changes of states as server-sent events", Does::Later(sse))
    },
    Route {
        cost: Cost::Stream,
        query: PARAMS,
        opens: true,
        gives: Gives::Other("application/json"),
        ..Route::get("/api/ws/status", "Changes of states over a WebSocket", Does::Later(websocket))
    },
    Route {
        cost: Cost::Stream,
        query: PARAMS,
        gives: Gives::Other("application/x-ndjson"),
        ..Route::get("/api/v1/stream.jsonl", "Changes of states, a JSON document a line", Does::Later(lines))
    },
    Route {
        cost: Cost::Stream,
        query: messages::PARAMS,
        gives: Gives::Other("application/x-ndjson"),
        ..Route::get(
            "/api/v1/messages.jsonl",
            "Messages as they come and what becomes of them, as `trapline tap --json`",
            Does::Later(message_lines),
        )
    },
    Route {
        cost: Cost::Stream,
        query: messages::PARAMS,
        opens: true,
        gives: Gives::Other("application/json"),
        ..Route::get("/api/v1/ws/messages", "The same over a WebSocket", Does::Later(message_socket))
    },
];

/// What a WebSocket sends.
enum Source {
    Updates(Box<Stream>),
    Messages(Messages),
}

impl Source {
    /// The next texts, none of them where only a ping is to be sent; none at the end.
    async fn next(&mut self) -> Option<Vec<Option<String>>> {
        match self {
            Source::Updates(stream) => {
                let items = stream.next().await?;
                Some(items.iter().map(|item| stream.json(item).map(|json| json.to_string())).collect())
            }
            Source::Messages(messages) => {
                let items = messages.next().await?;
                let ping = items.is_empty().then_some(None);
                Some(items.into_iter().map(Some).chain(ping).collect())
            }
        }
    }
}

fn message_lines(ask: Ask) -> Answering {
    Box::pin(async move {
        let pieces = stream::unfold(Messages::open(ask)?, |mut messages| async move {
            let items = messages.next().await?;
            let mut text = items.join("\n");
            if items.is_empty() {
                text.push_str("{\"type\":\"keepalive\"}");
            }
            Some((Ok(Bytes::from(text + "\n")), messages))
        });
        Ok(Answer::pieces("application/x-ndjson", Box::pin(pieces)))
    })
}

fn message_socket(ask: Ask) -> Answering {
    Box::pin(upgraded(ask, |ask| Box::pin(async move { Messages::open(ask).map(Source::Messages) })))
}

fn pieces(stream: Stream, kind: &'static str, write: fn(&Stream, &[Item]) -> String) -> Answer {
    let pieces = stream::unfold(stream, move |mut stream| async move {
        let items = stream.next().await?;
        Some((Ok(Bytes::from(write(&stream, &items))), stream))
    });
    Answer::pieces(kind, Box::pin(pieces))
}

fn sse(ask: Ask) -> Answering {
    Box::pin(async move { Ok(pieces(Stream::open(ask).await?, "text/event-stream", Stream::sse)) })
}

fn lines(ask: Ask) -> Answering {
    Box::pin(async move { Ok(pieces(Stream::open(ask).await?, "application/x-ndjson", Stream::lines)) })
}

fn websocket(ask: Ask) -> Answering {
    Box::pin(upgraded(ask, |ask| {
        Box::pin(async move { Stream::open(ask).await.map(|stream| Source::Updates(Box::new(stream))) })
    }))
}

/// Opens what is asked for.
type Opening = std::pin::Pin<Box<dyn Future<Output = Result<Source, Problem>> + Send>>;

async fn upgraded(mut ask: Ask, open: fn(Ask) -> Opening) -> Result<Answer, Problem> {
    let is = |value: Option<&str>, word: &str| {
        value.is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let key = ask.field(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let (Some(accept), Some(upgrade), true) = (
        key,
        ask.upgrade.take(),
        is(ask.field(CONNECTION), "upgrade")
            && is(ask.field(UPGRADE), "websocket")
            && ask.field(SEC_WEBSOCKET_VERSION) == Some("13"),
    ) else {
        let detail =
            "this is a WebSocket: connect with new WebSocket(); /api/events/status is for other clients";
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, detail));
    };
    let source = open(ask).await?;
    tokio::spawn(serve(upgrade, source));
    let answer = Answer { status: StatusCode::SWITCHING_PROTOCOLS, ..Answer::done() };
    Ok(answer.with(UPGRADE, "websocket").with(CONNECTION, "Upgrade").with(SEC_WEBSOCKET_ACCEPT, &accept))
}

/// Sends until the client goes, or takes nothing for too long.
async fn serve(upgrade: OnUpgrade, mut source: Source) {
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST))
        .read_buffer_size(LONGEST)
        .write_buffer_size(16 << 10)
        .max_write_buffer_size(1 << 20);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (mut out, mut read) = socket.split();
    let why = loop {
        let items = tokio::select! {
            items = source.next() => match items {
                Some(items) => items,
                None => break (CloseCode::Policy, "the token is not in force any more"),
            },
            message = read.next() => match message {
                // Pings are answered by the library, what clients say is not read.
                Some(Ok(message)) if !message.is_close() => continue,
                _ => return,
            },
        };
        let send = async {
            for item in items {
                let message = match item {
                    Some(json) => Message::text(json),
                    None => Message::Ping(Octets::new()),
                };
                out.feed(message).await?;
            }
            out.flush().await
        };
        match tokio::time::timeout(PATIENCE, send).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => break (CloseCode::Again, "too slow"),
        }
    };
    let frame = CloseFrame { code: why.0, reason: why.1.into() };
    // Who does not read does not read this either.
    let _ = tokio::time::timeout(CLOSING, out.send(Message::Close(Some(frame)))).await;
}
