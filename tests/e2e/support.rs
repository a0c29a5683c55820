//! What the tests share: programs that are stopped when the test ends, free ports, waiting for conditions.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a condition may take to come true, on a loaded machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until something is there.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_or(|| what.to_owned(), look)
}

/// The same; what fails is said as it is at the end.
pub fn wait_or<T>(what: impl FnOnce() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{}: not within {PATIENCE:?}", what());
        look_again();
    }
}

/// The pause between two looks at a condition, for a wait with a deadline of its own.
pub fn look_again() {
    std::thread::sleep(Duration::from_millis(20));
}

/// The pause of a sender between two messages, so that it sends no faster than it means to.
pub fn pace(pause: Duration) {
    std::thread::sleep(pause);
}

/// Lets a time pass, for a test whose subject is the moment: a kill in the middle of whatever happens then. What is asserted
/// afterwards must hold however far things have come.
pub fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Waits until something listens on a port of this machine, over TCP.
pub fn wait_port(port: u16) {
    wait_until(&format!("port {port} is open"), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// Removes a folder with all that is in it, into which a daemon may write at this moment.
pub fn remove_folder(path: &Path) {
    wait_until(&format!("{} is removed", path.display()), || {
        std::fs::remove_dir_all(path).is_ok() || !path.exists()
    });
}

/// A port that no other test of this process gets and that is free now, for UDP and TCP. Below the range from which
/// the system gives ports to clients, so that none of them takes it before it is used.
pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 400) as u16 * 40;
    loop {
        let port = 15_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 16_000;
        let free = |address: IpAddr| {
            UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok()
        };
        if free(Ipv4Addr::LOCALHOST.into()) && free(Ipv6Addr::LOCALHOST.into()) {
            return port;
        }
    }
}

/// A program that is killed, by its id, when the test ends.
pub struct Program(pub Child);

impl Program {
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// The same, with this as its standard input.
    pub fn start_with(command: &mut Command, input: Stdio) -> Self {
        let name = format!("{command:?}");
        Program(command.stdin(input).spawn().unwrap_or_else(|e| panic!("{name}: {e}; run tests/run")))
    }

    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it at once, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that starts others: all of its group are killed when the test ends.
pub struct Group(Child);

impl Group {
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        Group(child.unwrap_or_else(|e| panic!("{name}: {e}; run tests/run")))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group has the id of its first process, which nobody else gets before this has been waited for.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Ends the threads that look at a flag, also when the test fails: a scope waits for its threads.
pub struct Ends<'f>(pub &'f AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says that this test is skipped, past what the test harness keeps back; tests/run counts these lines. `why` begins with "no", and what
/// comes before a semicolon is in the last line of tests/run.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    std::io::stderr().write_all(format!("\nSKIPPED: {test}: {why}\n").as_bytes()).unwrap();
}

/// A program of Python that few machines can run, which tests/run puts into target/. Where it is not, the test is [skipped].
pub fn optional(folder: &str, program: &str, needs: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(folder);
    // Written once all is installed.
    if root.join("complete").exists() {
        return Some(root);
    }
    skipped(&format!("no {program}, which needs {needs}; tests/run installs it where it finds that"));
    None
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command) -> Output {
    let name = format!("{command:?}");
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{name}: {e}; run tests/run"));
    assert!(output.status.success(), "{name}: {output:?}");
    output
}

/// A file's content, empty if there is none.
pub fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// net-snmp's snmptrap with arguments, to a port of this machine.
pub fn snmptrap(args: &[&str]) {
    run(Command::new("snmptrap").args(["-m", ""]).args(args));
}

/// The varbinds of a link trap of interface 3, admin up, for net-snmp's tools.
pub fn interface(description: &str, oper_status: &str) -> Vec<String> {
    [(1, "i", "3"), (7, "i", "1"), (8, "i", oper_status), (2, "s", description)]
        .into_iter()
        .flat_map(|(column, kind, value)| {
            [format!("1.3.6.1.2.1.2.2.1.{column}.3"), kind.to_owned(), value.to_owned()]
        })
        .collect()
}

/// The same as [`snmptrap`], with the varbinds of an interface behind the arguments.
pub fn link_trap(args: &[&str], description: &str, oper_status: &str) {
    let varbinds = interface(description, oper_status);
    snmptrap(&args.iter().copied().chain(varbinds.iter().map(String::as_str)).collect::<Vec<_>>());
}

/// How often to do something that is done `usual` times in an ordinary run; `TRAPLINE_CHAOS` multiplies it.
pub fn times(usual: u32) -> u32 {
    let factor = std::env::var("TRAPLINE_CHAOS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    usual.saturating_mul(factor)
}

/// Random numbers (splitmix64), from a seed that is printed so that a run can be looked into.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        println!("random numbers from {seed}");
        Random(seed)
    }

    /// A number below this one.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The folder of MIB modules, where it stands beside this checkout.
pub fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/mibs");
    if !corpus.exists() {
        println!("no corpus of MIBs here");
    }
    Some(corpus).filter(|corpus| corpus.exists())
}
