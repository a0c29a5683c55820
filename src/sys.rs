//! The system calls that no safe library offers in the form needed here: batches of datagrams in buffers that are used
//! again and given back to the system, what the kernel dropped at a socket, which socket of an address gets a datagram, how much of a pipe is
//! unread, whether the clock is in step, the name of an address, the sockets that were there at the start, a signal that is not to end the
//! process; and what the processor is to fetch ahead. The only module with unsafe code.
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::CStr;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::OnceLock;

use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrLike as _, SockaddrStorage, sendmsg, setsockopt, sockopt,
};

use crate::peer::{Credentials, Peer};

/// The most octets that are taken of a datagram. UDP carries fewer; over a socket of the file system there may be more. It is more
/// than the longest message, so that one that is too long is known to be.
pub const MAX_DATAGRAM: usize = 64 * 1024 + 1;

/// Octets of a datagram that its slot holds; what is longer overflows. Nearly all datagrams are shorter.
const SLOT: usize = 2048;
/// The distance of two slots: slots at a power of two would share the sets of the processor's caches.
const STRIDE: usize = SLOT + 64;
/// Space for the control messages of a datagram, in octets: where it was sent to, or which process sent it.
const CONTROL: usize = 64;

/// Space for control messages, aligned as control messages must be.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control {
    _octets: [u8; CONTROL],
}

/// Where a message came from, and where it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The sender.
    pub peer: Peer,
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

/// Zeroed memory of its own mapping, which the system provides only as far as it is written to, and has back when this is dropped. The
/// allocator would keep it: what was freed once raises the size up to which it serves requests out of its own pools.
struct Pages {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone, and nothing about it is bound to a thread.
unsafe impl Send for Pages {}

impl Pages {
    /// So many octets; without memory for them the process ends, as it does where the allocator has none.
    fn new(length: usize) -> Self {
        let length = length.max(1);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping without a file at a place that the kernel chooses touches no memory that is in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        let start = if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast::<u8>()) };
        let Some(start) = start else {
            handle_alloc_error(Layout::array::<u8>(length).unwrap_or(Layout::new::<u8>()))
        };
        // SAFETY: the range is that of the mapping, and the advice changes none of its content. A kernel that does not know it may give
        // more memory than is written to, which is no failure.
        unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_NOHUGEPAGE) };
        Pages { start, length }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and no reference to it outlives its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many octets are mapped, readable and initialised: with zeros, or what was written to them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and writable; the borrow is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

/// Buffers for a batch of datagrams, used again from call to call.
///
/// A datagram is received into its slot and, where it is longer, into its overflow behind a gap of a slot's size; then the
/// slot is copied into the gap, so that it is in one piece.
pub struct Receiver {
    /// `STRIDE` octets each.
    slots: Pages,
    /// `MAX_DATAGRAM` octets each.
    overflows: Pages,
    addresses: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    /// For each datagram its slot and its overflow.
    vectors: Vec<[libc::iovec; 2]>,
    headers: Vec<libc::mmsghdr>,
    received: usize,
}

// SAFETY: the raw pointers in `vectors` and `headers` point into mappings and heap memory of vectors that the receiver owns and never
// resizes; nothing in it is bound to a thread.
unsafe impl Send for Receiver {}

impl Receiver {
    /// Space for `count` datagrams of any size per call.
    pub fn new(count: usize) -> Self {
        // SAFETY: all-zero is a valid value of these plain C structures.
        let (address, vector, header): (libc::sockaddr_storage, libc::iovec, libc::mmsghdr) =
            unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let mut receiver = Receiver {
            slots: Pages::new(count * STRIDE),
            overflows: Pages::new(count * MAX_DATAGRAM),
            addresses: vec![address; count],
            controls: vec![Control { _octets: [0; CONTROL] }; count],
            vectors: vec![[vector; 2]; count],
            headers: vec![header; count],
            received: count,
        };
        receiver.prepare();
        receiver
    }

    /// Makes the headers that the call before has filled ready to be filled again.
    fn prepare(&mut self) {
        let (slots, overflows) = (self.slots.as_mut_ptr(), self.overflows.as_mut_ptr());
        let (addresses, controls) = (self.addresses.as_mut_ptr(), self.controls.as_mut_ptr());
        let (vectors, headers) = (self.vectors.as_mut_ptr(), self.headers.as_mut_ptr());
        for at in 0..self.received {
            // SAFETY: `received` is at most the count that the receiver was made for, so that all these are elements of
            // their vectors and mappings, a slot has SLOT of its STRIDE octets, and an overflow begins SLOT octets into its own.
            unsafe {
                let slot = slots.add(at * STRIDE);
                let overflow = overflows.add(at * MAX_DATAGRAM + SLOT);
                let vectors = vectors.add(at);
                *vectors = [
                    libc::iovec { iov_base: slot.cast(), iov_len: SLOT },
                    libc::iovec { iov_base: overflow.cast(), iov_len: MAX_DATAGRAM - SLOT },
                ];
                let header = &mut (*headers.add(at)).msg_hdr;
                header.msg_name = addresses.add(at).cast();
                header.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
                header.msg_iov = vectors.cast();
                header.msg_iovlen = 2;
                header.msg_control = controls.add(at).cast();
                header.msg_controllen = CONTROL;
                header.msg_flags = 0;
            }
        }
        self.received = 0;
    }

    /// Takes as many datagrams as wait in the socket and have space, without waiting for any. Returns how many.
    ///
    /// # Errors
    ///
    /// What the system says, other than that no datagram waits.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.prepare();
        // SAFETY: every header points to an address, two vectors and space for control messages of the lengths that it
        // says, and the vectors to a slot and an overflow of theirs, all owned by self and alive for the call; the count
        // is that of the headers.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(result) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        self.received = count.min(self.headers.len());
        for at in 0..self.received {
            if self.headers[at].msg_len as usize > SLOT {
                let slot = &self.slots[at * STRIDE..][..SLOT];
                self.overflows[at * MAX_DATAGRAM..][..SLOT].copy_from_slice(slot);
            }
        }
        Ok(self.received)
    }

    /// The datagrams of the last call, where they came from and where they were sent to.
    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], Arrival)> {
        self.headers.iter().zip(&self.addresses).take(self.received).enumerate().map(
            |(at, (header, address))| {
                let length = header.msg_len as usize;
                let octets = if length <= SLOT {
                    &self.slots[at * STRIDE..][..length]
                } else {
                    &self.overflows[at * MAX_DATAGRAM..][..length.min(MAX_DATAGRAM)]
                };
                let local = find_control(&header.msg_hdr, local);
                (octets, Arrival { peer: peer(&header.msg_hdr, address), local })
            },
        )
    }
}

/// Has the processor fetch a place of memory that is needed soon, and does not wait for it. Nothing on other processors than x86-64.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction changes nothing but caches, and every x86-64 has it.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(place).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// How many datagrams the kernel has dropped at a socket since it was opened, modulo 2^32 (SO_MEMINFO).
///
/// # Errors
///
/// What the system says; Linux knows this since 4.12.
pub fn drops(socket: &impl AsFd) -> io::Result<u32> {
    /// SK_MEMINFO_VARS and SK_MEMINFO_DROPS of linux/sock_diag.h.
    const VARS: usize = 9;
    const DROPS: usize = 8;
    let mut info = [0u32; VARS];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets to `info`, which has as many, and the length that it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(info[DROPS]) }
}

/// Sends the datagrams of each source address to one and the same of the `count` sockets that share an address
/// (SO_REUSEPORT), whatever port they come from. `socket` is one of them; all must be bound.
///
/// # Errors
///
/// What the system says; Linux knows this since 4.5.
pub fn steer_by_source(socket: &impl AsFd, v6: bool, count: u32) -> io::Result<()> {
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // Offsets from here on are counted from the beginning of the IP header.
    let header = libc::SKF_NET_OFF as u32;
    let load = |offset: u32| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, header.wrapping_add(offset));
    let mut program = Vec::new();
    if v6 {
        // The source address is at 8 to 24 (RFC 8200, section 3): its four words, folded by XOR.
        program.push(load(8));
        for offset in [12, 16, 20] {
            program.push(step(libc::BPF_MISC | libc::BPF_TAX, 0));
            program.push(load(offset));
            program.push(step(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0));
        }
    } else {
        // At 12 (RFC 791, section 3.1).
        program.push(load(12));
    }
    program.extend([
        // Multiplicative hashing: neighbours spread, too.
        step(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, 0x9e37_79b1),
        step(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 16),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1)),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ]);
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: `program` has the length and the place of the filter's steps, which outlive the call; the kernel only reads
    // them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
pub fn tell_local(socket: &impl AsFd, v6: bool) -> io::Result<()> {
    if v6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
}

/// Answers a datagram, from the address that it was sent to. Does not wait for space in the send buffer.
///
/// # Errors
///
/// What the system says.
pub fn answer(socket: &impl AsFd, answer: &[u8], to: Arrival) -> io::Result<()> {
    let address = to.peer.socket_address().ok_or(io::ErrorKind::Unsupported)?;
    let (peer, socket) = (SockaddrStorage::from(address), socket.as_fd());
    let send = |control: &[ControlMessage<'_>]| {
        sendmsg(socket.as_raw_fd(), &[IoSlice::new(answer)], control, MsgFlags::MSG_DONTWAIT, Some(&peer))
    };
    match to.local {
        Some(Local { address: IpAddr::V4(address), .. }) => {
            // The routes decide on the interface: the way back may be another than the way here.
            let address = libc::in_addr { s_addr: u32::from(address).to_be() };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
            send(&[ControlMessage::Ipv4PacketInfo(&info)])?;
        }
        Some(Local { address: IpAddr::V6(local), interface }) => {
            // A link-local address, of either side, means nothing without its interface.
            let of_peer = matches!(address.ip(), IpAddr::V6(peer) if peer.is_unicast_link_local());
            let interface = if of_peer || local.is_unicast_link_local() { interface } else { 0 };
            let address = libc::in6_addr { s6_addr: local.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: interface };
            send(&[ControlMessage::Ipv6PacketInfo(&info)])?;
        }
        None => {
            send(&[])?;
        }
    }
    Ok(())
}

/// Who sent a datagram.
fn peer(header: &libc::msghdr, address: &libc::sockaddr_storage) -> Peer {
    match i32::from(address.ss_family) {
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller and no stricter
            // in alignment.
            let v6 = unsafe { &*std::ptr::from_ref(address).cast::<libc::sockaddr_in6>() };
            (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port)).into()
        }
        libc::AF_INET => {
            // SAFETY: as above, for sockaddr_in.
            let v4 = unsafe { &*std::ptr::from_ref(address).cast::<libc::sockaddr_in>() };
            (Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), u16::from_be(v4.sin_port)).into()
        }
        // Most senders over a socket of the file system have no name of their own, so that the kernel writes none.
        _ => Peer::Local(find_control(header, credentials)),
    }
}

/// The process that SCM_CREDENTIALS (unix(7)) tells: its id, its user, its group.
fn credentials((level, kind): (i32, i32), content: &[u8]) -> Option<Credentials> {
    if (level, kind) != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
        return None;
    }
    let (pid, rest) = content.split_first_chunk()?;
    let (pid, uid) = (u32::from_ne_bytes(*pid), u32::from_ne_bytes(*rest.first_chunk()?));
    // What was sent before the socket asked for credentials has these: no process, and the user for those that are not known.
    ((pid, uid) != (0, 65_534)).then_some(Credentials { pid, uid })
}

/// The sockets that the service manager gave this process at its start, with their names (sd_listen_fds_with_names(3)). It must
/// be called before the process opens anything: descriptors that the environment names wrongly are not open then, and left out.
pub fn inherited() -> &'static [(String, OwnedFd)] {
    static SOCKETS: OnceLock<Vec<(String, OwnedFd)>> = OnceLock::new();
    /// SD_LISTEN_FDS_START.
    const FIRST: RawFd = 3;
    SOCKETS.get_or_init(|| {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        if variable("LISTEN_PID") != std::process::id().to_string() {
            return Vec::new();
        }
        let names = variable("LISTEN_FDNAMES");
        let names = names.split(':').map(str::to_owned).chain(std::iter::repeat("unknown".to_owned()));
        let last = FIRST.saturating_add(variable("LISTEN_FDS").parse().unwrap_or(0));
        let taken = (FIRST..last).zip(names).map_while(|(descriptor, name)| {
            // SAFETY: fcntl of a number that is no open descriptor fails, and changes nothing else.
            if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return None;
            }
            // SAFETY: it is open, was opened for this process by who started it, and is taken here once in its life.
            Some((name, unsafe { OwnedFd::from_raw_fd(descriptor) }))
        });
        taken.collect()
    })
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

/// From now on, who writes beyond the process's limit of the size of a file (RLIMIT_FSIZE) gets EFBIG, as from a disk that is full, and is
/// not ended by SIGXFSZ. Processes that this one starts are: execve(2) takes a handler away, where a signal that is ignored stays so.
pub fn survive_file_limit() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: all-zero is a valid value of this plain C structure: no flags, and no signal blocked.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the structure is valid for the call; the handler does nothing, which is safe at any moment.
    unsafe { libc::sigaction(libc::SIGXFSZ, &raw const action, std::ptr::null_mut()) };
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

/// Columns and lines of a terminal; none if it does not tell.
pub fn terminal_size(terminal: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut size = MaybeUninit::<libc::winsize>::uninit();
    // SAFETY: TIOCGWINSZ writes one winsize to the given place; the descriptor is open for the call.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: the call succeeded, so it has written the size.
    (result == 0).then(|| unsafe { size.assume_init() }).map(|size| (size.ws_col, size.ws_row))
}

/// Whether the clock of this machine is kept in step with others (adjtimex(2)). Changes nothing.
///
/// # Errors
///
/// What the system says.
pub fn clock_is_synchronised() -> io::Result<bool> {
    // SAFETY: all-zero is a valid value of this plain C structure; without modes the call only reads.
    let mut clock: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: the structure is valid for the call, which writes into it and keeps no reference.
    let state = unsafe { libc::adjtimex(&raw mut clock) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(state != libc::TIME_ERROR && clock.status & libc::STA_UNSYNC == 0)
}

/// The name of an address by the system's resolver (getnameinfo, POSIX.1-2017); none if the address has none. Blocks until
/// the resolver has answered or has given up.
///
/// # Errors
///
/// Why the resolver cannot tell.
pub fn name_of(address: IpAddr) -> io::Result<Option<String>> {
    let address = SockaddrStorage::from(SocketAddr::new(address, 0));
    let mut name = [0_u8; libc::NI_MAXHOST as usize];
    // SAFETY: the address and its length are those of a `SockaddrStorage`, and the buffer for the name has the length that is
    // given. There is no buffer for the service.
    let result = unsafe {
        libc::getnameinfo(
            address.as_ptr(),
            address.len(),
            name.as_mut_ptr().cast(),
            libc::NI_MAXHOST,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    match result {
        0 => {
            let name = CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
            Ok(name.to_str().ok().map(str::to_owned))
        }
        libc::EAI_NONAME => Ok(None),
        libc::EAI_SYSTEM => Err(io::Error::last_os_error()),
        code => {
            // SAFETY: it returns a pointer to a string that lives for ever, for any code.
            let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
            Err(io::Error::other(text.to_string_lossy()))
        }
    }
}

#[cfg(test)]
#[path = "sys_tests.rs"]
mod tests;
