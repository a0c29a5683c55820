//! Check results to a Zabbix server, with its database.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::support::{Group, Program, link_trap, port, read, run, wait_or, wait_port, wait_until};

/// One host with what config/zabbix/trapline.yaml gives it, and a second one without.
const OBJECTS: &str = r#"
INSERT INTO role (roleid,name) VALUES (1,'r');
INSERT INTO users (userid,username,roleid) VALUES (1,'Admin',1);
INSERT INTO hstgrp (groupid,name) VALUES (1,'g');
INSERT INTO config (configid,discovery_groupid) VALUES (1,1);
INSERT INTO config_autoreg_tls (autoreg_tlsid) VALUES (1);
INSERT INTO hosts (hostid,host,name) VALUES (10,'rtr1','rtr1'),(11,'rtr2','rtr2');
INSERT INTO hosts_groups VALUES (10,10,1),(11,11,1);
INSERT INTO items (itemid,type,hostid,name,key_,value_type,flags) VALUES
 (100,2,10,'Trapline: services','trapline.discovery',4,1),
 (101,2,10,'{#SERVICE}','trapline.state["{#SERVICE}"]',3,2),
 (102,2,10,'{#SERVICE}: output','trapline.output["{#SERVICE}"]',4,2);
INSERT INTO item_discovery (itemdiscoveryid,itemid,parent_itemid) VALUES (1,101,100),(2,102,100);
INSERT INTO item_rtdata (itemid) VALUES (100);
INSERT INTO triggers (triggerid,expression,description,priority,flags) VALUES (200,'{300}=2','{#SERVICE} is critical',4,2);
INSERT INTO functions VALUES (300,101,200,'last','$');
"#;

/// PostgreSQL with a database of Zabbix, on a socket of its own.
struct Database {
    dir: tempfile::TempDir,
    port: u16,
    _program: Program,
}

/// A program of PostgreSQL, as its user: it refuses to run as root.
fn postgres(program: &str) -> Command {
    let folders = std::fs::read_dir("/usr/lib/postgresql").expect("run tests/run");
    let newest = folders.map(|folder| folder.unwrap().path()).max().expect("run tests/run");
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(newest.join("bin").join(program)).current_dir("/");
    command
}

impl Database {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        run(Command::new("chmod").arg("755").arg(d));
        let (data, socket) = (d.join("data"), d.join("socket"));
        for folder in [&data, &socket] {
            std::fs::create_dir(folder).unwrap();
            run(Command::new("chown").arg("postgres").arg(folder));
        }
        run(postgres("initdb")
            .args(["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data));
        let port = port();
        let mut server = postgres("postgres");
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off", "-c"]);
        server
            .arg(format!("unix_socket_directories={}", socket.display()))
            .args(["-c", &format!("port={port}")]);
        let program = Program::start(server.stdout(Stdio::null()).stderr(Stdio::null()));
        let database = Database { dir, port, _program: program };
        wait_until("PostgreSQL is there", || {
            let mut psql = database.psql("postgres");
            psql.args(["-c", "SELECT 1"]).stderr(Stdio::null()).output().unwrap().status.success()
        });
        run(database.psql("postgres").args(["-c", "CREATE DATABASE zabbix"]));
        let schema = "/usr/share/zabbix-server-pgsql/schema.sql.gz";
        let schema = run(Command::new("zcat").arg(schema)).stdout;
        let mut psql = database.psql("zabbix").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        input.write_all(&schema).unwrap();
        input.write_all(OBJECTS.as_bytes()).unwrap();
        drop(input);
        assert!(psql.wait().unwrap().success());
        database
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-U", "postgres", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-p", &self.port.to_string()]);
        command.arg("-h").arg(self.socket()).arg(database);
        command
    }

    /// The rows of a query, with `|` between their columns.
    fn ask(&self, query: &str) -> Vec<String> {
        let output = run(self.psql("zabbix").args(["-c", query])).stdout;
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Database {
    /// `runuser` passes no signal on that cannot be caught.
    fn drop(&mut self) {
        let _ = postgres("pg_ctl")
            .args(["-m", "immediate", "-D"])
            .arg(self.dir.path().join("data"))
            .arg("stop")
            .stdout(Stdio::null())
            .status();
    }
}

/// A Zabbix server. What is killed leaves its children, so it is asked to end.
struct Server(Program);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.signal("TERM");
        let _ = self.0.0.wait();
    }
}

/// The Zabbix server of a database. `more` is more of its configuration.
fn server(dir: &Path, database: &Database, port: u16, more: &str) -> Server {
    let d = dir.display();
    let few = ["Pollers", "PollersUnreachable", "Pingers", "Discoverers", "HTTPPollers"];
    let few: String = few.iter().map(|kind| format!("Start{kind}=0\n")).collect();
    let config = format!(
        "ListenIP=127.0.0.1\nListenPort={port}\nLogFile={d}/zabbix.log\nPidFile={d}/zabbix.pid\nSocketDir={d}\nDBHost={}\n\
         DBPort={}\nDBName=zabbix\nDBUser=postgres\nAllowRoot=1\nCacheUpdateFrequency=1\nFpingLocation=/bin/true\n{few}{more}",
        database.socket().display(),
        database.port
    );
    std::fs::write(dir.join("zabbix.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/zabbix_server");
    command.arg("-f").arg("-c").arg(dir.join("zabbix.conf"));
    let program = Server(Program::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
    wait_until("the Zabbix server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    program
}

fn link(daemon: &Daemon, interface: &str, oper_status: &str) {
    let kind = if oper_status == "1" { "1.3.6.1.6.3.1.1.5.4" } else { "1.3.6.1.6.3.1.1.5.3" };
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", kind], interface, oper_status);
}

#[test]
fn a_new_service_gets_its_items_and_trigger_and_no_value_is_lost() {
    let database = Database::start();
    let (dir, zabbix) = (tempfile::tempdir().unwrap(), port());
    let sink = |name: &str, host: &str| {
        format!(
            "[[sinks]]\nname = \"{name}\"\ntype = \"zabbix\"\naddresses = [\"127.0.0.1:{zabbix}\"]\nhost = \"{host}\"\ngrace = \"30s\"\n"
        )
    };
    let config = sink("known", "rtr1") + &sink("unknown", "RTR1").replace("30s", "1s");
    let daemon = Daemon::start(&config);
    // The server is not there yet.
    let odd = "Gi0/3 \"a]\\\" |x=y| {#A} C:\\";
    link(&daemon, odd, "2");
    wait_until("it is said", || daemon.log().contains("cannot connect to Zabbix at 127.0.0.1"));
    let _server = server(dir.path(), &database, zabbix, "");
    for n in 0..20 {
        link(&daemon, &format!("Te1/{n}"), "2");
    }
    let sinks = || daemon.status()["sinks"].as_array().unwrap().clone();
    let number = |sink: &serde_json::Value, key: &str| sink[key].as_u64().unwrap();
    wait_until("all is delivered", || number(&sinks()[0], "delivered") == 21);
    wait_until("another case is another host", || number(&sinks()[1], "dead") == 21);
    link(&daemon, "Te1/0", "1");
    wait_until("it is up again", || number(&sinks()[0], "delivered") == 22);
    let history = "SELECT i.name, h.value FROM items i JOIN history_uint h USING (itemid) WHERE i.key_ LIKE 'trapline.state%' ORDER BY 1, h.clock, h.ns";
    wait_until("it is in the history", || database.ask(history).len() == 22);
    let states = database.ask(history);
    let expected: Vec<String> = (0..20)
        .flat_map(|n| {
            let down = format!("Interface Te1/{n}|2");
            if n == 0 { vec![down, "Interface Te1/0|0".to_owned()] } else { vec![down] }
        })
        .chain([format!("Interface {odd}|2")])
        .collect();
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    assert_eq!(sorted(states), sorted(expected), "{}", read(&dir.path().join("zabbix.log")));
    let texts = database.ask("SELECT h.value FROM items i JOIN history_text h USING (itemid) WHERE i.name = 'Interface Te1/7: output'");
    assert_eq!(texts, ["Link down on Te1/7 (admin up, oper down)"]);
    let problems = "SELECT count(*) FROM triggers WHERE flags = 4 AND value = 1";
    wait_until("its triggers say so", || database.ask(problems) == ["20"]);
}

/// An authority, and certificates of a server and a client. Zabbix with GnuTLS takes RSA keys only, unless it is told otherwise.
fn certificates(dir: &Path) {
    let openssl = |args: &str| {
        run(Command::new("openssl").args(args.split(' ')).current_dir(dir));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    for name in ["server", "client"] {
        let san = format!("subjectAltName=DNS:{name}.example.org");
        openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name} -addext {san}"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out {name}.pem"
        ));
    }
}

/// A host whose values the server takes from those only who have a certificate of its authority.
#[test]
fn over_tls_with_certificates() {
    let database = Database::start();
    run(database.psql("zabbix").args(["-c", "UPDATE hosts SET tls_accept = 4"]));
    let (dir, zabbix) = (tempfile::tempdir().unwrap(), port());
    let d = dir.path().display();
    certificates(dir.path());
    let tls = format!("TLSCAFile={d}/ca.pem\nTLSCertFile={d}/server.pem\nTLSKeyFile={d}/server.key\n");
    let _server = server(dir.path(), &database, zabbix, &tls);
    let sink = |name: &str, more: &str| {
        format!(
            "[[sinks]]\nname = \"{name}\"\ntype = \"zabbix\"\naddresses = [\"127.0.0.1:{zabbix}\"]\nhost = \"rtr1\"\ngrace = \"1s\"\n{more}\n"
        )
    };
    let secure = format!(
        "tls = true\nca_file = \"{d}/ca.pem\"\nserver_name = \"server.example.org\"\ncert_file = \"{d}/client.pem\"\nkey_file = \"{d}/client.key\""
    );
    let daemon = Daemon::start(&(sink("secure", &secure) + &sink("open", "")));
    link(&daemon, "Gi0/3", "2");
    let number = |sink: usize, key: &str| daemon.status()["sinks"][sink][key].as_u64().unwrap();
    wait_until("it is delivered over TLS", || number(0, "delivered") == 1);
    wait_until("and not without", || number(1, "dead") == 1);
}

/// The key with which the proxy logs in to the server.
const KEY: &str = "1f87b595725ac58dd977beef14b97461a7c1045b9a1c963065002c5473194952";

/// A proxy with this key, which tests/run unpacks. It is ended with its children: while it makes its database it does not end when asked.
fn proxy(dir: &Path, server: u16, port: u16) -> Group {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/zabbix-proxy/usr");
    // It would make the database by itself, and wait for the disk after each table.
    let make = "import gzip, sqlite3, sys\nscript = gzip.open(sys.argv[1], 'rt').read()\n\
                sqlite3.connect(sys.argv[2], isolation_level=None).executescript('BEGIN;' + script + 'COMMIT;')";
    run(Command::new("python3")
        .args(["-c", make])
        .arg(root.join("share/zabbix-proxy-sqlite3/schema.sql.gz"))
        .arg(dir.join("proxy.db")));
    let d = dir.display();
    let few = ["Pollers", "PollersUnreachable", "Pingers", "Discoverers", "HTTPPollers"];
    let few: String = few.iter().map(|kind| format!("Start{kind}=0\n")).collect();
    let config = format!(
        "ProxyMode=0\nServer=127.0.0.1:{server}\nHostname=edge\nListenIP=127.0.0.1\nListenPort={port}\nLogFile={d}/proxy.log\n\
         PidFile={d}/proxy.pid\nSocketDir={d}\nDBName={d}/proxy.db\nAllowRoot=1\nConfigFrequency=1\nDataSenderFrequency=1\n\
         HeartbeatFrequency=1\nFpingLocation=/bin/true\nTLSConnect=psk\nTLSPSKIdentity=edge\nTLSPSKFile={d}/edge.psk\n{few}"
    );
    std::fs::write(dir.join("proxy.conf"), config).unwrap();
    std::fs::write(dir.join("edge.psk"), format!("{KEY}\n")).unwrap();
    run(Command::new("chmod").arg("600").arg(dir.join("edge.psk")));
    let mut command = Command::new(root.join("sbin/zabbix_proxy"));
    command.arg("-f").arg("-c").arg(dir.join("proxy.conf"));
    let program = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_port(port);
    program
}

/// A proxy takes the hosts that it monitors, and the server those that no proxy monitors. The server lets the proxy in by a pre-shared key.
#[test]
fn a_proxy_takes_its_hosts_and_the_server_all_others() {
    let database = Database::start();
    let monitored = format!(
        "INSERT INTO hosts (hostid,host,name,status,tls_accept,tls_psk_identity,tls_psk) VALUES (20,'edge','',5,2,'edge','{KEY}');
         UPDATE hosts SET proxy_hostid = 20 WHERE hostid = 10"
    );
    run(database.psql("zabbix").args(["-c", &monitored]));
    let (server_dir, proxy_dir, central, edge) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), port(), port());
    let _server = server(server_dir.path(), &database, central, "");
    let _proxy = proxy(proxy_dir.path(), central, edge);
    let sink = |name: &str, to: u16, host: &str, grace: &str| {
        format!(
            "[[sinks]]\nname = \"{name}\"\ntype = \"zabbix\"\naddresses = [\"127.0.0.1:{to}\"]\nhost = \"{host}\"\ngrace = \"{grace}\"\n"
        )
    };
    let daemon = Daemon::start(
        &(sink("its", edge, "rtr1", "1h")
            + &sink("other", edge, "rtr2", "1s")
            + &sink("around", central, "rtr1", "1s")),
    );
    for n in 0..5 {
        link(&daemon, &format!("Te1/{n}"), "2");
    }
    let number = |sink: usize, key: &str| daemon.status()["sinks"][sink][key].as_u64().unwrap();
    let logs = || read(&server_dir.path().join("zabbix.log")) + &read(&proxy_dir.path().join("proxy.log"));
    wait_or(
        || format!("the proxy takes its host: {}", logs()),
        || (number(0, "delivered") == 5).then_some(()),
    );
    wait_until("but no other host", || number(1, "dead") == 5);
    wait_until("which the server does not take past it", || number(2, "dead") == 5);
    let history = "SELECT i.name, h.value FROM items i JOIN history_uint h USING (itemid) WHERE i.key_ LIKE 'trapline.state%' ORDER BY 1";
    let expected: Vec<String> = (0..5).map(|n| format!("Interface Te1/{n}|2")).collect();
    wait_or(
        || format!("the server has all of the proxy: {:?} {}", database.ask(history), logs()),
        || (database.ask(history) == expected).then_some(()),
    );
}
