//! UDP listeners: sockets with large buffers, and a thread each that takes datagrams in batches.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::intake::listener::Protocol;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::intake::stop::Stop;
use crate::sys::{self, Receiver};
use crate::time::log_limit::Kind;

/// How many datagrams are taken at a time.
const BATCH: usize = 128;
/// From so many datagrams a second on, the thread waits a little between batches: larger ones cost less each.
const BUSY: i64 = 20_000;
/// How long it waits then. At twice the rate that the machine can take, that is a fraction of the socket's buffer.
const GATHER: Duration = Duration::from_micros(200);
/// How long to wait before what failed is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How long a thread that is to end goes on while datagrams wait.
const DRAIN: Duration = Duration::from_secs(1);

/// Receives until told to stop. Runs on a thread of its own.
pub(super) fn run(socket: &UdpSocket, protocol: Protocol, shared: &Arc<Shared>, stop: &Stop) {
    let mut pipeline = Pipeline::new(shared.clone());
    let beat = shared.beat();
    let mut receiver = Receiver::new(BATCH);
    let mut drops = 0;
    let mut waits = true;
    let mut before = 0;
    let mut stopped: Option<Instant> = None;
    // What waits in the socket when the daemon stops is still taken, within bounds.
    while stopped.is_none_or(|at| at.elapsed() < DRAIN) {
        if stop.told() {
            stopped = stopped.or_else(|| Some(Instant::now()));
        }
        let count = match receiver.receive(socket) {
            Ok(count) => count,
            Err(error) => {
                tracing::error!(%error, "cannot receive; trying again");
                std::thread::sleep(RETRY);
                continue;
            }
        };
        if count == 0 {
            if stopped.is_some() {
                break;
            }
            beat.rest();
            if pipeline.has_kept() {
                drop(pipeline.commit());
            }
            wait(socket, stop, pipeline.has_kept());
            continue;
        }
        let now = shared.now();
        beat.work(now.mono);
        let received = now.wall.micros();
        let datagrams = receiver.datagrams().map(|(bytes, arrival)| (bytes, arrival.peer));
        if waits && let Some(lost) = shared.waiting.keep(protocol, received, datagrams) {
            shared.stats.waiting_lost.add(lost);
            continue;
        }
        waits = false;
        pipeline.refresh();
        for (datagram, arrival) in receiver.datagrams() {
            match protocol {
                Protocol::Snmp => pipeline.packet(datagram, arrival, received),
                Protocol::Syslog => pipeline.line(datagram, arrival.peer, received),
            }
        }
        for (answer, to) in pipeline.commit() {
            // An answer that cannot be sent is one that was lost on the way: the inform comes again.
            let _ = sys::answer(socket, &answer, to);
        }
        count_drops(&receiver, &mut drops, socket, shared, received);
        let busy = count as i64 * 1_000_000 > BUSY.saturating_mul(received.saturating_sub(before).max(1));
        before = received;
        if busy && count < BATCH {
            std::thread::sleep(GATHER);
        }
    }
    drop(pipeline.commit());
}

/// Waits for a datagram, for the stop, or for the time to try again what the journal has refused.
fn wait(socket: &UdpSocket, stop: &Stop, kept: bool) {
    let mut ready =
        [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    let timeout = kept.then(|| TimeSpec::from_duration(RETRY));
    // A signal or an error: the next receive tells.
    let _ = ppoll(&mut ready, timeout, None);
}

fn count_drops(receiver: &Receiver, before: &mut u32, socket: &UdpSocket, shared: &Shared, now: i64) {
    let Some(drops) = receiver.kernel_drops().filter(|d| d != before) else { return };
    let new = drops.wrapping_sub(*before);
    *before = drops;
    shared.stats.kernel_drops.add(new.into());
    if let Some(left_out) = shared.limiter.allow(Kind::KernelDrops, now) {
        let at = socket.local_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string());
        tracing::warn!(
            datagrams = new,
            left_out,
            "the kernel dropped datagrams at {at}: more came than could be taken; raise receive_buffer and net.core.rmem_max"
        );
    }
}
