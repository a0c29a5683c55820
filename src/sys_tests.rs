use std::net::SocketAddrV6;

use super::*;

/// A socket, and another one connected to it.
fn pair(local: &str) -> (UdpSocket, UdpSocket) {
    let (server, client) = (UdpSocket::bind(local).unwrap(), UdpSocket::bind(local).unwrap());
    client.connect(server.local_addr().unwrap()).unwrap();
    (server, client)
}

#[test]
fn batches_with_their_senders() {
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let (server, client) = pair(local);
        assert_eq!(send_batch(&client, &[b"one", b"two", b""]).unwrap(), 3);
        let mut receiver = Receiver::new(8);
        let mut got = Vec::new();
        while got.len() < 3 {
            receiver.receive(&server).unwrap();
            got.extend(receiver.datagrams().map(|(d, from)| (d.to_vec(), from.peer)));
        }
        let from = Peer::from(client.local_addr().unwrap());
        assert_eq!(got, [(b"one".to_vec(), from), (b"two".to_vec(), from), (Vec::new(), from)]);
    }
}

#[test]
fn answers_come_from_where_they_were_asked() {
    for (all, asked) in [("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "::1")] {
        let server = UdpSocket::bind(all).unwrap();
        tell_local(&server, all.starts_with('[')).unwrap();
        let port = server.local_addr().unwrap().port();
        let to = SocketAddr::new(asked.parse().unwrap(), port);
        let client = UdpSocket::bind((if to.is_ipv6() { "::1" } else { "127.0.0.1" }, 0)).unwrap();
        client.send_to(b"who", to).unwrap();
        let mut receiver = Receiver::new(2);
        receiver.receive(&server).unwrap();
        let (_, arrival) = receiver.datagrams().next().unwrap();
        assert_eq!(arrival.local.unwrap().address, to.ip());
        answer(&server, b"me", arrival).unwrap();
        let (length, from) = client.recv_from(&mut [0; 10]).unwrap();
        assert_eq!((length, from), (2, to));
    }
}

/// In a network of its own: a pair of interfaces with link-local addresses, which mean nothing without their interface.
#[test]
fn answers_reach_link_local_peers() {
    let asks = || {
        // SAFETY: it takes no pointer; this thread alone gets another network, and ends with the test.
        let apart = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
        let ip = |args: &str| {
            let mut command = std::process::Command::new("ip");
            let made = command.args(args.split(' ')).stderr(std::process::Stdio::null()).status();
            made.is_ok_and(|status| status.success())
        };
        let steps = [
            "link set lo up",
            "link add v0 type veth peer name v1",
            "link set v0 addrgenmode none up",
            "link set v1 addrgenmode none up",
            "address add fe80::a/64 dev v0 nodad",
            "address add fe80::b/64 dev v1 nodad",
        ];
        if !apart || !steps.into_iter().all(ip) {
            eprintln!("not tested: this user may not make a network");
            return;
        }
        let server = UdpSocket::bind("[::]:0").unwrap();
        tell_local(&server, true).unwrap();
        let interface = nix::net::if_::if_nametoindex("v1").unwrap();
        let at = |address: &str, port| SocketAddrV6::new(address.parse().unwrap(), port, 0, interface);
        let to = at("fe80::a", server.local_addr().unwrap().port());
        let client = UdpSocket::bind(at("fe80::b", 0)).unwrap();
        let patience = Some(std::time::Duration::from_secs(30));
        client.send_to(b"who", to).unwrap();
        server.set_read_timeout(patience).unwrap();
        server.peek(&mut [0; 10]).unwrap();
        let mut receiver = Receiver::new(2);
        assert_eq!(receiver.receive(&server).unwrap(), 1);
        let (_, arrival) = receiver.datagrams().next().unwrap();
        answer(&server, b"me", arrival).unwrap();
        client.set_read_timeout(patience).unwrap();
        let (length, from) = client.recv_from(&mut [0; 10]).unwrap();
        assert_eq!((length, from), (2, SocketAddr::from(to)));
    };
    std::thread::spawn(asks).join().unwrap();
}

#[test]
fn datagrams_of_every_size_arrive_whole() {
    let (server, client) = pair("127.0.0.1:0");
    let sizes = [0, 1, SLOT - 1, SLOT, SLOT + 1, SLOT + 65, 10_000, 65_507];
    let mut receiver = Receiver::new(3);
    let content =
        |size: usize, seed: usize| -> Vec<u8> { (0..size).map(|n| (n * 31 + seed) as u8).collect() };
    // Each size in each slot, after each other size.
    for (seed, size) in sizes.iter().cycle().take(5 * sizes.len()).enumerate() {
        client.send(&content(*size, seed)).unwrap();
        client.send(&content(7, seed)).unwrap();
        let mut got = Vec::new();
        while got.len() < 2 {
            receiver.receive(&server).unwrap();
            got.extend(receiver.datagrams().map(|(octets, _)| octets.to_vec()));
        }
        assert!(got == [content(*size, seed), content(7, seed)], "{size} octets");
    }
}

#[test]
fn drops_are_counted() {
    let (server, client) = pair("127.0.0.1:0");
    setsockopt(&server, sockopt::RcvBuf, &4096).unwrap();
    assert_eq!(drops(&server).unwrap(), 0);
    for _ in 0..500 {
        client.send(&[0; 500]).unwrap();
    }
    let mut receiver = Receiver::new(64);
    let received = receiver.receive(&server).unwrap();
    assert_eq!(received + drops(&server).unwrap() as usize, 500);
}

#[test]
fn unread_bytes_of_a_pipe() {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    let (mut reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"hello").unwrap();
    assert_eq!(unread(writer.as_fd()).unwrap(), 5);
    reader.read_exact(&mut [0; 2]).unwrap();
    assert_eq!(unread(writer.as_fd()).unwrap(), 3);
}

#[test]
fn this_machine_has_a_name() {
    // RFC 6761, section 6.3: localhost is this machine.
    assert_eq!(name_of(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap().as_deref(), Some("localhost"));
}

/// How many pages of a mapping are in memory.
fn present(pages: &Pages) -> usize {
    // SAFETY: it asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let mut states = vec![0u8; pages.length.div_ceil(size)];
    // SAFETY: the mapping begins at a page, and there is an octet for each of its pages.
    let asked = unsafe { libc::mincore(pages.start.as_ptr().cast(), pages.length, states.as_mut_ptr()) };
    assert_eq!(asked, 0, "{}", io::Error::last_os_error());
    states.iter().filter(|state| **state & 1 == 1).count()
}

/// There is space for a batch of the longest datagrams, 8 MiB a listener. A listener has in memory what its longest batches needed.
#[test]
fn a_receiver_has_memory_only_as_far_as_datagrams_were_long() {
    let (server, client) = pair("127.0.0.1:0");
    let mut receiver = Receiver::new(128);
    assert_eq!(present(&receiver.overflows), 0);
    let mut take = |length: usize, count: usize| {
        for _ in 0..count {
            client.send(&vec![b'x'; length]).unwrap();
            receiver.receive(&server).unwrap();
            assert_eq!(receiver.datagrams().map(|(datagram, _)| datagram.len()).sum::<usize>(), length);
        }
        present(&receiver.overflows)
    };
    assert_eq!(take(SLOT, 1000), 0, "what fits into its slot needs nothing else");
    // One at a time needs one overflow: its gap, into which the slot is copied, and what is longer.
    let one = take(60_000, 100);
    assert!((1..=MAX_DATAGRAM / 4096 + 2).contains(&one), "{one} pages");
    assert_eq!(take(60_000, 100), one, "the next ones use it again");
}

#[test]
fn a_file_beyond_the_limit_is_an_error_here_and_the_end_of_who_is_started() {
    use std::os::unix::process::ExitStatusExt as _;
    survive_file_limit();
    // What happens to who writes beyond it.
    // SAFETY: it sends this thread a signal, whose handler does nothing.
    assert_eq!(unsafe { libc::raise(libc::SIGXFSZ) }, 0);
    let ended = std::process::Command::new("sh").args(["-c", "kill -XFSZ $$"]).status().unwrap();
    assert_eq!(ended.signal(), Some(libc::SIGXFSZ));
}
