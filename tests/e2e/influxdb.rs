//! A real InfluxDB 1: points show in its answers to queries.

use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::pages::block;
use crate::support::{Program, link_trap, port, run, wait_until};

struct InfluxDb {
    _program: Program,
    _dir: TempDir,
    port: u16,
}

impl InfluxDb {
    fn start() -> Self {
        let (dir, port, rpc) = (TempDir::new().unwrap(), port(), port());
        let d = dir.path().display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n[meta]\ndir = \"{d}/meta\"\n[data]\ndir = \"{d}/data\"\nwal-dir = \"{d}/wal\"\n\
             [http]\nbind-address = \"127.0.0.1:{port}\"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n"
        );
        std::fs::write(dir.path().join("influxdb.conf"), config).unwrap();
        let program = Program::start(
            Command::new("influxd")
                .args(["run", "-config"])
                .arg(dir.path().join("influxdb.conf"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let server = InfluxDb { _program: program, _dir: dir, port };
        wait_until("InfluxDB answers", || server.ask("SHOW DATABASES").is_some());
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The answer to a query; none if there is none.
    fn ask(&self, query: &str) -> Option<Value> {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--data-urlencode", &format!("q={query}")])
            .arg(format!("{}/query?db=trapline", self.url()))
            .output()
            .unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The rows of a query, each as an object.
    fn rows(&self, query: &str) -> Vec<Value> {
        let answer = self.ask(query).unwrap();
        let series = &answer["results"][0]["series"][0];
        let columns: Vec<&str> =
            series["columns"].as_array().into_iter().flatten().map(|c| c.as_str().unwrap()).collect();
        let row = |row: &Value| {
            columns
                .iter()
                .zip(row.as_array().unwrap())
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect()
        };
        series["values"].as_array().into_iter().flatten().map(row).collect()
    }
}

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";

#[test]
fn outcomes_are_points_and_a_bad_one_spoils_no_other() {
    run(Command::new("which").arg("influxd"));
    let server = InfluxDb::start();
    let map = "[hosts]\nmap = { \"127.0.0.1\" = \"sw 1,a=b\" }\n";
    let daemon = Daemon::start(&format!("{map}{}", block("influxdb.md", &[("url", &server.url())])));
    let send =
        |port: &str| link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], port, "2");
    // The database is not there yet.
    send("Gi0/1");
    wait_until("the sink says so", || {
        daemon.status()["sinks"][0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("database not found"))
    });
    server.ask("CREATE DATABASE trapline").unwrap();
    wait_until("it is delivered", || daemon.status()["sinks"][0]["delivered"] == 1);
    let rows = server.rows("SELECT * FROM trapline");
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["host"], &rows[0]["service"], &rows[0]["state"]),
        (&"sw 1,a=b".into(), &"Interface Gi0/1".into(), &2.into())
    );
    assert!(rows[0]["output"].as_str().unwrap().starts_with("Link down on Gi0/1"), "{rows:?}");
    for n in 2..40 {
        send(&format!("Gi0/{n} \"x\", y=\\z,"));
    }
    wait_until("all are delivered", || daemon.status()["sinks"][0]["delivered"] == 39);
    let rows = server.rows("SELECT * FROM trapline");
    assert_eq!(rows.len(), 39);
    assert!(rows.iter().any(|row| row["service"] == "Interface Gi0/7 \"x\", y=\\z,"), "{rows:?}");
    assert_eq!(daemon.status()["sinks"][0]["dead"], 0);
    // A series whose field has another type takes no point: the others are in.
    let body = "trapline,host=sw\\ 1\\,a\\=b,service=Interface\\ Gi0/7 state=\"text\" 1700000000000000000";
    let other = ["--silent", "--data-binary", body];
    run(Command::new("curl").args(other).arg(format!("{}/write?db=trapline", server.url())));
    send("Gi0/7");
    send("Gi0/8");
    wait_until("both are settled", || {
        let sink = &daemon.status()["sinks"][0];
        sink["delivered"].as_u64().unwrap() + sink["dead"].as_u64().unwrap() == 41
    });
}
