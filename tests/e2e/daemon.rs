//! The daemon, as users start it.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Program, link_trap, port, read, snmptrap, wait_or, wait_until};

/// A running daemon with its own directory and ports.
pub struct Daemon {
    pub dir: TempDir,
    pub snmp: u16,
    pub syslog_udp: u16,
    pub syslog_tcp: u16,
    program: Option<Program>,
}

/// The program under test: the one that was built with the tests, or the one that `TRAPLINE_BINARY` names, such as an
/// optimised one for a long run.
pub fn trapline() -> Command {
    let built = env!("CARGO_BIN_EXE_trapline").into();
    let mut command = Command::new(std::env::var_os("TRAPLINE_BINARY").unwrap_or(built));
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end, whatever that is.
pub fn output(args: &[&str]) -> Output {
    trapline().args(args).output().unwrap()
}

impl Daemon {
    /// A daemon that listens on ports of its own; `rest` is the rest of its configuration, where `DIR` stands
    /// for its directory. It is ready when this returns.
    pub fn start(rest: &str) -> Self {
        let mut daemon = Self::prepare(rest);
        daemon.restart();
        daemon
    }

    /// The same, not started.
    pub fn prepare(rest: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (snmp, syslog_udp, syslog_tcp) = (port(), port(), port());
        let rest = rest.replace("DIR", dir.path().to_str().unwrap());
        // Whatever modules this machine has.
        let mibs = if rest.contains("[mibs]") { "" } else { "[mibs]\npaths = []\n" };
        let text = format!(
            "[snmp]\nlisten = [\"127.0.0.1:{snmp}\", \"[::1]:{snmp}\"]\n{RELAYS}\n\
             [syslog]\nlisten = [\"udp://127.0.0.1:{syslog_udp}\", \"tcp://127.0.0.1:{syslog_tcp}\"]\n{LINE_RELAYS}\n{mibs}{rest}\n"
        );
        std::fs::write(dir.path().join("trapline.toml"), text).unwrap();
        Daemon { dir, snmp, syslog_udp, syslog_tcp, program: None }
    }

    /// Starts it, again if it has run before, and waits until it listens.
    pub fn restart(&mut self) {
        let mut command = trapline();
        command.args(["run", "--config"]).arg(self.path("trapline.toml"));
        self.start_as(command);
    }

    /// The same, by a command of the test's own.
    pub fn start_as(&mut self, command: Command) {
        self.start_with(command, Stdio::null());
    }

    /// The same, with this as its standard input.
    pub fn start_with(&mut self, mut command: Command, input: Stdio) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let before = self.log().matches("listening: ").count();
        self.program = Some(Program::start_with(command.stderr(log), input));
        wait_until("the daemon listens", || {
            assert!(self.program.as_mut().unwrap().0.try_wait().unwrap().is_none(), "{}", self.log());
            self.log().matches("listening: ").count() > before
        });
    }

    /// Gives it a module that cannot be read to the end until the result is dropped: it stands for thousands of modules.
    pub fn slow_modules(&self) -> File {
        let (mibs, state) = (self.path("mibs"), self.path("var"));
        std::fs::create_dir_all(&mibs).unwrap();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&state).unwrap();
        let module = "SLOW-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\n\
                      slow OBJECT IDENTIFIER ::= { enterprises 99999 }\nEND\n";
        std::fs::write(mibs.join("SLOW-MIB.txt"), module).unwrap();
        // Who reads modules waits for whoever reads them already.
        let lock = state.join("mibs.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(lock)
            .unwrap();
        lock.lock().unwrap();
        lock
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        read(&self.path("log"))
    }

    /// Waits until the log says something: what a client sees of an event may come before the line that the daemon
    /// writes about it.
    pub fn wait_log(&self, text: &str) {
        let says = || self.log().contains(text).then_some(());
        wait_or(|| format!("the log says {text:?}: {}", self.log()), says);
    }

    /// Waits until its first sink has delivered so many outcomes, given up so many, and has no others.
    pub fn wait_settled(&self, delivered: u64, dead: u64) {
        let settled = || {
            let sink = &self.status()["sinks"][0];
            (sink["delivered"] == delivered && sink["dead"] == dead && sink["behind"] == 0).then_some(())
        };
        wait_or(|| format!("{delivered} are delivered, {dead} dead: {}", self.status()), settled);
    }

    /// Ends it without a chance to tidy up.
    pub fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.signal("TERM");
        assert!(program.0.wait().unwrap().success(), "{}", self.log());
    }

    pub fn pid(&self) -> u32 {
        self.program.as_ref().unwrap().0.id()
    }

    pub fn reload(&self) {
        self.program.as_ref().unwrap().signal("HUP");
    }

    /// What `trapline status --json` says.
    pub fn status(&self) -> Value {
        let config = self.path("trapline.toml");
        let output = output(&["status", "--json", "--config", config.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What `trapline unmatched` prints as JSON.
    pub fn unmatched(&self, args: &[&str]) -> Value {
        let config = self.path("trapline.toml");
        let output =
            output(&[&["unmatched"], args, &["--json", "--config", config.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// All messages that are kept of those that no rule takes, by the time when they were received.
    pub fn unmatched_messages(&self) -> Vec<Value> {
        let groups = self.unmatched(&[]);
        let of_group = |group: &Value| {
            let id = group["group"].to_string();
            self.unmatched(&["show", &id])["messages"].as_array().unwrap().clone()
        };
        let mut messages: Vec<Value> =
            groups["groups"].as_array().unwrap().iter().flat_map(of_group).collect();
        messages.sort_by_key(|message| message["received"].as_str().unwrap().to_owned());
        messages
    }

    /// Waits until a counter of the intake has a value.
    pub fn wait_count(&self, counter: &str, value: u64) {
        wait_until(&format!("{counter} is {value}"), || {
            self.status()["intake"][counter].as_u64() >= Some(value)
        });
    }

    /// The outcomes in a file sink's file, by now.
    pub fn outcomes(&self, file: &str) -> Vec<Value> {
        json_lines(&self.path(file))
    }

    /// Sends it a trap of net-snmp's: its name, and its varbinds, each with an OID, a type and a value.
    pub fn trap(&self, words: &[&str]) {
        snmptrap(&[&["-v2c", "-c", "public", &self.snmp_target(), ""], words].concat());
    }

    /// Sends it the trap of an interface that is down.
    pub fn link_down(&self, interface: &str) {
        link_trap(&["-v2c", "-c", "public", &self.snmp_target(), "", "1.3.6.1.6.3.1.1.5.3"], interface, "2");
    }

    /// Where to send notifications, for net-snmp's tools.
    pub fn snmp_target(&self) -> String {
        format!("udp:127.0.0.1:{}", self.snmp)
    }
}

/// In the configuration of every daemon: tests speak for other hosts.
pub const RELAYS: &str = "relays = [\"127.0.0.1\", \"::1\"]";

/// The same for lines of syslog, which may come from any address.
pub const LINE_RELAYS: &str = "relays = [\"0.0.0.0/0\", \"::/0\"]";

/// The whole lines of a file, as JSON.
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = read(path);
    let whole = text.rfind('\n').map_or("", |at| &text[..at]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A file sink, in configuration.
pub const FILE_SINK: &str = "[[sinks]]\nname = \"out\"\ntype = \"file\"\npath = \"DIR/out.jsonl\"\n";
