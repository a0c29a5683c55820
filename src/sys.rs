//! The system calls that no safe library offers in the form needed here: batches of datagrams with what the
//! kernel dropped, and how much of a pipe is unread. The only module with unsafe code.
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};

/// The largest datagram that UDP can carry.
pub const MAX_DATAGRAM: usize = 65_535;

/// Room for the control messages of a datagram, in bytes: the kernel's drop counter, and where it was sent to.
const CONTROL: usize = 128;

/// Room for control messages, aligned as control messages must be.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL]);

/// Where a message came from, and where it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The sender.
    pub peer: SocketAddr,
    /// The address of this machine that it was sent to, where the socket is bound to all of them and says so.
    pub local: Option<Local>,
}

/// An address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The address.
    pub address: IpAddr,
    /// The index of its interface.
    interface: u32,
}

/// Buffers for a batch of datagrams, used again from call to call.
pub struct Receiver {
    buffers: Box<[u8]>,
    addresses: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    received: usize,
}

// SAFETY: the raw pointers in `vectors` and `headers` point into heap memory that the receiver itself owns and
// never moves or frees before them; nothing in it is bound to a thread.
unsafe impl Send for Receiver {}

impl Receiver {
    /// Room for `count` datagrams of any size a call. Memory is touched only as far as datagrams fill it.
    pub fn new(count: usize) -> Self {
        // SAFETY: all-zero is a valid value of these plain C structures.
        let (address, vector, header): (libc::sockaddr_storage, libc::iovec, libc::mmsghdr) =
            unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let mut receiver = Receiver {
            buffers: vec![0; count * MAX_DATAGRAM].into_boxed_slice(),
            addresses: vec![address; count].into_boxed_slice(),
            controls: vec![Control([0; CONTROL]); count].into_boxed_slice(),
            vectors: vec![vector; count].into_boxed_slice(),
            headers: vec![header; count].into_boxed_slice(),
            received: 0,
        };
        let places = receiver.buffers.chunks_exact_mut(MAX_DATAGRAM).zip(&mut receiver.vectors);
        for (buffer, vector) in places {
            *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        }
        receiver
    }

    /// Takes as many datagrams as wait in the socket. Returns how many; 0 if none does.
    ///
    /// # Errors
    ///
    /// What the system says, other than that nothing came.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let places =
            self.headers.iter_mut().zip(&mut self.vectors).zip(&mut self.addresses).zip(&mut self.controls);
        for (((header, vector), address), control) in places {
            // The kernel writes lengths back: they are set anew for every call.
            header.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.0.len();
            header.msg_hdr.msg_flags = 0;
        }
        self.received = 0;
        // SAFETY: every header points to an address, a buffer and control room of the lengths it says, all
        // owned by self and alive for the call; the count is that of the headers.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(result) {
            Ok(count) => {
                self.received = count.min(self.headers.len());
                Ok(self.received)
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                    _ => Err(error),
                }
            }
        }
    }

    /// The datagrams of the last call, where they came from and where they were sent to.
    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], Arrival)> {
        let buffers = self.buffers.chunks_exact(MAX_DATAGRAM);
        self.headers.iter().zip(buffers).zip(&self.addresses).take(self.received).map(
            |((header, buffer), address)| {
                let length = (header.msg_len as usize).min(buffer.len());
                let local = find_control(&header.msg_hdr, local);
                (&buffer[..length], Arrival { peer: socket_address(address), local })
            },
        )
    }

    /// How many datagrams the kernel has dropped at the socket since it was opened, modulo 2^32, as of the last
    /// datagram that says so (SO_RXQ_OVFL).
    pub fn kernel_drops(&self) -> Option<u32> {
        let drops = |(level, kind): (i32, i32), content: &[u8]| {
            let counter =
                content.first_chunk().filter(|_| (level, kind) == (libc::SOL_SOCKET, libc::SO_RXQ_OVFL));
            counter.map(|octets| u32::from_ne_bytes(*octets))
        };
        self.headers[..self.received].iter().rev().find_map(|header| find_control(&header.msg_hdr, drops))
    }
}

/// What `read` makes of the first control message that it takes, by its level and type and its content.
fn find_control<T>(header: &libc::msghdr, read: impl Fn((i32, i32), &[u8]) -> Option<T>) -> Option<T> {
    // SAFETY: the kernel has filled msg_control up to msg_controllen with control messages, and both still describe
    // the room that the receiver owns; CMSG_FIRSTHDR gives null where there is none.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points to a whole control message within that room: its header, and behind it as
        // much content as cmsg_len says beyond what CMSG_LEN gives for none.
        let (of, content) = unsafe {
            let length = (*message).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            let content = std::slice::from_raw_parts(libc::CMSG_DATA(message), length);
            (((*message).cmsg_level, (*message).cmsg_type), content)
        };
        if let Some(found) = read(of, content) {
            return Some(found);
        }
        // SAFETY: both point into the room that the kernel filled.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// The address that IP_PKTINFO (ip(7)) or IPV6_PKTINFO (RFC 3542, section 6.2) tells.
fn local((level, kind): (i32, i32), content: &[u8]) -> Option<Local> {
    match (level, kind) {
        // in_pktinfo: the index of the interface, the address to answer from, the address of the header.
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            let (interface, rest) = content.split_first_chunk()?;
            let address = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(Local { address: address.into(), interface: u32::from_ne_bytes(*interface) })
        }
        // in6_pktinfo: the address, the index of the interface.
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            let (address, rest) = content.split_first_chunk::<16>()?;
            let interface = u32::from_ne_bytes(*rest.first_chunk()?);
            Some(Local { address: Ipv6Addr::from(*address).into(), interface })
        }
        _ => None,
    }
}

/// Lets a socket tell where each datagram was sent to, so that answers go out from there.
///
/// # Errors
///
/// What the system says.
pub fn tell_local(socket: &impl std::os::fd::AsFd, v6: bool) -> io::Result<()> {
    if v6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
}

/// Answers a datagram, from the address that it was sent to.
///
/// # Errors
///
/// What the system says.
pub fn answer(socket: &UdpSocket, answer: &[u8], to: Arrival) -> io::Result<()> {
    let peer = SockaddrStorage::from(to.peer);
    let send = |control: &[ControlMessage<'_>]| {
        sendmsg(socket.as_raw_fd(), &[IoSlice::new(answer)], control, MsgFlags::empty(), Some(&peer))
    };
    match to.local {
        Some(Local { address: IpAddr::V4(address), .. }) => {
            // The routes decide on the interface: the way back may be another than the way here.
            let address = libc::in_addr { s_addr: u32::from(address).to_be() };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
            send(&[ControlMessage::Ipv4PacketInfo(&info)])?;
        }
        Some(Local { address: IpAddr::V6(address), interface }) => {
            // A link-local address means nothing without its interface.
            let interface = if address.is_unicast_link_local() { interface } else { 0 };
            let address = libc::in6_addr { s6_addr: address.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: interface };
            send(&[ControlMessage::Ipv6PacketInfo(&info)])?;
        }
        None => {
            send(&[])?;
        }
    }
    Ok(())
}

fn socket_address(address: &libc::sockaddr_storage) -> SocketAddr {
    match i32::from(address.ss_family) {
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller and no stricter
            // in alignment.
            let v6 = unsafe { &*std::ptr::from_ref(address).cast::<libc::sockaddr_in6>() };
            let ip = IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr));
            SocketAddr::new(ip, u16::from_be(v6.sin6_port))
        }
        libc::AF_INET => {
            // SAFETY: as above, for sockaddr_in.
            let v4 = unsafe { &*std::ptr::from_ref(address).cast::<libc::sockaddr_in>() };
            let ip = IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)));
            SocketAddr::new(ip, u16::from_be(v4.sin_port))
        }
        _ => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    }
}

/// Sends datagrams over a connected socket in as few calls as it takes. Returns how many were sent; fewer than
/// given if the system refused one.
///
/// # Errors
///
/// What the system says, if not even the first could be sent.
pub fn send_batch(socket: &UdpSocket, datagrams: &[&[u8]]) -> io::Result<usize> {
    // SAFETY: all-zero is a valid value of this plain C structure.
    let empty: libc::mmsghdr = unsafe { mem::zeroed() };
    let mut vectors: Vec<libc::iovec> = datagrams
        .iter()
        .map(|d| libc::iovec { iov_base: d.as_ptr().cast_mut().cast(), iov_len: d.len() })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            let mut header = empty;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect();
    // SAFETY: every header points to one vector and it to a slice that outlives the call; sendmmsg only reads
    // them, and writes msg_len into the headers.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as libc::c_uint, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// How many bytes of a pipe its reader has not taken yet.
///
/// # Errors
///
/// What the system says, such as that it is no pipe.
pub fn unread(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count = MaybeUninit::<libc::c_int>::uninit();
    // SAFETY: FIONREAD writes one int to the given place; the descriptor is open for the call.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, count.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has written the int.
    Ok(usize::try_from(unsafe { count.assume_init() }).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_with_their_senders() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(local).unwrap();
            let client = UdpSocket::bind(local).unwrap();
            client.connect(server.local_addr().unwrap()).unwrap();
            assert_eq!(send_batch(&client, &[b"one", b"two", b""]).unwrap(), 3);
            let mut receiver = Receiver::new(8);
            let mut got = Vec::new();
            while got.len() < 3 {
                receiver.receive(&server).unwrap();
                got.extend(receiver.datagrams().map(|(d, from)| (d.to_vec(), from.peer)));
            }
            let from = client.local_addr().unwrap();
            assert_eq!(got, [(b"one".to_vec(), from), (b"two".to_vec(), from), (Vec::new(), from)]);
        }
    }

    #[test]
    fn answers_come_from_where_they_were_asked() {
        for (all, asked) in [("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "::1")] {
            let server = UdpSocket::bind(all).unwrap();
            tell_local(&server, all.starts_with('[')).unwrap();
            setsockopt(&server, sockopt::RxqOvfl, &1).unwrap();
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

    #[test]
    fn drops_are_counted() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        setsockopt(&server, sockopt::RxqOvfl, &1).unwrap();
        setsockopt(&server, sockopt::RcvBuf, &4096).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let mut receiver = Receiver::new(64);
        for _ in 0..500 {
            client.send(&[0; 500]).unwrap();
        }
        receiver.receive(&server).unwrap();
        client.send(b"after").unwrap();
        while !receiver.datagrams().any(|(d, _)| d == b"after") {
            receiver.receive(&server).unwrap();
        }
        assert!(receiver.kernel_drops().unwrap() > 100);
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
}
