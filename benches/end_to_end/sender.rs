//! The sender: a process of its own, so that its CPU time is not the receiver's.
//!
//! `cargo bench --bench end_to_end -- send --to 127.0.0.1:1162 --rate 1000 --count 10000` sends one datagram at a
//! time at even distances, as devices do; with `--burst 64` that many at once, at 64 times the distance. What is
//! late is made up for at once, and the last line says how late datagrams were.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use trapline::message::NotificationKind;
use trapline::sys;

use crate::common::{LINE, packet};
use crate::table::percentile;

/// How long before a datagram is due the sender wakes up; the rest it spins. Longer than a wake-up takes, shorter
/// than the distance of two datagrams at the rates that are sent evenly.
const SPIN: Duration = Duration::from_micros(20);
/// A line that only a pattern finds.
const PATTERN: &str = "<36>Nov 20 12:00:01 db1 guard[411]: door 17 was opened by nobody in particular";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Message {
    /// A v2c linkDown with 4 varbinds
    Trap,
    /// The same; ifDescr is the time when it was sent, in nanoseconds since 1970
    Stamped,
    /// A line of TCP Wrappers
    Line,
    /// A line that only a rule with a pattern takes
    Pattern,
}

#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// ADDRESS:PORT
    #[arg(long)]
    to: String,
    #[arg(long, value_enum, default_value = "trap")]
    message: Message,
    /// How many a second
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// How many at a time
    #[arg(long, default_value_t = 1)]
    burst: u64,
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// How many addresses send by turns, 127.1.0.0 and the next ones; only one by one
    #[arg(long, default_value_t = 1)]
    senders: u32,
}

/// Sends, and prints how even that was.
pub fn run(args: &SendArgs) {
    // Else the kernel may be 50 us late to save wake-ups. Where it does not allow this, datagrams are late as shown.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let sockets: Vec<UdpSocket> = (0..args.senders).map(|n| connected(args, n)).collect();
    let fixed = match args.message {
        Message::Trap | Message::Stamped => packet("GigabitEthernet0/3", NotificationKind::Trap, 0),
        Message::Line => LINE.as_bytes().to_vec(),
        Message::Pattern => PATTERN.as_bytes().to_vec(),
    };
    let mut late = Vec::with_capacity((args.count / args.burst) as usize + 1);
    let (start, mut sent) = (Instant::now(), 0);
    while sent < args.count {
        let due = Duration::from_nanos((u128::from(sent) * 1_000_000_000 / u128::from(args.rate)) as u64);
        wait(start, due);
        late.push((start.elapsed().saturating_sub(due)).as_secs_f64() * 1e6);
        let now = args.burst.min(args.count - sent);
        let socket = &sockets[(sent % sockets.len() as u64) as usize];
        if args.message == Message::Stamped {
            socket.send(&packet(&now_nanos().to_string(), NotificationKind::Trap, 0)).unwrap();
            sent += 1;
        } else if now == 1 {
            socket.send(&fixed).unwrap();
            sent += 1;
        } else {
            sent += sys::send_batch(socket, &vec![fixed.as_slice(); now as usize]).unwrap() as u64;
        }
    }
    let took = start.elapsed().as_secs_f64();
    late.sort_by(f64::total_cmp);
    println!(
        "sent {} datagrams in {took:.3} s, {:.0} a second; late: median {:.0} us, p99 {:.0} us",
        args.count,
        args.count as f64 / took,
        percentile(&late, 0.5),
        percentile(&late, 0.99)
    );
}

fn connected(args: &SendArgs, n: u32) -> UdpSocket {
    let from = if args.senders == 1 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::from(0x7f01_0000 + n) };
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.connect(&args.to).unwrap();
    socket
}

/// Sleeps while there is time, then spins.
fn wait(start: Instant, due: Duration) {
    loop {
        let left = due.saturating_sub(start.elapsed());
        match left.checked_sub(SPIN) {
            _ if left.is_zero() => return,
            Some(sleep) if !sleep.is_zero() => std::thread::sleep(sleep),
            _ => std::hint::spin_loop(),
        }
    }
}

/// The time in nanoseconds since 1970, the same in all processes.
pub fn now_nanos() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64
}

/// A sender to be started.
#[derive(Debug, Clone)]
pub struct Load {
    command: Vec<String>,
    pub count: u64,
}

/// What a sender says at its end.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub seconds: f64,
    /// How late 99 of 100 datagrams were at most, in microseconds; NaN where the sender does not say.
    pub late: f64,
}

impl Load {
    /// This many datagrams at this rate, so many at a time.
    pub fn new(message: Message, port: u16, (rate, burst): (u64, u64), count: u64) -> Self {
        let program = std::env::current_exe().unwrap().display().to_string();
        let message = message.to_possible_value().unwrap().get_name().to_owned();
        let mut load = Load { command: vec![program, "send".into()], count };
        load.add(&["--to", &format!("127.0.0.1:{port}"), "--message", &message]);
        load.add(&[
            "--rate",
            &rate.to_string(),
            "--burst",
            &burst.to_string(),
            "--count",
            &count.to_string(),
        ]);
        load
    }

    /// `trapline send` with these arguments, in bursts of up to 64.
    pub fn trapline(program: &Path, args: &[&str], rate: Option<u64>, count: u64) -> Self {
        let mut load = Load { command: vec![program.display().to_string(), "send".into()], count };
        load.add(args);
        load.add(&["--count", &count.to_string()]);
        if let Some(rate) = rate {
            load.add(&["--rate", &rate.to_string()]);
        }
        load
    }

    /// Adds arguments.
    pub fn add(&mut self, args: &[&str]) {
        self.command.extend(args.iter().map(ToString::to_string));
    }

    pub fn start(&self) -> Child {
        Command::new(&self.command[0])
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Sends all of them.
    pub fn send(&self) -> Sent {
        let output = self.start().wait_with_output().unwrap();
        assert!(output.status.success(), "the sender failed: {self:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // The word before this one, as both senders write it.
        let before = |unit: &str, after: &str| {
            let text = said.split(after).nth(1)?;
            text.split(unit).next()?.trim().parse::<f64>().ok()
        };
        let seconds = before(" s,", " in ").unwrap_or(f64::NAN);
        Sent { seconds, late: before(" us", "p99 ").unwrap_or(f64::NAN) }
    }
}
