//! Which sockets are bound on this machine, and by whom, as `/proc` tells it (proc_pid_net(5)).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::settings::input;

/// The largest table of sockets that is read.
const TABLE: u64 = 16 << 20;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// The name of its program, at most 15 characters.
    pub name: String,
}

/// A bound socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Whether it is for UDP, not TCP.
    pub datagram: bool,
    /// Its address.
    pub address: SocketAddr,
    /// The number by which the system knows it.
    pub inode: u64,
    /// Whose it is; none if only root may see that.
    pub owner: Option<Process>,
}

/// The sockets that receive on one of these ports. What cannot be read is left out.
pub fn on_ports(ports: &[u16]) -> Vec<Bound> {
    let mut found = Vec::new();
    for (file, datagram) in [("udp", true), ("udp6", true), ("tcp", false), ("tcp6", false)] {
        let table = input::text(&Path::new("/proc/net").join(file), TABLE);
        let sockets = table.map_or(Vec::new(), |table| parse(&table, datagram));
        found.extend(sockets.into_iter().filter(|socket| ports.contains(&socket.address.port())));
    }
    let owners = owners();
    for socket in &mut found {
        socket.owner = owners.get(&socket.inode).cloned();
    }
    found
}

/// The sockets of a table that receive: all of UDP, and those of TCP that listen.
fn parse(table: &str, datagram: bool) -> Vec<Bound> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let address = address(words.next()?)?;
        // What follows: the far end, the state, queues, timers, retransmissions, user, timeout.
        let state = words.nth(1)?;
        let inode = words.nth(5)?.parse().ok()?;
        (datagram || state == "0A").then_some(Bound { datagram, address, inode, owner: None })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// An address such as `0100007F:00A2`: words of 32 bits in the order of the machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut octets = Vec::new();
    for at in (0..address.len()).step_by(8) {
        octets.extend(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let address = match octets.len() {
        4 => IpAddr::from(*octets.first_chunk::<4>()?),
        16 => IpAddr::from(*octets.first_chunk::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// The processes that have sockets open, by the numbers of the sockets: those that this user may look at.
fn owners() -> HashMap<u64, Process> {
    let mut owners = HashMap::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return owners };
    for process in processes.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let mut sockets = files.flatten().filter_map(|file| {
            let target = std::fs::read_link(file.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        });
        let Some(first) = sockets.next() else { continue };
        let name = input::text(&process.path().join("comm"), 4096);
        let name = name.map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned());
        for inode in std::iter::once(first).chain(sockets) {
            owners.insert(inode, Process { id, name: name.clone() });
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_this_process_are_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let udp = std::net::UdpSocket::bind(address).unwrap();
            let tcp = std::net::TcpListener::bind(address).unwrap();
            for (bound, datagram) in [(udp.local_addr().unwrap(), true), (tcp.local_addr().unwrap(), false)] {
                let found = on_ports(&[bound.port()]);
                let is = |socket: &&Bound| socket.address == bound && socket.datagram == datagram;
                let owner = found.iter().find(is).unwrap().owner.as_ref().unwrap();
                assert_eq!(owner.id, std::process::id(), "{found:?}");
            }
        }
    }

    #[test]
    fn tables_that_are_none_have_no_sockets() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        for line in [
            "",
            "x",
            "1:",
            "1: zz",
            "1: 0100007F:00A2 0 0A 0",
            "1: 01:1 0:0 0A 0:0 0:0 0 0 0 7",
            "1: äääää:1 0:0 0A 0:0 0:0 0 0 0 7",
        ] {
            assert_eq!(parse(&format!("{head}{line}\n"), true), [], "{line}");
        }
        let listens = "1: 00000000:00A2 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1";
        assert_eq!(parse(&format!("{head}{listens}"), false)[0].inode, 77);
        assert_eq!(parse(&format!("{head}{}", listens.replace("0A", "01")), false), []);
    }
}
