//! Signals: SIGHUP asks for a reload, SIGTERM and SIGINT for the end. From the first moment of the daemon to its last, none
//! of them is lost and SIGHUP never ends the process.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::supervise::{Crew, Member, OnEnd, Stop, told};

/// What signals have asked for.
#[derive(Debug)]
pub struct Signals {
    /// Holds an item if a reload was asked for that has not begun; any number of signals are one item.
    pub hangups: mpsc::Receiver<()>,
    /// Asks for a reload as a signal does.
    pub hangup: mpsc::Sender<()>,
    /// Turns true when the daemon is to end.
    pub terminate: watch::Receiver<bool>,
    /// What hears them.
    pub member: Member,
}

struct Streams {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// Hears signals from now on, on this runtime.
///
/// # Errors
///
/// If the system refuses a handler.
pub fn install(runtime: &Handle, crew: &Crew) -> io::Result<Signals> {
    let _within = runtime.enter();
    let mut streams = Some(Streams {
        hangup: signal(SignalKind::hangup())?,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    });
    let (hangup, hangups) = mpsc::channel(1);
    let asks = hangup.clone();
    let (end, terminate) = watch::channel(false);
    let member = crew.task(runtime, "signals", OnEnd::Fatal, move |stop| {
        let (streams, hangup, end) = (streams.take(), hangup.clone(), end.clone());
        async move {
            if let Some(streams) = streams {
                hear(streams, &hangup, &end, stop).await;
            }
        }
    });
    Ok(Signals { hangups, hangup: asks, terminate, member })
}

async fn hear(mut streams: Streams, hangup: &mpsc::Sender<()>, end: &watch::Sender<bool>, mut stop: Stop) {
    loop {
        tokio::select! {
            // One that waits already is enough: the reload that it asks for has not begun.
            _ = streams.hangup.recv() => drop(hangup.try_send(())),
            _ = streams.terminate.recv() => drop(end.send_replace(true)),
            _ = streams.interrupt.recv() => drop(end.send_replace(true)),
            () = told(&mut stop) => return,
        }
    }
}
