//! A RabbitMQ broker with its own node, ports and directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::support::{Program, port, run, wait_until};

const BIN: &str = "/usr/lib/rabbitmq/bin";

/// A broker with its own node, ports and directory.
pub struct Broker {
    dir: TempDir,
    port: u16,
    /// That of TLS, where it is spoken.
    tls: u16,
    epmd: u16,
    dist: u16,
    pub program: Option<Program>,
}

impl Broker {
    pub fn start() -> Self {
        let mut broker = Self::prepare("");
        broker.start_now();
        broker
    }

    /// One that speaks TLS as well, with those who have a certificate. `certificates` writes `ca.pem`, `broker.pem` and `broker.key` into
    /// its directory.
    pub fn secure(certificates: impl FnOnce(&Path)) -> Self {
        let mut broker = Self::prepare(
            "listeners.ssl.1 = 127.0.0.1:TLS\nssl_options.cacertfile = DIR/ca.pem\nssl_options.certfile = DIR/broker.pem\n\
             ssl_options.keyfile = DIR/broker.key\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
        );
        certificates(broker.dir.path());
        broker.start_now();
        broker
    }

    fn prepare(more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let broker = Broker { dir, port: port(), tls: port(), epmd: port(), dist: port(), program: None };
        std::fs::write(broker.path("enabled_plugins"), "[].\n").unwrap();
        let more = more.replace("TLS", &broker.tls.to_string());
        let more = more.replace("DIR", broker.dir.path().to_str().unwrap());
        let text = format!("listeners.tcp.1 = 127.0.0.1:{}\n{more}", broker.port);
        std::fs::write(broker.path("rabbitmq.conf"), text).unwrap();
        broker
    }

    fn start_now(&mut self) {
        let broker = self;
        broker.go();
        for args in [
            ["add_vhost", "canopsis"].as_slice(),
            &["set_permissions", "-p", "canopsis", "guest", ".*", ".*", ".*"],
        ] {
            broker.ctl(args);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(format!("{BIN}/{program}"));
        command
            .env("HOME", self.dir.path())
            .env("RABBITMQ_NODENAME", format!("trapline{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", self.dist.to_string())
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1");
        command
    }

    /// Starts it, again if it has run before.
    pub fn go(&mut self) {
        self.program =
            Some(Program::start(self.command("rabbitmq-server").stdout(Stdio::null()).stderr(Stdio::null())));
        wait_until("the broker has started", || {
            self.command("rabbitmqctl")
                .args(["await_startup", "--timeout", "30"])
                .output()
                .unwrap()
                .status
                .success()
        });
    }

    pub fn ctl(&self, args: &[&str]) {
        run(self.command("rabbitmqctl").args(args));
    }

    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/canopsis", self.tls)
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/canopsis", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.command("rabbitmqctl").arg("stop").output();
        // The port mapper outlives the node that started it.
        let _ = Command::new("epmd").args(["-port", &self.epmd.to_string(), "-kill"]).output();
    }
}
