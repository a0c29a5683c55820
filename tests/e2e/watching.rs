//! What is to be seen of the running daemon: metrics, readiness, systemd's socket, the table.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{port, wait_until};

pub fn get(port: u16, path: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-s", "-w", "\n%{http_code}", &format!("http://127.0.0.1:{port}{path}")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The value of a metric with these labels.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn metrics_alive_and_ready() {
    let http = port();
    let daemon = Daemon::start(&format!("{FILE_SINK}[http]\nlisten = \"127.0.0.1:{http}\"\n"));
    daemon.link_down("Gi0/3");
    daemon.trap(&["1.3.6.1.4.1.99999.0.1"]);
    daemon.wait_count("unmatched", 1);
    wait_until("it is delivered", || daemon.outcomes("out.jsonl").len() == 1);
    wait_until("and counted", || daemon.status()["sinks"][0]["delivered"] == 1);
    let (status, metrics) = get(http, "/metrics");
    assert_eq!(status, 200);
    for (name, expected) in [
        ("trapline_snmp_received_total", 2.0),
        ("trapline_decoded_total", 2.0),
        ("trapline_unmatched_total", 1.0),
        ("trapline_rule_matched_total{rule=\"link-down\"}", 1.0),
        ("trapline_malformed_total{reason=\"truncated\"}", 0.0),
        ("trapline_kernel_drops_total", 0.0),
        ("trapline_sink_delivered_total{sink=\"out\"}", 1.0),
        ("trapline_sink_dead_total{sink=\"out\"}", 0.0),
        ("trapline_sink_lag_records{sink=\"out\"}", 0.0),
        ("trapline_sink_lag_seconds{sink=\"out\"}", 0.0),
        ("trapline_delivery_seconds_count{sink=\"out\"}", 1.0),
        ("trapline_delivery_seconds_bucket{sink=\"out\",le=\"+Inf\"}", 1.0),
    ] {
        assert!((value(&metrics, name) - expected).abs() < 1e-9, "{name}: {}", value(&metrics, name));
    }
    assert!(value(&metrics, "trapline_journal_bytes") > 0.0);
    // Every family is told once, before its values.
    let mut seen = std::collections::HashSet::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(seen.insert(line.to_owned()), "{line}");
    }
    assert_eq!(get(http, "/alive").0, 200);
    assert_eq!(get(http, "/ready"), (200, "ready\n".to_owned()));
    assert_eq!(get(http, "/nothing").0, 404);
}

#[test]
fn systemd_hears_of_it() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    let path = daemon.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut command = trapline();
    command.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000");
    daemon.start_as(command);
    let heard = |word: &str| {
        let mut buffer = [0; 4096];
        for _ in 0..100 {
            let length = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{word}: {e}"));
            if String::from_utf8_lossy(&buffer[..length]).contains(word) {
                return;
            }
        }
        panic!("{word} did not come");
    };
    heard("READY=1");
    heard("WATCHDOG=1");
    heard("STATUS=0 outcomes a second, 0 to deliver");
    heard("WATCHDOG=1");
    daemon.stop();
    heard("STOPPING=1");
}

/// How often each thread of a process has gone to sleep by itself.
fn sleeps(pid: u32) -> HashMap<OsString, u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |thread: std::fs::DirEntry| {
        // A thread may end while its file is read.
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((thread.file_name(), count.trim().parse().unwrap()))
    };
    threads.filter_map(|thread| of(thread.ok()?)).collect()
}

/// How often the threads that are there `after` have gone to sleep since `before`.
fn sleeps_since(before: &HashMap<OsString, u64>, after: &HashMap<OsString, u64>) -> u64 {
    after.iter().map(|(thread, count)| count - before.get(thread).copied().unwrap_or_default()).sum()
}

/// How much time of a processor a process has had, in hundredths of a second.
fn worked(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may have spaces.
    let numbers: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, which proc(5) counts from the name's neighbours on as 14 and 15.
    numbers[11..13].iter().map(|count| count.parse::<u64>().unwrap()).sum()
}

/// It is seldom woken, and it does not stay awake: a thread that never sleeps is never woken.
#[test]
fn an_idle_daemon_sleeps() {
    const SECONDS: u64 = 10;
    // One sink that has delivered everything, one whose core is away, and a listener of each protocol and transport.
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/nowhere\"\n\
         [http]\nlisten = \"127.0.0.1:{}\"\n",
        port()
    ));
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let tcp = format!("listen = [\"tcp://127.0.0.1:{}\", ", daemon.snmp);
    std::fs::write(&path, config.replacen("listen = [", &tcp, 1)).unwrap();
    daemon.restart();
    let rest = |when: &str| {
        let mut before = (sleeps(daemon.pid()), worked(daemon.pid()));
        let mut since = Instant::now();
        // What the start or a message has begun ends within a few rounds.
        wait_until(&format!("it sleeps {when}"), || {
            if since.elapsed() < Duration::from_secs(SECONDS) {
                return false;
            }
            since = Instant::now();
            let now = (sleeps(daemon.pid()), worked(daemon.pid()));
            let (woken, percent) = (sleeps_since(&before.0, &now.0), (now.1 - before.1) / SECONDS);
            before = now;
            println!(
                "{when}: {:.1} wake-ups a second, {percent} % of a processor",
                woken as f64 / SECONDS as f64
            );
            woken <= 2 * SECONDS && percent < 10
        });
    };
    rest("with nothing to do");
    daemon.link_down("Gi0/3");
    wait_until("it is delivered", || daemon.outcomes("out.jsonl").len() == 1);
    rest("with a core that is away");
}

/// Whatever else it has to do now and then, it sleeps in between.
#[test]
fn a_daemon_with_everything_switched_on_sleeps() {
    const SECONDS: u64 = 5;
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[http]\nlisten = \"127.0.0.1:{}\"\n[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{}\"\n\
         [history]\n[storm]\nrate = 100\n[self]\nhost = \"trapline\"\n[capture]\n\
         [[mute]]\nhost = \"core-*\"\nfrom = \"00:00\"\nto = \"23:59\"\n\
         [[intake]]\ntype = \"amqp\"\nurl = \"amqp://127.0.0.1:{}/v\"\nqueue = \"q\"\nformat = \"canopsis\"\n\
         [[forward]]\nwhat = \"snmp\"\nto = \"127.0.0.1:{}\"\n\
         [[lookups]]\nname = \"site\"\ncsv = \"DIR/sites.csv\"\nkey = \"host\"\nrefresh = \"1s\"\n",
        port(),
        port(),
        port(),
        port()
    ));
    std::fs::write(daemon.path("sites.csv"), "host,city\nsw1,Vienna\n").unwrap();
    daemon.restart();
    daemon.link_down("Gi0/3");
    wait_until("it is delivered", || {
        daemon.outcomes("out.jsonl").iter().any(|one| one.to_string().contains("Gi0/3"))
    });
    let (mut before, mut since) = (worked(daemon.pid()), Instant::now());
    wait_until("it sleeps", || {
        if since.elapsed() < Duration::from_secs(SECONDS) {
            return false;
        }
        since = Instant::now();
        let now = worked(daemon.pid());
        let percent = (now - before) / SECONDS;
        before = now;
        println!("{percent} % of a processor");
        percent < 10
    });
}

#[test]
fn the_table_refreshes() {
    let daemon = Daemon::start(FILE_SINK);
    let mut watch = trapline()
        .args(["status", "--watch", "--config"])
        .arg(daemon.path("trapline.toml"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    let tables = lines.by_ref().map(Result::unwrap).filter(|line| line.starts_with("sink ")).take(2).count();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(tables, 2);
}

/// How many bytes a process has read from files and sockets.
fn bytes_read(pid: u32) -> u64 {
    let counts = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// However much waits for a sink, telling how much reads nothing of the journal.
#[test]
fn what_is_asked_of_the_daemon_reads_nothing_of_the_journal() {
    let (http, nobody) = (port(), port());
    let mut daemon = crate::reload::prepare(&format!(
        "[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [[sinks]]\nname = \"away\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{nobody}\"\n"
    ));
    daemon.restart();
    crate::reload::lines(daemon.syslog_tcp, 0..5000);
    let behind = || daemon.status()["sinks"][0]["behind"].as_u64().unwrap();
    wait_until("they wait for the sink", || behind() == 5000);
    let journal = daemon.status()["journal"]["bytes"].as_u64().unwrap();
    let before = bytes_read(daemon.pid());
    for _ in 0..20 {
        assert_eq!(get(http, "/metrics").0, 200);
        assert_eq!(get(http, "/ready").0, 200);
        assert_eq!(behind(), 5000);
    }
    let read = bytes_read(daemon.pid()) - before;
    assert!(read < journal, "{read} bytes read for 60 answers, with a journal of {journal} bytes");
}
