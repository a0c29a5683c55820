//! TCP listeners for syslog: a task a stream, bounded in number and in what each may hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::limit::Kind;
use super::pipeline::Pipeline;
use super::{Shared, now};
use crate::syslog::Framer;

/// How long a stream may be silent before it is closed.
const IDLE: Duration = Duration::from_hours(24);
/// How much is read at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// Accepts streams until told to stop.
pub async fn run(listener: TcpListener, shared: Arc<Shared>, most: usize, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(most));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly: waiting is all that helps.
                tracing::warn!(%error, "cannot accept a stream; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            shared.stats.streams_refused.add(1);
            if let Some(left_out) = shared.limiter.allow(Kind::Stream, now()) {
                tracing::warn!(from = %peer, left_out, "a stream was turned away: {most} are open; raise [syslog] max_connections");
            }
            continue;
        };
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            receive(stream, peer, &shared, stop).await;
            drop(place);
        });
    }
}

async fn receive(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pipeline = Pipeline::new(shared.clone());
    let mut framer = Framer::default();
    let mut chunk = vec![0; CHUNK];
    let mut oversized = 0;
    loop {
        let read = tokio::select! {
            read = tokio::time::timeout(IDLE, stream.read(&mut chunk)) => read,
            _ = stop.changed() => break,
        };
        let Ok(Ok(count)) = read else { break };
        if count == 0 {
            break;
        }
        framer.push(&chunk[..count]);
        let received = now();
        pipeline.refresh();
        while let Some(line) = framer.next_message() {
            pipeline.line(line, peer, received);
        }
        drop(pipeline.commit());
        if framer.oversized() > oversized {
            shared.stats.oversized.add(framer.oversized() - oversized);
            oversized = framer.oversized();
            if let Some(left_out) = shared.limiter.allow(Kind::Stream, received) {
                tracing::warn!(from = %peer, left_out, "a message of more than 64 KiB was cut");
            }
        }
    }
    if let Some(line) = framer.finish() {
        pipeline.line(line, peer, now());
    }
    drop(pipeline.commit());
}
