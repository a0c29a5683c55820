//! Sends packets on, on a thread of its own.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::sync::Arc;

use socket2::{Domain, Protocol as Carried, SockAddr, Socket, Type};
use tokio::sync::watch;

use crate::intake::forward::desk::Job;
use crate::intake::forward::guard::Guard;
use crate::intake::forward::packet;
use crate::intake::forward::settings::Forward;
use crate::intake::shared::Shared;
use crate::peer::Peer;

/// What is sent through.
#[derive(Debug, Default)]
struct Sockets {
    plain: [Option<UdpSocket>; 2],
    raw: [Option<Socket>; 2],
    number: u32,
}

/// Forwards what the listeners give, until told to stop. `stop` becomes true then.
pub async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut wanted = shared.forwards.wanted();
    let (mut sockets, mut guard, hasher) = (Sockets::default(), Guard::default(), RandomState::new());
    loop {
        let (jobs, dropped) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            taken = shared.forwards.take() => taken,
        };
        let forwards = wanted.borrow_and_update().clone();
        for forward in &forwards {
            if dropped > 0 {
                shared.forwards.note(&forward.name, |entry| entry.dropped += dropped);
            }
        }
        batch(&shared, &forwards, jobs, &mut sockets, (&mut guard, &hasher));
        tokio::task::yield_now().await;
    }
}

fn batch(
    shared: &Shared,
    forwards: &[Arc<Forward>],
    jobs: VecDeque<Job>,
    sockets: &mut Sockets,
    (guard, hasher): (&mut Guard, &RandomState),
) {
    let now = shared.now().mono;
    for job in jobs {
        let wants = |forward: &&Arc<Forward>| {
            let takes = |nets: &Vec<_>| nets.iter().any(|net: &ipnet::IpNet| net.contains(&job.from.ip()));
            forward.protocol == job.protocol && forward.senders.as_ref().is_none_or(takes)
        };
        for forward in forwards.iter().filter(wants) {
            let hash = hasher.hash_one((&forward.name, job.from.ip(), &job.octets));
            // What comes from the receiver does not go back to it.
            let back = !job.from.is_local()
                && job.from.ip() == forward.to.ip().to_canonical()
                && !is_here(forward.to);
            if back || !guard.passes(hash, now) {
                let first = shared.forwards.note(&forward.name, |entry| {
                    entry.looped += 1;
                    entry.looped == 1
                });
                if first {
                    tracing::warn!(
                        forward = &*forward.name, from = %job.from,
                        "a packet came from its receiver, or again and again, and is not forwarded; see that the receiver does not send it back here"
                    );
                }
                continue;
            }
            let sent = sockets.send(forward, job.from, &job.octets);
            said(shared, forward, sent);
        }
    }
}

/// Whether an address is this machine for certain: everything on it may send from there.
fn is_here(to: SocketAddr) -> bool {
    to.ip().is_loopback()
}

/// Counts what became of a packet, and says what is new. Ok has why the sender's address could not be kept, if that is so.
fn said(shared: &Shared, forward: &Forward, sent: io::Result<Option<String>>) {
    let why = match &sent {
        Ok(why) => why.clone(),
        Err(error) => Some(error.to_string()),
    };
    let news = shared.forwards.note(&forward.name, |entry| {
        match &sent {
            Ok(why) => {
                entry.sent += 1;
                entry.own_address += u64::from(why.is_some());
            }
            Err(_) => entry.dropped += 1,
        }
        let news = why.is_some() && entry.error.as_deref() != why.as_deref();
        if news {
            entry.error = why.as_deref().map(Arc::from);
        }
        news
    });
    match sent {
        Ok(Some(why)) if news => tracing::warn!(
            forward = &*forward.name,
            "packets are forwarded with the address of this machine: {why}; give the daemon CAP_NET_RAW, or set keep_sender = false"
        ),
        Err(error) if news => tracing::warn!(
            forward = &*forward.name,
            "cannot forward to {}: {error}; what cannot be sent is dropped and counted",
            forward.to
        ),
        Ok(_) | Err(_) => {}
    }
}

impl Sockets {
    /// Sends a packet; why it has another sender than it had, if it was to have that.
    fn send(&mut self, forward: &Forward, from: Peer, octets: &[u8]) -> io::Result<Option<String>> {
        let why = match from {
            Peer::Network(from) if forward.keeps_sender => match self.send_as(from, forward.to, octets) {
                Ok(()) => return Ok(None),
                Err(why) => Some(why),
            },
            _ => None,
        };
        let socket = self.plain(forward.to.is_ipv6())?;
        match socket.send_to(octets, forward.to) {
            // Nobody was there for one before; of this one nothing is known.
            Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => Err(error),
            _ => Ok(why),
        }
    }

    fn plain(&mut self, is_v6: bool) -> io::Result<&UdpSocket> {
        let slot = &mut self.plain[usize::from(is_v6)];
        if slot.is_none() {
            let any: IpAddr = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            *slot = Some(UdpSocket::bind((any, 0))?);
        }
        slot.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Sends a packet as another sender, or says why that cannot be.
    fn send_as(&mut self, from: SocketAddr, to: SocketAddr, octets: &[u8]) -> Result<(), String> {
        if octets.len() > packet::LONGEST {
            return Err("a packet is longer than a datagram".to_owned());
        }
        self.number = self.number.wrapping_add(1);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let packets = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) if packet::is_sender_v4(*from.ip()) => {
                packet::v4(from, to, octets, self.number as u16)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) if packet::is_sender_v6(from.ip()) => {
                packet::v6(from, to, octets, self.number)
            }
            _ => return Err(format!("the sender {} cannot be that of a packet to {}", from.ip(), to.ip())),
        };
        // The kernel routes by the address; a port has no meaning here.
        let to: SocketAddr = match to {
            SocketAddr::V4(to) => SocketAddrV4::new(*to.ip(), 0).into(),
            SocketAddr::V6(to) => SocketAddrV6::new(*to.ip(), 0, 0, to.scope_id()).into(),
        };
        let socket = self.raw(to.is_ipv6()).map_err(|error| format!("no raw socket: {error}"))?;
        let to = SockAddr::from(to);
        for packet in packets {
            socket.send_to(&packet, &to).map_err(|error| format!("the raw socket says: {error}"))?;
        }
        Ok(())
    }

    fn raw(&mut self, is_v6: bool) -> io::Result<&Socket> {
        let slot = &mut self.raw[usize::from(is_v6)];
        if slot.is_none() {
            let domain = if is_v6 { Domain::IPV6 } else { Domain::IPV4 };
            // With this protocol the header is the program's, and nothing is received.
            let carried = Some(Carried::from(libc::IPPROTO_RAW));
            *slot = Some(Socket::new(domain, Type::from(libc::SOCK_RAW), carried)?);
        }
        slot.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
