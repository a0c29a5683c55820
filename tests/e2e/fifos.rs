//! A FIFO with nobody at its other end in the place of every file of the configuration: nothing waits for it.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use trapline::sinks::registry::KINDS;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{Program, run, wait_or, wait_until};

/// Every key that names a file, with lines that make a configuration of it.
const PLACES: [(&str, &str); 30] = [
    ("community_file", "[[sinks]]\ntype = \"snmp\"\nto = \"127.0.0.1:1\"\ncommunity_file = \"DIR/fifo\"\n"),
    (
        "url_file",
        "[[intake]]\ntype = \"amqp\"\nqueue = \"q\"\nformat = \"canopsis\"\nurl_file = \"DIR/fifo\"\n",
    ),
    (
        "auth_password_file",
        "[[snmp.users]]\nname = \"u\"\nauth = \"SHA-256\"\nauth_password_file = \"DIR/fifo\"\n",
    ),
    (
        "priv_password_file",
        "[[snmp.users]]\nname = \"u\"\nauth = \"SHA-256\"\nauth_password = \"a long enough one\"\npriv = \"AES-128\"\npriv_password_file = \"DIR/fifo\"\n",
    ),
    (
        "api_key_file",
        "[[sinks]]\ntype = \"elasticsearch\"\nurl = \"https://127.0.0.1:1\"\napi_key_file = \"DIR/fifo\"\n",
    ),
    ("routing_key_file", "[[sinks]]\ntype = \"pagerduty\"\nrouting_key_file = \"DIR/fifo\"\n"),
    ("communities_file", "[snmp]\nlisten = []\nrelays = []\ncommunities_file = \"DIR/fifo\"\n"),
    ("files", "[hosts]\nfiles = [\"DIR/fifo\"]\n"),
    ("cert_file of syslog", "[syslog.tls]\ncert_file = \"DIR/fifo\"\nkey_file = \"DIR/fifo\"\n"),
    ("key_file of syslog", "[syslog.tls]\ncert_file = \"DIR/pem\"\nkey_file = \"DIR/fifo\"\n"),
    (
        "client_ca_file",
        "[syslog.tls]\ncert_file = \"DIR/pem\"\nkey_file = \"DIR/pem\"\nclient_ca_file = \"DIR/fifo\"\n",
    ),
    (
        "intake token_file",
        "[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:0\"\n[[intake.checkin]]\nservice = \"s\"\ntoken_file = \"DIR/fifo\"\n",
    ),
    (
        "intake cert_file",
        "[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:0\"\ntls = { cert_file = \"DIR/fifo\", key_file = \"DIR/fifo\" }\n",
    ),
    ("path of intake", "[[intake]]\ntype = \"file\"\npath = \"DIR/fifo\"\n"),
    ("nagios_objects", "[hosts]\nnagios_objects = \"DIR/fifo\"\n"),
    ("paths of mibs", "[mibs]\npaths = [\"DIR/fifo\"]\n"),
    ("folder of mibs", "[mibs]\npaths = [\"DIR/folder\"]\n"),
    ("paths of rules", "[rules]\npaths = [\"DIR/fifo\"]\n"),
    ("folder of rules", "[rules]\npaths = [\"DIR/folder\"]\n"),
    ("directory", "[journal]\ndirectory = \"DIR/fifo\"\n"),
    ("command_file", "[[sinks]]\ntype = \"nagios\"\ncommand_file = \"DIR/fifo\"\n"),
    (
        "check_result_path",
        "[[sinks]]\ntype = \"nagios\"\nmethod = \"spool\"\ncheck_result_path = \"DIR/fifo\"\n",
    ),
    ("path", "[[sinks]]\ntype = \"file\"\npath = \"DIR/fifo\"\n"),
    (
        "credentials_file",
        "[[sinks]]\ntype = \"nats\"\nurl = \"nats://127.0.0.1\"\ncredentials_file = \"DIR/fifo\"\n",
    ),
    ("password_file", "[[sinks]]\ntype = \"nsca\"\naddress = \"127.0.0.1\"\npassword_file = \"DIR/fifo\"\n"),
    (
        "token_file",
        "[[sinks]]\ntype = \"splunk\"\nurl = \"https://127.0.0.1:1\"\ntoken_file = \"DIR/fifo\"\n",
    ),
    (
        "secret_file",
        "[[sinks]]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1\"\nsecret_file = \"DIR/fifo\"\n",
    ),
    ("ca_file", "[[sinks]]\ntype = \"webhook\"\nurl = \"https://127.0.0.1:1\"\nca_file = \"DIR/fifo\"\n"),
    (
        "cert_file",
        "[[sinks]]\ntype = \"webhook\"\nurl = \"https://127.0.0.1:1\"\ncert_file = \"DIR/fifo\"\nkey_file = \"DIR/fifo\"\n",
    ),
    (
        "key_file",
        "[[sinks]]\ntype = \"webhook\"\nurl = \"https://127.0.0.1:1\"\ncert_file = \"DIR/pem\"\nkey_file = \"DIR/fifo\"\n",
    ),
];

/// A daemon that is not started, with what the places need.
fn prepared() -> Daemon {
    let daemon = Daemon::prepare(FILE_SINK);
    std::fs::create_dir(daemon.path("folder")).unwrap();
    for fifo in ["fifo", "folder/SLOW-MIB.txt", "folder/slow.toml"] {
        run(Command::new("mkfifo").arg(daemon.path(fifo)));
    }
    std::fs::write(daemon.path("pem"), include_str!("authority.pem")).unwrap();
    daemon
}

#[test]
fn every_file_of_the_configuration_can_be_a_fifo_that_nobody_writes() {
    for key in file_keys() {
        assert!(PLACES.iter().any(|(place, _)| *place == key), "{key}");
    }
    let keys = KINDS.iter().flat_map(|kind| kind.own_keys().map(|key| (kind.name, key.name)));
    for (kind, key) in
        keys.filter(|(kind, key)| key.ends_with("_file") || (key.contains("path") && *kind != "webhook"))
    {
        assert!(PLACES.iter().any(|(place, _)| *place == key), "{kind}: {key}");
    }
    let daemon = prepared();
    let directory = daemon.path("").display().to_string();
    let common = "[syslog]\nlisten = []\n";
    let snmp = "[snmp]\nlisten = []\nrelays = []\n";
    let start = |command: &str, config: &Path, log: &Path| {
        let log = File::create(log).unwrap();
        let mut program = trapline();
        program.args([command, "--config"]).arg(config).stdout(log.try_clone().unwrap()).stderr(log);
        Program::start(&mut program)
    };
    let (mut programs, mut runs) = (Vec::new(), Vec::new());
    for (at, (_, lines)) in PLACES.iter().enumerate() {
        let path = daemon.path(&format!("{at}.toml"));
        let journal = format!("[journal]\ndirectory = \"DIR/journal{at}\"\n");
        let mibs = "[mibs]\npaths = []\n";
        let rules = "[rules]\npacks = []\n";
        let rest = [
            ("[snmp]", snmp),
            ("[journal]", journal.as_str()),
            ("[mibs]", mibs),
            ("[rules]", rules),
            ("[[sinks]]", FILE_SINK),
        ];
        let rest = rest.iter().filter(|(table, _)| !lines.contains(table)).map(|(_, text)| *text);
        let text = std::iter::once(common).chain(rest).chain([*lines]).collect::<String>();
        std::fs::write(&path, text.replace("DIR", directory.trim_end_matches('/'))).unwrap();
        programs.push(start("check", &path, &daemon.path(&format!("{at}.toml.log"))));
        runs.push(start("run", &path, &daemon.path(&format!("{at}.toml.run"))));
    }
    programs.push(start("check", &daemon.path("fifo"), &daemon.path("fifo.said")));
    let said = |name: &str| std::fs::read_to_string(daemon.path(name)).unwrap();
    // Each run refuses its configuration and ends, or it starts, reloads and is stopped.
    for (signal, word) in [("HUP", "listening: "), ("TERM", "reloaded: ")] {
        for (at, program) in runs.iter_mut().enumerate() {
            let log = format!("{at}.toml.run");
            let ready = || {
                let ended = program.0.try_wait().unwrap().is_some();
                (ended || said(&log).contains(word)).then_some(())
            };
            wait_or(|| format!("{} gets on: {}", PLACES[at].0, said(&log)), ready);
            if program.0.try_wait().unwrap().is_none() {
                program.signal(signal);
            }
        }
    }
    programs.extend(runs);
    wait_until("all end", || programs.iter_mut().all(|program| program.0.try_wait().unwrap().is_some()));
    // All have one pipe: a check that looks whether the pipe of Nagios has a reader ends what others read of it.
    let is_noticed = |text: &str| {
        ["gives", "gave"].iter().any(|word| text.contains(&format!("a pipe that {word} nothing")))
    };
    for (at, (place, _)) in PLACES.iter().enumerate() {
        let (check, run) = (said(&format!("{at}.toml.log")), said(&format!("{at}.toml.run")));
        assert!(!check.contains("panicked") && !check.is_empty(), "{place}: {check}");
        assert!(!run.contains("panicked") && !run.is_empty(), "{place}: {run}");
        // What is read is not taken for empty; the command pipe of Nagios is written.
        if (place.ends_with("_file") && *place != "command_file")
            || ["files", "nagios_objects"].contains(place)
        {
            assert!(is_noticed(&check), "{place}: {check}");
        }
    }
    let configuration = said("fifo.said");
    assert!(is_noticed(&configuration), "{configuration}");
}

/// The keys of the configuration that end in `_file`, as the sources read them.
fn file_keys() -> Vec<String> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut keys = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        // Those of other programs' files.
        if folder.ends_with("import") || folder.ends_with("init") {
            continue;
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let is_key = |word: &&str| {
                    word.ends_with("_file") && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                };
                keys.extend(text.split('"').filter(is_key).map(str::to_owned));
            }
        }
    }
    assert!(keys.contains("password_file"), "{keys:?}");
    keys.into_iter().collect()
}

/// What a folder of a configuration may have beside files: nothing waits for it, and `check` names it.
#[test]
fn folders_of_the_configuration_may_have_what_is_no_file() {
    let daemon = Daemon::prepare(FILE_SINK);
    let mut named = Vec::new();
    for (folder, extension) in [("mibs", "txt"), ("rules", "toml")] {
        std::fs::create_dir(daemon.path(folder)).unwrap();
        let mut new = |name: &str| {
            named.push(daemon.path(&format!("{folder}/{name}.{extension}")));
            named.last().unwrap().clone()
        };
        run(Command::new("mkfifo").arg(new("fifo")));
        drop(UnixListener::bind(new("socket")).unwrap());
        symlink("/dev/zero", new("device")).unwrap();
        if folder == "mibs" {
            symlink("nowhere", new("dangling")).unwrap();
        }
    }
    let config = daemon.path("folders.toml");
    let text = "[snmp]\nlisten = []\nrelays = []\n[mibs]\npaths = [\"mibs\"]\n[rules]\npaths = [\"rules\"]\n\
                [journal]\ndirectory = \"folders\"\n[[sinks]]\ntype = \"file\"\npath = \"out\"\n";
    std::fs::write(&config, text).unwrap();
    let commands: [&[&str]; 7] = [
        &["check"],
        &["test"],
        &["explain", "<36>Nov 20 12:00:01 db1 app: text"],
        &["mib", "find", "linkDown"],
        &["mib", "load"],
        &["mib", "rules", "IF-MIB"],
        &["rule", "new", "IF-MIB::linkDown"],
    ];
    let start = |(at, words): (usize, &&[&str])| {
        let log = File::create(daemon.path(&format!("said.{at}"))).unwrap();
        let mut command = trapline();
        command.args(*words).arg("--config").arg(&config).stdout(log.try_clone().unwrap()).stderr(log);
        (words.join(" "), Program::start(&mut command))
    };
    let mut programs: Vec<(String, Program)> = commands.iter().enumerate().map(start).collect();
    wait_until("all end", || {
        let mut open = programs
            .iter_mut()
            .filter_map(|(words, program)| program.0.try_wait().unwrap().is_none().then_some(words.as_str()));
        open.next().is_none()
    });
    let said = std::fs::read_to_string(daemon.path("said.0")).unwrap();
    for path in named {
        assert!(said.contains(&path.display().to_string()), "{}: {said}", path.display());
    }
    assert!(said.contains("no errors"), "{said}");
}
