//! What receiving alone costs: recvmmsg and nothing else, without the library that is measured.

use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt};

use crate::process::{self, Usage};

/// Datagrams a call, at most.
const BATCH: usize = 128;
/// Octets kept of a datagram.
const SLOT: usize = 2048;

/// A thread that receives and counts.
pub struct Null {
    pub port: u16,
    taken: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Null {
    /// With `gather` it sleeps so long after each call that did not fill its batch.
    pub fn start(gather: Option<Duration>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &(64 << 20)).unwrap();
        }
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (taken, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (tell, told) = channel();
        let (count, end) = (taken.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            tell.send(process::this_task()).unwrap();
            receive(&socket, gather, &count, &end);
        });
        Null { port, taken, stop, task: told.recv().unwrap(), thread: Some(thread) }
    }

    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub fn usage(&self) -> Usage {
        process::of_task(&self.task)
    }

    /// Has it run on one core.
    pub fn keep_to(&self, core: &str) {
        let id = self.task.file_name().unwrap().to_str().unwrap();
        process::keep_to(core, false, id);
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn receive(socket: &UdpSocket, gather: Option<Duration>, taken: &AtomicU64, stop: &AtomicBool) {
    let mut buffers = vec![0; BATCH * SLOT];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    while !stop.load(Ordering::Relaxed) {
        let mut slots: Vec<[IoSliceMut<'_>; 1]> =
            buffers.chunks_exact_mut(SLOT).map(|slot| [IoSliceMut::new(slot)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let count = match recvmmsg(socket.as_raw_fd(), &mut headers, slots.iter_mut(), flags, None) {
            Ok(datagrams) => datagrams.count(),
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            Err(error) => panic!("the null receiver cannot receive: {error}"),
        };
        taken.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(gather) = gather.filter(|_| (1..BATCH).contains(&count)) {
            std::thread::sleep(gather);
        }
    }
}
