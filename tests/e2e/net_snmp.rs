//! Names and values beside what net-snmp's tools make of the same packets and the same modules.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;

use trapline::message::Oid;
use trapline::mib::load::load;
use trapline::mib::{Base, Kind, Mib, Object};

use crate::daemon::Daemon;
use crate::support::{Program, corpus, port, read, run, times, wait_until};

/// What net-snmp's tools need to send a value of an object: its type, the value, and how many there are to choose from.
fn value_of(object: &Object, number: usize) -> (&'static str, String) {
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
            let (hint, is_number) = (&*object.syntax.hint, object.syntax.base != Base::Octets);
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
    let most = times(4) as usize;
    by_vendor
        .into_values()
        .flat_map(|all| all.clone().into_iter().step_by(all.len().div_ceil(most)))
        .collect()
}

/// The folders of modules that both read, for net-snmp's `-M`.
fn folders(corpus: &Path) -> String {
    let dirs = std::fs::read_dir(corpus).unwrap();
    let mut dirs: Vec<String> = dirs.map(|entry| entry.unwrap().path().display().to_string()).collect();
    // Of the shipped modules it knows nothing by itself.
    dirs.push(concat!(env!("CARGO_MANIFEST_DIR"), "/mibs").to_owned());
    dirs.join(":")
}

/// A name without its module.
fn bare(name: &str) -> &str {
    name.rsplit_once("::").map_or(name, |(_, rest)| rest)
}

/// How often each side says less, or says it differently, and what is not the same at all.
#[derive(Default)]
struct Compared {
    values: usize,
    /// Where two modules define an OID, each takes the one that it read last.
    modules: usize,
    fewer: usize,
    differ: Vec<String>,
}

impl Compared {
    fn add(&mut self, mib: &Mib, (name, text): (&str, &str), (their_name, their_text): (&str, &str)) {
        let their_text = their_text.trim().trim_matches('"').trim_end();
        // They have only a place above: of two modules the older one.
        let shorter = |ours: &str, theirs: &str| {
            let known = mib.resolve(theirs).or_else(|| mib.resolve(bare(theirs)));
            known.is_some_and(|oid| mib.resolve(ours) == Some(oid))
        };
        // They write a string of one octet that is no letter as a dot.
        let dot = bare(their_name).contains(".'.'");
        let object = mib.resolve(name).and_then(|oid| mib.lookup(&oid).cloned());
        // They have no names of negative numbers (FailureReason).
        let unnamed = object.as_ref().and_then(|o| o.syntax.number_of(text)).map(|n| n.to_string());
        let unnamed = unnamed.as_deref() == Some(their_text);
        // An older module may write a name in other letters: RFC1253-MIB::ospfLsdbLSID.
        let same_name = bare(name).eq_ignore_ascii_case(bare(their_name)) || shorter(name, their_name) || dot;
        let same_text = bare(text) == bare(their_text)
            || unnamed
            || shorter(text, their_text)
            || written_otherwise(text, their_text)
            || object.is_some_and(|object| first_and_third_bit(&object, text, their_text));
        self.values += 1;
        self.modules += usize::from(name != their_name && bare(name) == bare(their_name));
        self.fewer += usize::from(bare(name) != bare(their_name) || unnamed);
        if !same_name || !same_text {
            self.differ.push(format!("{name} = {text}, but {their_name} = {their_text}"));
        }
    }
}

/// The same value, which they write in another way.
fn written_otherwise(text: &str, theirs: &str) -> bool {
    // Days where there are none: 0:0:00:47.11.
    let ticks = theirs.strip_prefix("0:").is_some_and(|rest| rest == text);
    // UNITS behind a number: 145 percent.
    let units = theirs.strip_prefix(text).is_some_and(|rest| rest.starts_with(' '));
    // Octets without the zero before, in small letters: 0:1a for 00:1A.
    let octets = |text: &str| -> Option<Vec<u8>> {
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect()
    };
    ticks || units || octets(text).is_some_and(|ours| octets(theirs) == Some(ours))
}

/// BITS they write in hex alone; those that are sent here are the first and the third.
fn first_and_third_bit(object: &Object, text: &str, theirs: &str) -> bool {
    let names = object.syntax.bits.iter().filter(|(bit, _)| [0, 2].contains(bit));
    theirs == "A0" && text.split(',').eq(names.map(|(_, name)| &**name))
}

#[test]
fn names_and_values_as_net_snmp_has_them() {
    let Some(corpus) = corpus() else { return };
    let mib = load(std::slice::from_ref(&corpus)).mib;
    let chosen = some_notifications(&mib);
    let daemon = Daemon::start(&format!("[mibs]\npaths = [{corpus:?}]\n[rules]\npacks = []\npaths = []\n"));
    // snmptrapd beside it, on the same modules.
    let port = port();
    std::fs::write(daemon.path("snmptrapd.conf"), "disableAuthorization yes\n").unwrap();
    let log = daemon.path("snmptrapd.log");
    let _snmptrapd = Program::start(
        Command::new("snmptrapd")
            .args(["-f", "-n", "-C", "-m", "ALL", "-M", &folders(&corpus), "-OQ", "-F", "%v\n", "-c"])
            .arg(daemon.path("snmptrapd.conf"))
            .arg("-Lf")
            .arg(&log)
            .arg(format!("udp:127.0.0.1:{port}"))
            .env("SNMP_PERSISTENT_DIR", daemon.path("net-snmp"))
            .stderr(std::process::Stdio::null()),
    );
    wait_until("snmptrapd listens", || std::net::UdpSocket::bind(("127.0.0.1", port)).is_err());
    let mut ours = Vec::new();
    for (number, notification) in chosen.iter().enumerate() {
        // One sender may begin so many groups.
        if number > 0 && number % 100 == 0 {
            ours.extend(take_unmatched(&daemon, number));
        }
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
    }
    ours.extend(take_unmatched(&daemon, chosen.len()));
    wait_until("both have all", || read(&log).matches("snmpTrapOID.0 = ").count() == chosen.len());
    assert_eq!(ours.len(), chosen.len());
    let theirs = read(&log);
    let theirs = theirs.lines().filter(|line| line.contains("snmpTrapOID.0 = "));
    let mut compared = Compared::default();
    for (ours, theirs) in ours.iter().zip(theirs) {
        let mut fields = theirs.split('\t').skip(1).map(|field| field.split_once(" = ").unwrap());
        let varbinds = ours["varbinds"].as_array().unwrap().iter();
        let varbinds = varbinds.map(|v| (v["name"].as_str().unwrap(), v["text"].as_str().unwrap()));
        let trap = ("SNMPv2-MIB::snmpTrapOID.0", ours["name"].as_str().unwrap());
        for ours in std::iter::once(trap).chain(varbinds) {
            compared.add(&mib, ours, fields.next().unwrap_or(("nothing", "")));
        }
    }
    let vendors = vendors(&chosen);
    println!(
        "{} notifications, of {} vendors and of the IETF, {} names and values, {} differ; {} by the module alone, \
         of {} net-snmp says less",
        chosen.len(),
        vendors.len(),
        compared.values,
        compared.differ.len(),
        compared.modules,
        compared.fewer
    );
    assert!(
        chosen.len() >= 30 && vendors.len() >= 10 && compared.differ.is_empty(),
        "{vendors:?} {:#?}",
        compared.differ
    );
}

/// The unmatched messages since this was last asked, when there have been so many in all.
fn take_unmatched(daemon: &Daemon, all: usize) -> Vec<serde_json::Value> {
    daemon.wait_count("unmatched", all as u64);
    let messages = daemon.unmatched_messages();
    let config = daemon.path("trapline.toml");
    let forgotten =
        crate::daemon::output(&["unmatched", "forget", "--all", "--config", config.to_str().unwrap()]);
    assert!(forgotten.status.success(), "{forgotten:?}");
    messages
}

/// The enterprises that notifications are of.
fn vendors(notifications: &[&Object]) -> HashSet<Option<u32>> {
    let enterprises: Oid = "1.3.6.1.4.1".parse().unwrap();
    let of_vendors = notifications.iter().filter(|n| n.oid.starts_with(&enterprises));
    of_vendors.map(|n| n.oid.arcs().nth(6)).collect()
}

/// Every notification and every object that one carries, by snmptranslate.
#[test]
fn every_notification_and_its_objects_as_snmptranslate_names_them() {
    let Some(corpus) = corpus() else { return };
    let mib = load(std::slice::from_ref(&corpus)).mib;
    let notifications: Vec<&Object> = mib.objects().iter().filter(|o| o.kind == Kind::Notification).collect();
    let carried = notifications.iter().flat_map(|n| mib.objects_of(n));
    let oids: HashSet<String> =
        notifications.iter().copied().chain(carried).map(|o| o.oid.to_string()).collect();
    let oids: Vec<String> = oids.into_iter().collect();
    let done = run(Command::new("snmptranslate")
        .args(["-m", "ALL", "-M", &folders(&corpus)])
        .args(&oids)
        .stderr(std::process::Stdio::null()));
    let theirs = String::from_utf8_lossy(&done.stdout).into_owned();
    let theirs: Vec<&str> = theirs.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(theirs.len(), oids.len());
    let mut compared = Compared::default();
    for (oid, theirs) in oids.iter().zip(theirs) {
        let ours = mib.name_of(&oid.parse().unwrap());
        compared.add(&mib, (&ours, ""), (theirs, ""));
    }
    println!(
        "{} notifications and {} names in all, {} differ; {} by the module alone, of {} net-snmp says less",
        notifications.len(),
        compared.values,
        compared.differ.len(),
        compared.modules,
        compared.fewer
    );
    assert!(compared.differ.is_empty(), "{:#?}", compared.differ);
}
