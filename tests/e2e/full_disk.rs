//! A state directory without room: what comes by HTTP, and a sink that is new.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::{port, run, wait_until};
use crate::web_server::WebServer;

const TOKEN: &str = "0123456789abcdef";
/// Nobody reads it at first, so the journal gets no room by what is delivered.
const PIPE: &str = "[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/cmd\"\n";

/// A daemon whose state directory is a disk of its own.
struct Small {
    daemon: Daemon,
    /// How others see that disk.
    disk: PathBuf,
}

impl Small {
    /// Starts it by lines of a shell, in which `VAR` is the disk, `RUN` the command of the daemon and `CONFIG` its configuration.
    fn start(config: &str, lines: &str) -> Self {
        let mut daemon = Daemon::prepare(config);
        let (var, file) = (daemon.path("var"), daemon.path("trapline.toml"));
        std::fs::create_dir(&var).unwrap();
        run(Command::new("mkfifo").arg(daemon.path("cmd")));
        std::fs::write(daemon.path("token"), format!("{TOKEN}\n")).unwrap();
        run(Command::new("chmod").arg("600").arg(daemon.path("token")));
        let command = format!("{} run --config {}", env!("CARGO_BIN_EXE_trapline"), file.display());
        let lines = lines
            .replace("VAR", var.to_str().unwrap())
            .replace("RUN", &command)
            .replace("CONFIG", file.to_str().unwrap());
        let script = format!("mount -t tmpfs -o size=1m tmpfs {} && {{ {lines}; }}", var.display());
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "bash", "-c", &script]);
        daemon.start_as(unshare);
        let disk = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), var.display()));
        Small { daemon, disk }
    }

    fn status(&self) -> Value {
        let mut socket = UnixStream::connect(self.disk.join("control.sock")).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Reads the commands from now on.
    fn commands(&self) -> Arc<Mutex<Vec<String>>> {
        // To write, too: so it does not wait for a writer.
        let pipe = std::fs::File::options().read(true).write(true).open(self.daemon.path("cmd")).unwrap();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let read = commands.clone();
        std::thread::spawn(move || {
            BufReader::new(pipe)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| read.lock().unwrap().push(line));
        });
        commands
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.disk.join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.disk.join("filler")).unwrap();
    }

    /// Whether an inform is answered.
    fn inform(&self) -> bool {
        let mut command = Command::new("snmpinform");
        command.args(["-m", "", "-v2c", "-c", "public", "-r", "0", "-t", "1"]);
        command.args([self.daemon.snmp_target().as_str(), "", "1.3.6.1.6.3.1.1.5.1"]);
        command.output().unwrap().status.success()
    }
}

#[test]
fn what_is_posted_is_refused_until_there_is_room_and_nothing_is_acknowledged_that_is_not_kept() {
    let listen = port();
    let config = format!(
        "{PIPE}[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{listen}\"\n\
         [[intake.checkin]]\nservice = \"backup\"\nhost = \"laptop\"\ntoken_file = \"token\"\n"
    );
    let small = Small::start(&config, "exec RUN");
    let post = |n: usize| {
        let body = format!("service=backup&token={TOKEN}&status=ok&info=report-{n}.&id={n}");
        let url = format!("http://127.0.0.1:{listen}/");
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "60", "-o", "/dev/null", "-w", "%{http_code}", "--data", &body, &url]);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert_eq!(post(0), "204");
    small.fill();
    // What is left of the last page takes a few.
    let mut answers = vec!["204".to_owned()];
    wait_until("one is refused", || {
        let answer = post(answers.len());
        answers.push(answer);
        answers.last().unwrap() != "204"
    });
    for n in answers.len()..answers.len() + 5 {
        answers.push(post(n));
    }
    // The daemon itself may free a page in between.
    assert!(answers.iter().all(|answer| answer == "204" || answer == "503"), "{answers:?}");
    small.daemon.wait_log("cannot take outcomes");
    assert!(!small.daemon.log().contains(TOKEN));
    small.make_room();
    // The senders try again, as they were asked to. What has waited in memory meanwhile was taken before.
    for n in (0..answers.len()).filter(|n| answers[*n] != "204") {
        wait_until("it is taken", || ["204", "409"].contains(&&*post(n)));
    }
    assert_eq!(small.status()["intake"]["outcomes_lost"], 0);
    let commands = small.commands();
    let times = || {
        let mut times: HashMap<String, usize> = HashMap::new();
        for command in commands.lock().unwrap().iter() {
            let (_, report) = command.split_once("report-").unwrap();
            *times.entry(report.split('.').next().unwrap().to_owned()).or_default() += 1;
        }
        times
    };
    wait_until("all have come", || times().len() == answers.len());
    wait_until("all is delivered", || small.status()["sinks"][0]["behind"] == 0);
    let outcomes = small.status()["intake"]["outcomes"].as_u64().unwrap();
    assert_eq!(outcomes, answers.len() as u64);
    assert!(times().values().all(|times| *times == 1), "{:?}", times());
}

/// It begins when there is room, with all that is taken from the start on; the other one delivers meanwhile.
#[test]
fn a_new_sink_on_a_full_disk_waits_for_room_and_misses_nothing() {
    let lines = "RUN; rm -f VAR/*.spare; printf '[[sinks]]\\nname = \"new\"\\ntype = \"file\"\\npath = \"new.jsonl\"\\n' >> CONFIG; \
                 dd if=/dev/zero of=VAR/filler bs=4096; exec RUN";
    let small = Small::start(PIPE, lines);
    for _ in 0..20 {
        small.daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    }
    wait_until("all are in the journal", || small.status()["intake"]["outcomes"] == 20);
    let parent = small.daemon.pid().to_string();
    run(Command::new("pkill").args(["-KILL", "-P", &parent]));
    small.daemon.wait_log("has no room for the cursor of the sink");
    wait_until("it listens again", || small.daemon.log().matches("listening: ").count() == 2);
    let has_room = || small.daemon.log().contains("has room again");
    assert!(
        !small.inform() || has_room(),
        "an inform was answered that a crash could take from the new sink"
    );
    let problems = small.status()["problems"].to_string();
    assert!(problems.contains("the journal takes no outcomes") || has_room(), "{problems}");
    let commands = small.commands();
    wait_until("the other one delivers", || commands.lock().unwrap().len() == 20);
    assert!(commands.lock().unwrap().iter().all(|command| command.contains("PROCESS_SERVICE_CHECK_RESULT")));
    small.make_room();
    wait_until("there is room", || small.inform());
    small.daemon.wait_log("has room again");
    let status = || small.status();
    wait_until("both have all", || {
        status()["sinks"].as_array().unwrap().iter().all(|sink| sink["behind"] == 0)
            && small.daemon.outcomes("new.jsonl").len() as u64
                == status()["intake"]["outcomes"].as_u64().unwrap()
    });
    assert!(status()["problems"].as_array().unwrap().is_empty(), "{}", status()["problems"]);
}

/// What the server refuses for good holds the journal's room until it is a dead letter: there is room for these, and what is not
/// dead is delivered meanwhile.
#[test]
fn dead_letters_have_room_on_a_full_disk() {
    const REFUSED: usize = 20;
    let (up, count) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let is_up = up.clone();
    let server = WebServer::start(move |_| {
        let status = match is_up.load(Ordering::SeqCst) {
            false => 503,
            true if count.fetch_add(1, Ordering::SeqCst) < REFUSED => 400,
            true => 200,
        };
        (status, "", String::new())
    });
    let config = format!("[[sinks]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}\"\n", server.url());
    let small = Small::start(&config, "exec RUN");
    let cold_start = || small.daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    for _ in 0..100 {
        cold_start();
    }
    small.fill();
    wait_until("the journal is full", || {
        cold_start();
        small.daemon.log().contains("cannot take outcomes")
    });
    up.store(true, Ordering::SeqCst);
    wait_until("all are delivered or dead", || {
        let sink = small.status()["sinks"][0].clone();
        sink["behind"] == 0 && sink["dead_letters"] == REFUSED
    });
    wait_until("there is room again", || small.inform());
    assert_eq!(small.status()["intake"]["outcomes_lost"], 0);
}

#[test]
fn dead_letters_are_written_as_room_is_made_for_some_of_them() {
    const OUTCOMES: usize = 500;
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let server =
        WebServer::start(move |_| (if is_up.load(Ordering::SeqCst) { 400 } else { 503 }, "", String::new()));
    let config = format!("[[sinks]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}\"\n", server.url());
    let small = Small::start(&config, "exec RUN");
    for _ in 0..OUTCOMES {
        small.daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    }
    let sink = || small.status()["sinks"][0].clone();
    wait_until("all are in the journal", || sink()["behind"] == OUTCOMES);
    small.fill();
    up.store(true, Ordering::SeqCst);
    // Somebody drops letters as long as there are some, and that is all the room there is.
    let letters = small.disk.join("dead/hook.jsonl");
    let (mut dropped, mut rounds) = (0, 0);
    wait_until("all are dead", || {
        let some = std::fs::read_to_string(&letters).unwrap_or_default().lines().count();
        if some > 0 && std::fs::remove_file(&letters).is_ok() {
            (dropped, rounds) = (dropped + some, rounds + 1);
        }
        sink()["behind"] == 0
    });
    assert!(rounds > 1, "{rounds}");
    assert!(dropped <= OUTCOMES && sink()["dead"] == OUTCOMES, "{dropped} of {}", sink());
}
