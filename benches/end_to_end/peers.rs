//! The programs that Trapline takes the place of, on the same messages.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::VARBINDS;
use crate::common::LINE;
use crate::daemon::{SNMP, SYSLOG, cpu_seconds, trapline};

/// Where they are installed: snmptrapd, snmptt, rsyslog and syslog-ng on the same messages.
pub fn peers(null: f64) {
    println!("\npeers on the same messages, CPU of the whole process (null receiver: {null:.2} us)");
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("snmptrapd.conf", "disableAuthorization yes\n".to_owned());
    let mut snmptrapd = Command::new("snmptrapd");
    snmptrapd
        .args([
            "-f",
            "-C",
            "-c",
            &format!("{d}/snmptrapd.conf"),
            "-Lf",
            &format!("{d}/traps"),
            "-m",
            "",
            "-On",
        ])
        .arg(format!("udp:127.0.0.1:{SNMP}"));
    let to = format!("127.0.0.1:{SNMP}");
    let traps = [&["send", "trap", "--to", &to, "IF-MIB::linkDown"][..], &VARBINDS].concat();
    peer("snmptrapd: decode and log line, no rules", &mut snmptrapd, &traps, 5_000, &format!("{d}/traps"));
    snmptt(dir.path());
    let lines = ["send", "syslog", "--to", &format!("udp://127.0.0.1:{SYSLOG}"), LINE];
    write(
        "rsyslog.conf",
        format!(
            "module(load=\"imudp\" TimeRequery=\"2\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{SYSLOG}\" ruleset=\"r\")\n\
             template(name=\"t\" type=\"string\" string=\"[%timegenerated:::date-unixtimestamp%] PROCESS_SERVICE_CHECK_RESULT;%hostname%;TCP Wrappers;2;%msg%\\n\")\n\
             ruleset(name=\"r\" queue.type=\"LinkedList\" queue.size=\"2000000\") {{ if re_match($msg, 'refused connect from ([^ ]+) \\\\(([^)]+)\\\\)') then action(type=\"omfile\" file=\"{d}/rsyslog\" template=\"t\") }}\n"
        ),
    );
    let mut rsyslogd = Command::new("rsyslogd");
    rsyslogd.args(["-n", "-f", &format!("{d}/rsyslog.conf"), "-i", &format!("{d}/pid")]);
    peer(
        "rsyslog: one regex rule, in-memory queue, to a file",
        &mut rsyslogd,
        &lines,
        50_000,
        &format!("{d}/rsyslog"),
    );
    write(
        "syslog-ng.conf",
        format!(
            "@version: 3.38\nsource s {{ network(ip(127.0.0.1) port({SYSLOG}) transport(udp) so-rcvbuf(16777216)); }};\n\
             filter f {{ match(\"refused connect from ([^ ]+) \\\\(([^)]+)\\\\)\" value(MESSAGE)); }};\n\
             destination d {{ file(\"{d}/syslog-ng\" template(\"[$S_UNIXTIME] PROCESS_SERVICE_CHECK_RESULT;$HOST;TCP Wrappers;2;$MSG\\n\")); }};\n\
             log {{ source(s); filter(f); destination(d); }};\n"
        ),
    );
    let mut syslog_ng = Command::new("syslog-ng");
    syslog_ng.args(["-F", "--no-caps", "-f", &format!("{d}/syslog-ng.conf"), "-p", &format!("{d}/ng.pid")]);
    syslog_ng.args(["-R", &format!("{d}/ng.persist"), "-c", &format!("{d}/ng.ctl")]);
    peer("syslog-ng: the same", &mut syslog_ng, &lines, 50_000, &format!("{d}/syslog-ng"));
}

fn peer(what: &str, command: &mut Command, send: &[&str], rate: u64, output: &str) {
    let Ok(mut process) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    else {
        println!("{what:<52} not installed");
        return;
    };
    std::thread::sleep(Duration::from_secs(1));
    let (before, count) = (cpu_seconds(process.id()), rate * 3);
    let sent = trapline()
        .args(send)
        .args(["--count", &count.to_string(), "--rate", &rate.to_string()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let taken = std::fs::read_to_string(output).unwrap_or_default().matches('\n').count();
    if sent.success() && taken > 0 {
        let cpu = (cpu_seconds(process.id()) - before) / count as f64 * 1e6;
        println!("{what:<52}{rate:>8}/s{cpu:>10.1} us each");
    } else {
        println!("{what:<52} did not take the load");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

/// snmptt's daemon on a full spool directory, as snmptthandler fills it.
fn snmptt(dir: &Path) {
    let what = "snmptt daemon: spool file to log line, 10 EVENTs";
    let d = dir.display();
    let count = 2000;
    std::fs::create_dir(dir.join("spool")).unwrap();
    for n in 0..count {
        let text = "1795176000\nrouter1\nUDP: [127.0.0.1]:5000->[127.0.0.1]:162\n.1.3.6.1.2.1.1.3.0 0:0:00:01.00\n\
                    .1.3.6.1.6.3.1.1.4.1.0 .1.3.6.1.6.3.1.1.5.3\n.1.3.6.1.2.1.2.2.1.1.3 3\n.1.3.6.1.2.1.2.2.1.7.3 1\n\
                    .1.3.6.1.2.1.2.2.1.8.3 2\n.1.3.6.1.2.1.2.2.1.2.3 GigabitEthernet0/3\n";
        std::fs::write(dir.join(format!("spool/#snmptt-trap-1795176000{n:06}")), text).unwrap();
    }
    let mut events: String = (0..9)
        .map(|n| {
            format!("EVENT other{n} .1.3.6.1.4.1.9999{n}.0.1 \"Status Events\" Normal\nFORMAT other $1\n")
        })
        .collect();
    events.push_str("EVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Critical\nFORMAT Link down on $4 (admin $2, oper $3)\n");
    std::fs::write(dir.join("snmptt.conf"), events).unwrap();
    let ini = format!(
        "[General]\nmode = daemon\ndns_enable = 0\nnet_snmp_perl_enable = 0\n\
         [DaemonMode]\ndaemon_fork = 0\npid_file = {d}/snmptt.pid\nspool_directory = {d}/spool/\nsleep = 1\n\
         [Logging]\nstdout_enable = 0\nlog_enable = 1\nlog_file = {d}/snmptt.log\nsyslog_enable = 0\nsyslog_system_enable = 0\n\
         [TrapFiles]\nsnmptt_conf_files = <<END\n{d}/snmptt.conf\nEND\n"
    );
    std::fs::write(dir.join("snmptt.ini"), ini).unwrap();
    let spawned = Command::new("snmptt")
        .args(["--daemon", &format!("--ini={d}/snmptt.ini")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut process) = spawned else {
        println!("{what:<52} not installed");
        return;
    };
    let logged =
        || std::fs::read_to_string(dir.join("snmptt.log")).unwrap_or_default().matches("Link down").count();
    let start = Instant::now();
    while logged() < count && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let taken = logged();
    if taken == count {
        let cpu = cpu_seconds(process.id()) / count as f64 * 1e6;
        println!("{what:<52}{:>8.0}/s{cpu:>10.1} us each", count as f64 / start.elapsed().as_secs_f64());
    } else {
        println!("{what:<52} took {taken} of {count}");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}
