//! UDP listeners: sockets with large buffers, and a thread each that takes datagrams in batches.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use crate::intake::pipeline::Pipeline;
use crate::intake::{Shared, now};
use crate::sys::{self, Receiver};
use crate::time::log_limit::Kind;

/// How many datagrams are taken at a time.
const BATCH: usize = 128;
/// From so many datagrams a second on, the thread waits a little between batches: larger ones cost less each.
const BUSY: i64 = 20_000;
/// How long it waits then. At twice the rate that the machine can take, that is a fraction of the socket's buffer.
const GATHER: Duration = Duration::from_micros(200);
/// How often a thread that gets nothing looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);

/// How long a thread that is to end goes on while datagrams wait.
const DRAIN: Duration = Duration::from_secs(1);

/// What a socket receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SNMP notifications.
    Snmp,
    /// Lines of syslog.
    Syslog,
}

impl Protocol {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Snmp => "SNMP",
            Protocol::Syslog => "syslog",
        }
    }
}

/// A bound socket, and the receive buffer that the kernel gave it in bytes.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: UdpSocket,
    /// Bytes, as asked for or less.
    pub granted: usize,
}

/// Binds a socket with a receive buffer of this many bytes, for messages of this protocol.
///
/// # Errors
///
/// What the system says.
pub fn bind_socket(address: SocketAddr, receive_buffer: usize, protocol: Protocol) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] side by side, each for its own kind.
        socket.set_only_v6(true)?;
    }
    // With privilege beyond net.core.rmem_max, else up to it.
    if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err() {
        socket.set_recv_buffer_size(receive_buffer)?;
    }
    // The kernel doubles what is asked for, for its own bookkeeping.
    let granted = socket.recv_buffer_size()? / 2;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    if protocol == Protocol::Snmp && address.ip().is_unspecified() {
        // On one address alone, answers come from it anyway.
        sys::tell_local(&socket, address.is_ipv6())?;
    }
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(LOOK_UP))?;
    Ok(Bound { socket, granted })
}

/// Receives until told to stop. Runs on a thread of its own.
pub fn run(socket: &UdpSocket, protocol: Protocol, shared: &Arc<Shared>) {
    let mut pipeline = Pipeline::new(shared.clone());
    let beat = shared.beat();
    let mut receiver = Receiver::new(BATCH);
    let mut drops = 0;
    let mut waits = true;
    let mut before = 0;
    let mut stopped: Option<Instant> = None;
    // What waits in the socket when the daemon stops is still taken, within bounds.
    while stopped.is_none_or(|at| at.elapsed() < DRAIN) {
        if shared.stopping() {
            stopped = stopped.or_else(|| Some(Instant::now()));
        }
        let count = match receiver.receive(socket) {
            Ok(count) => count,
            Err(error) => {
                tracing::error!(%error, "cannot receive; trying again");
                std::thread::sleep(LOOK_UP);
                continue;
            }
        };
        let received = now();
        beat.store(received, Ordering::Relaxed);
        if count == 0 {
            if stopped.is_some() {
                break;
            }
            if pipeline.has_kept() {
                drop(pipeline.commit());
            }
            continue;
        }
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
