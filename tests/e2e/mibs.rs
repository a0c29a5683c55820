//! MIBs as users have them: what comes while they are read waits, the index is kept, values read as net-snmp's.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;

use trapline::message::Oid;
use trapline::mib::{Kind, Mib, Object, load};

use crate::daemon::{Daemon, FILE_SINK, json_lines, output, trapline};
use crate::support::{Program, link_trap, port, read, run, wait_until};

#[test]
fn what_comes_while_modules_are_read_waits_on_disk() {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[mibs]\npaths = [\"mibs\"]\n"));
    std::fs::create_dir(daemon.path("mibs")).unwrap();
    // A module that takes as long as the test wants: a pipe that nobody has written into yet.
    let slow = daemon.path("mibs/SLOW-MIB.txt");
    run(Command::new("mkfifo").arg(&slow));
    let log = std::fs::File::create(daemon.path("log")).unwrap();
    let mut first = Program::start(
        trapline()
            .args(["run", "--config"])
            .arg(daemon.path("trapline.toml"))
            .stderr(log.try_clone().unwrap()),
    );
    let target = daemon.snmp_target();
    let down = |n: u32| {
        link_trap(&["-v2c", "-c", "public", &target, "", "1.3.6.1.6.3.1.1.5.3"], &format!("Gi0/{n}"), "2");
    };
    let waiting = daemon.path("var/waiting");
    wait_until("the daemon listens", || daemon.path("var/engine").exists());
    for n in 0..20 {
        down(n);
    }
    wait_until("they wait", || std::fs::metadata(&waiting).is_ok_and(|m| m.len() > 20 * 100));
    assert!(!read(&daemon.path("log")).contains("listening: "));
    // It is killed before it is ready; the next one takes what it left.
    first.kill();
    let mut daemon = daemon;
    let mut command = trapline();
    command.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
    let writer = std::thread::spawn(move || {
        // Whoever opens it reads nothing, at once.
        while slow.exists() {
            drop(std::fs::File::options().write(true).open(&slow));
            // Not at once again: the end is only to be seen while nobody has it open to write.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    down(20);
    daemon.start_as(command);
    down(21);
    wait_until("all that waited, and what came after", || daemon.outcomes("out.jsonl").len() >= 21);
    let services: Vec<String> =
        daemon.outcomes("out.jsonl").iter().map(|o| o["service"].as_str().unwrap().to_owned()).collect();
    for n in (0..20).chain([21]) {
        assert!(services.contains(&format!("Interface Gi0/{n}")), "Gi0/{n}: {services:?}");
    }
    assert!(!waiting.exists());
    // The writer waits for a reader: here is one, and then nothing to write into any more.
    let slow = daemon.path("mibs/SLOW-MIB.txt");
    let _reader = std::fs::File::options().read(true).write(true).open(&slow).unwrap();
    std::fs::remove_file(slow).unwrap();
    writer.join().unwrap();
}

#[test]
fn a_reload_that_reads_modules_keeps_nobody_waiting() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[mibs]\npaths = [\"mibs\"]\n"));
    std::fs::create_dir(daemon.path("mibs")).unwrap();
    daemon.restart();
    // A module that nobody ever writes: the reload does not end.
    run(Command::new("mkfifo").arg(daemon.path("mibs/SLOW-MIB.txt")));
    daemon.reload();
    wait_until("another process reads", || {
        let parent = daemon.pid().to_string();
        Command::new("pgrep").args(["-P", &parent]).status().unwrap().success()
    });
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", "1.3.6.1.6.3.1.1.5.3"], "Gi0/3", "2");
    wait_until("the rules from before take it", || daemon.outcomes("out.jsonl").len() == 1);
    // Neither does it keep the daemon from stopping.
    daemon.stop();
}

#[test]
fn rules_of_a_module_pass_check_and_test_as_they_come() {
    let daemon = Daemon::prepare("[rules]\npaths = [\"rules.toml\"]\n");
    let made = output(&["mib", "rules", "IF-MIB", "UPS-MIB", "OSPF-TRAP-MIB"]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    // What clears reaches the service of what went wrong.
    assert_eq!(text.matches("service = \"link {{ index['IF-MIB::ifIndex'] }}\"").count(), 2, "{text}");
    std::fs::write(daemon.path("rules.toml"), text).unwrap();
    let config = daemon.path("trapline.toml").display().to_string();
    for command in ["check", "test"] {
        let done = output(&[command, "--config", &config]);
        assert!(done.status.success(), "{command}: {done:?}");
    }
    let wrong = output(&["mib", "rules", "IF-MBI"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean 'IF-MIB'?"), "{wrong:?}");
}

#[test]
fn rules_of_every_notification_there_is_pass_check_and_test() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/mibs");
    if !corpus.exists() {
        println!("no corpus of MIBs here");
        return;
    }
    let daemon =
        Daemon::prepare(&format!("[mibs]\npaths = [{corpus:?}]\n[rules]\npaths = [\"rules.toml\"]\n"));
    // So that the modules are read once.
    std::fs::create_dir(daemon.path("var")).unwrap();
    let config = daemon.path("trapline.toml").display().to_string();
    let made = output(&["mib", "rules", "--config", &config]);
    assert!(made.status.success(), "{made:?}");
    std::fs::write(daemon.path("rules.toml"), &made.stdout).unwrap();
    let loaded = output(
        &["mib", "load", "--json", "--config", &config, "--index"]
            .into_iter()
            .chain([&*daemon.path("var/mibs.index").display().to_string()])
            .collect::<Vec<_>>(),
    );
    let loaded: serde_json::Value = serde_json::from_slice(&loaded.stdout).unwrap();
    for command in ["check", "test"] {
        let done = output(&[command, "--config", &config]);
        assert!(done.status.success(), "{command}: {done:?}");
    }
    let tested = output(&["test", "--config", &config]);
    let rules = String::from_utf8_lossy(&made.stdout).matches("[[rule]]").count();
    println!("{} modules, {} notifications, {rules} rules", loaded["modules"], loaded["notifications"]);
    assert!(loaded["modules"].as_u64() >= Some(490) && loaded["from_index"] == true);
    assert_eq!(loaded["notifications"].as_u64(), Some(rules as u64));
    assert!(
        String::from_utf8_lossy(&tested.stdout).contains(&format!("{rules} passed, 0 failed")),
        "{tested:?}"
    );
}

/// What net-snmp's tools need to send a value of an object: its type, the value, and how many there are to choose from.
fn value_of(object: &Object, number: usize) -> (&'static str, String) {
    use trapline::mib::Base;
    match object.syntax.base {
        Base::Integer => match object.syntax.enums.get(number % object.syntax.enums.len().max(1)) {
            Some((value, _)) => ("i", value.to_string()),
            None => ("i", (number + 1).to_string()),
        },
        Base::Octets if !object.syntax.bits.is_empty() => ("x", "A0".to_owned()),
        Base::Octets => match &*object.syntax.hint {
            "1x:" => ("x", format!("001A2B3C4D{:02X}", number % 256)),
            "2d-1d-1d,1d:1d:1d.1d,1a1d:1d" => ("x", "07EA0B140C0001002B0100".to_owned()),
            _ => ("s", format!("text {number}")),
        },
        Base::ObjectId => ("o", "1.3.6.1.2.1.2.2.1.8.3".to_owned()),
        Base::IpAddress => ("a", format!("192.0.2.{}", number % 250 + 1)),
        Base::Counter32 => ("c", (number + 1).to_string()),
        Base::Gauge32 => ("u", (number + 1).to_string()),
        Base::TimeTicks => ("t", "4711".to_owned()),
        Base::Counter64 => ("C", (number + 1).to_string()),
    }
}

/// Notifications of as many vendors as there are, some of each, whose objects can be sent as text or numbers.
fn some_notifications(mib: &Mib) -> Vec<&Object> {
    let mut by_vendor: BTreeMap<Vec<u32>, Vec<&Object>> = BTreeMap::new();
    for notification in mib.objects().iter().filter(|o| o.kind == Kind::Notification) {
        let plain = |object: &Object| {
            let (hint, is_number) = (&*object.syntax.hint, object.syntax.base != trapline::mib::Base::Octets);
            let known = hint.is_empty()
                || hint.ends_with(['a', 't'])
                || hint == "1x:"
                || hint == "2d-1d-1d,1d:1d:1d.1d,1a1d:1d";
            object.kind == Kind::Object && (known || is_number) && object.indexes.len() <= 1
        };
        if mib.objects_of(notification).all(plain) {
            let vendor = notification.oid.arcs().take(7).collect();
            by_vendor.entry(vendor).or_default().push(notification);
        }
    }
    // Of each from its whole range.
    by_vendor.into_values().flat_map(|all| all.clone().into_iter().step_by(all.len().div_ceil(12))).collect()
}

#[test]
fn names_and_values_as_net_snmp_has_them() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/mibs");
    if !corpus.exists() {
        println!("no corpus of MIBs here");
        return;
    }
    let mib = load(std::slice::from_ref(&corpus)).mib;
    let chosen = some_notifications(&mib);
    let daemon = Daemon::start(&format!("[mibs]\npaths = [{corpus:?}]\n[rules]\npaths = []\n"));
    // net-snmp beside it, on the same modules.
    let (port, dirs) = (port(), std::fs::read_dir(&corpus).unwrap());
    let mut dirs: Vec<String> = dirs.map(|entry| entry.unwrap().path().display().to_string()).collect();
    // Of the shipped modules it knows nothing by itself.
    dirs.push(concat!(env!("CARGO_MANIFEST_DIR"), "/mibs").to_owned());
    std::fs::write(daemon.path("snmptrapd.conf"), "disableAuthorization yes\n").unwrap();
    let log = daemon.path("snmptrapd.log");
    let _snmptrapd = Program::start(
        Command::new("snmptrapd")
            .args(["-f", "-n", "-C", "-m", "ALL", "-M", &dirs.join(":"), "-OQ", "-F", "%v\n", "-c"])
            .arg(daemon.path("snmptrapd.conf"))
            .arg("-Lf")
            .arg(&log)
            .arg(format!("udp:127.0.0.1:{port}"))
            .env("SNMP_PERSISTENT_DIR", daemon.path("net-snmp"))
            .stderr(std::process::Stdio::null()),
    );
    wait_until("snmptrapd listens", || std::net::UdpSocket::bind(("127.0.0.1", port)).is_err());
    for (number, notification) in chosen.iter().enumerate() {
        let mut args = vec![notification.oid.to_string()];
        for (place, object) in mib.objects_of(notification).enumerate() {
            let instance = if object.indexes.is_empty() { "0" } else { "7" };
            let (kind, value) = value_of(object, number + place);
            args.extend([format!("{}.{instance}", object.oid), kind.to_owned(), value]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for target in [daemon.snmp_target(), format!("udp:127.0.0.1:{port}")] {
            crate::support::snmptrap(&[&["-v2c", "-c", "public", &target, ""], &args[..]].concat());
        }
        // The inbox keeps a hundred a second.
        std::thread::sleep(std::time::Duration::from_millis(15));
    }
    wait_until("both have all", || {
        json_lines(&daemon.path("var/unmatched.jsonl")).len() == chosen.len()
            && read(&log).matches("snmpTrapOID.0 = ").count() == chosen.len()
    });
    let theirs: Vec<String> =
        read(&log).lines().filter(|l| l.contains("snmpTrapOID.0 = ")).map(str::to_owned).collect();
    let (mut values, mut modules, mut fewer, mut differ) = (0, 0, 0, Vec::new());
    for (ours, theirs) in json_lines(&daemon.path("var/unmatched.jsonl")).iter().zip(&theirs) {
        let mut fields = theirs.split('\t').skip(1).map(|field| field.split_once(" = ").unwrap());
        let varbinds = ours["varbinds"].as_array().unwrap().iter();
        let varbinds = varbinds.map(|v| (v["name"].as_str().unwrap(), v["text"].as_str().unwrap()));
        let ours =
            std::iter::once(("SNMPv2-MIB::snmpTrapOID.0", ours["name"].as_str().unwrap())).chain(varbinds);
        for (name, text) in ours {
            let (their_name, their_text) = fields.next().unwrap_or(("nothing", ""));
            let bare = |name: &str| name.rsplit_once("::").map_or(name, |(_, rest)| rest).to_owned();
            let their_text = their_text.trim().trim_matches('"');
            // Where two modules define an OID, each takes the one that it read last.
            modules += usize::from(name != their_name && bare(name) == bare(their_name));
            let same_text = text == their_text || bare(text) == bare(their_text);
            // They write days where there are none: 0:0:00:47.11.
            let ticks = their_text.strip_prefix("0:").is_some_and(|rest| rest == text);
            // They write UNITS behind a number: 145 percent.
            let units = their_text.strip_prefix(text).is_some_and(|rest| rest.starts_with(' '));
            // They have only a place above (an older module of two), or no names of negative numbers (FailureReason).
            let shorter = |ours: &str, theirs: &str| {
                let known = mib.resolve(theirs).or_else(|| mib.resolve(&bare(theirs)));
                known.is_some_and(|oid| mib.resolve(ours) == Some(oid))
            };
            let number = |object: &Object| object.syntax.number_of(text).map(|n| n.to_string());
            let unnamed = mib.resolve(name).and_then(|oid| mib.lookup(&oid).and_then(number));
            let unnamed = unnamed.as_deref() == Some(their_text);
            // They write a string of one octet that is no letter as a dot.
            let dot = bare(their_name).contains(".'.'");
            let same_name = bare(name) == bare(their_name) || shorter(name, their_name) || dot;
            let same_text = same_text || shorter(text, their_text);
            // They write octets without the zero before, in small letters: 0:1a for 00:1A.
            let octets = |text: &str| -> Option<Vec<u8>> {
                text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect()
            };
            let same_text = same_text || octets(text).is_some_and(|ours| octets(their_text) == Some(ours));
            // They write BITS in hex alone; those that were sent are the first and the third.
            let bits = |object: &Object| {
                let names = object.syntax.bits.iter().filter(|(bit, _)| [0, 2].contains(bit));
                names.map(|(_, name)| name.to_string()).collect::<Vec<_>>()
            };
            let bits = mib.resolve(name).and_then(|oid| mib.lookup(&oid).map(bits)).unwrap_or_default();
            let same_text = same_text || (their_text.trim() == "A0" && text.split(',').eq(&bits));
            fewer += usize::from(bare(name) != bare(their_name) || unnamed);
            if !same_name || !(same_text || ticks || units || unnamed) {
                differ.push(format!("{name} = {text}, but {their_name} = {their_text}"));
            }
            values += 1;
        }
    }
    let enterprises: Oid = "1.3.6.1.4.1".parse().unwrap();
    let vendors = chosen.iter().filter(|n| n.oid.starts_with(&enterprises));
    let vendors: HashSet<Option<u32>> = vendors.map(|n| n.oid.arcs().nth(6)).collect();
    println!(
        "{} notifications, of {} vendors and of the IETF, {values} names and values, {} differ; {modules} by the module \
         alone, of {fewer} net-snmp says less",
        chosen.len(),
        vendors.len(),
        differ.len()
    );
    assert!(chosen.len() >= 30 && vendors.len() >= 10 && differ.is_empty(), "{vendors:?} {differ:#?}");
}
