//! Listeners while the configuration changes: which are bound, which go on, which end.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{fmt, io};

use tokio::runtime::Handle;

use super::plan::{self, Steps};
use super::supervise::{Crew, Member, OnEnd};
use crate::intake::Shared;
use crate::intake::bind::{self, BindError, Bound};
use crate::intake::listener::{Key, Listener, Transport};
use crate::intake::serve::{Serving, Worker, serve};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Place};

/// How long the thread of a listener may take to end. It reads its socket empty in at most 1 s.
const END: Duration = Duration::from_secs(5);

/// A listener and the threads and tasks that run it.
#[derive(Debug)]
pub struct Running {
    serving: Serving,
    workers: Vec<Member>,
}

/// A listener whose threads and tasks wait. They end if this is dropped.
pub struct Ready {
    running: Running,
    /// Dropped to let them begin.
    gates: Vec<Gate>,
}

/// Where a thread waits for its listener to begin.
enum Gate {
    Thread(mpsc::Sender<()>),
    /// Tasks start without fail, so they are only made when they begin.
    Task(Worker),
}

impl Ready {
    /// Starts threads for the workers of a listener.
    fn new(bound: Bound, host: &Host<'_>) -> io::Result<Self> {
        let name = bound.to_string();
        let (serving, all) = serve(bound, host.shared)?;
        let (mut workers, mut gates) = (Vec::new(), Vec::new());
        for worker in all {
            match worker {
                Worker::Thread(mut run) => {
                    let (gate, closed) = mpsc::channel();
                    let mut closed = Some(closed);
                    workers.push(host.crew.thread(&name, OnEnd::RestartSoon, move |_| {
                        if closed.take().is_none_or(|gate| gate.recv().is_ok()) {
                            run();
                        }
                    })?);
                    gates.push(Gate::Thread(gate));
                }
                task @ Worker::Task(_) => gates.push(Gate::Task(task)),
            }
        }
        Ok(Ready { running: Running { serving, workers }, gates })
    }

    /// Lets the listener begin.
    pub fn begin(self, host: &Host<'_>) -> Running {
        let Ready { mut running, gates } = self;
        for gate in gates {
            match gate {
                // Only a thread that has ended does not get it, and the crew restarts that.
                Gate::Thread(gate) => drop(gate.send(())),
                Gate::Task(Worker::Task(mut run)) => {
                    let name = running.to_string();
                    let member = host.crew.task(host.streams, &name, OnEnd::RestartSoon, move |_| run());
                    running.workers.push(member);
                }
                Gate::Task(Worker::Thread(_)) => {}
            }
        }
        running
    }
}

/// What listeners run with.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Runs their threads and tasks.
    pub crew: &'a Crew,
    /// What they share.
    pub shared: &'a Arc<Shared>,
    /// Where streams run.
    pub streams: &'a Handle,
}

impl Running {
    /// The listener, as configured.
    pub fn listener(&self) -> &Listener {
        self.serving.listener()
    }

    /// See [`Serving::wanted_streams`].
    pub fn wanted_streams(&self) -> Option<usize> {
        self.serving.wanted_streams()
    }

    /// See [`Serving::sockets`].
    pub fn sockets(&self) -> usize {
        self.serving.sockets()
    }

    /// See [`Serving::set_descriptors`].
    pub fn set_descriptors(&mut self, count: usize) {
        self.serving.set_descriptors(count);
    }

    /// Tells it to stop, and returns at once.
    pub fn stop(&self) {
        // Before it ends, so that the crew does not restart it.
        self.workers.iter().for_each(Member::stop);
        self.serving.stop();
    }

    /// Tells it to stop and returns once its messages are committed. Blocks.
    pub fn join(self) {
        self.stop();
        let name = self.to_string();
        let Running { serving, workers } = self;
        serving.join();
        for worker in workers {
            if !worker.join(END) {
                tracing::error!("{name} does not stop: its thread is blocked; is the disk stuck?");
            }
        }
    }
}

impl fmt::Display for Running {
    /// As in `SNMP 127.0.0.1:1162/udp`, with the port that the kernel chose if the configuration has port 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.listener().protocol.as_str(), self.serving.at())
    }
}

/// What becomes of listeners. Everything that can fail is done: sockets are bound, threads wait.
#[derive(Default)]
pub struct ListenerPlan {
    ready: Vec<Ready>,
    /// They go on with other limits.
    changed: Vec<Listener>,
    /// To be ended.
    removed: Vec<Key>,
}

/// New listeners, bound.
#[derive(Debug, Default)]
pub struct BoundListeners {
    bound: Vec<Bound>,
    changed: Vec<Listener>,
    removed: Vec<Key>,
}

impl BoundListeners {
    /// Starts threads for them, which wait. What fails is reported.
    pub fn ready(self, host: &Host<'_>, found: &mut Diagnostics) -> ListenerPlan {
        let BoundListeners { bound, changed, removed } = self;
        let mut ready = Vec::new();
        for bound in bound {
            let (name, place) = (bound.to_string(), bound.listener().place.clone());
            match Ready::new(bound, host) {
                Ok(one) => ready.push(one),
                Err(error) => {
                    let message = format!("cannot start {name}: {error}");
                    let hint =
                        "the system has no threads or descriptors left; see `ulimit -u` and `ulimit -n`";
                    match place {
                        Some(place) => found.push(place.error(message, hint)),
                        None => found.file_error("trapline", message, hint),
                    }
                }
            }
        }
        ListenerPlan { ready, changed, removed }
    }
}

/// Carries out a plan that was made of these listeners.
pub fn carry_out(plan: ListenerPlan, running: &mut Vec<Running>, host: &Host<'_>) -> Done {
    let ListenerPlan { ready, changed, removed } = plan;
    let mut done = Done::default();
    let (ended, kept) = std::mem::take(running)
        .into_iter()
        .partition::<Vec<Running>, _>(|one| removed.contains(&one.serving.key()));
    *running = kept;
    for one in &ended {
        one.stop();
    }
    for listener in changed {
        let Some(one) = running.iter_mut().find(|one| one.serving.key() == listener.key()) else { continue };
        done.changed.push(one.to_string());
        for key in one.serving.adjust(&listener) {
            tracing::warn!("{one}: a change of '{key}' takes effect at the next restart");
        }
    }
    for one in ready {
        let one = one.begin(host);
        done.added.push(one.to_string());
        running.push(one);
    }
    for one in ended {
        done.removed.push(one.to_string());
        one.join();
    }
    // Sinks wait no longer than the most impatient listener.
    let patience = running.iter().map(|one| one.listener().limits.latency).min();
    host.shared.journal.set_patience(patience.unwrap_or_default());
    done
}

/// What was done with listeners, by their names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Done {
    /// Those that were started.
    pub added: Vec<String>,
    /// Those that go on with other limits.
    pub changed: Vec<String>,
    /// Those that were ended.
    pub removed: Vec<String>,
}

/// Binds what is wanted and does not run. What cannot be bound is reported with its place in the configuration. `http` is where
/// this daemon's own web server listens.
pub fn plan(
    running: &[Listener],
    wanted: &[Listener],
    http: Option<SocketAddr>,
    found: &mut Diagnostics,
) -> BoundListeners {
    let keys = |listeners: &[Listener]| listeners.iter().map(Listener::key).collect::<Vec<Key>>();
    let Steps { kept, added, removed } = plan::steps(&keys(running), &keys(wanted));
    let removed: Vec<Key> = removed.into_iter().map(|at| running[at].key()).collect();
    let mut bound = Vec::new();
    for listener in added.into_iter().map(|at| &wanted[at]) {
        match bind::bind(listener, listener.is_v6_only(wanted)) {
            Ok(one) => bound.push(one),
            Err(error) if listener.optional => {
                tracing::info!("not listening on {}: {}", error.transport, error.error);
            }
            Err(error) => report(listener, &error, running, http, found),
        }
    }
    let changed = kept.into_iter().filter(|(from, to)| running[*from].limits != wanted[*to].limits);
    BoundListeners { bound, changed: changed.map(|(_, to)| wanted[to].clone()).collect(), removed }
}

fn report(
    listener: &Listener,
    error: &BindError,
    running: &[Listener],
    http: Option<SocketAddr>,
    found: &mut Diagnostics,
) {
    let own = Some(&error.error)
        .filter(|error| error.kind() == io::ErrorKind::AddrInUse)
        .and_then(|_| holder(&error.transport, running, http));
    match (&listener.place, own) {
        (Some(place), Some(own)) => found.push(still_has_the_port(place, &error.transport, &own)),
        (Some(_), None) => error.diagnostic().into_iter().for_each(|diagnostic| found.push(diagnostic)),
        (None, _) => found.file_error("trapline", error.to_string(), ""),
    }
}

/// Which of this daemon's own listeners, or its web server, has the port of a transport.
pub fn holder(transport: &Transport, running: &[Listener], http: Option<SocketAddr>) -> Option<String> {
    let listener = running.iter().find(|other| transport.clashes(&other.transport, true));
    let listener = listener.map(|other| other.key().to_string());
    let http = http.filter(|http| transport.clashes(&Transport::Tcp(*http), true));
    listener.or_else(|| http.map(|http| format!("HTTP {http}/tcp")))
}

/// A transport cannot be bound, as the daemon's own listener `holder` has the port until the reload has succeeded.
pub fn still_has_the_port(place: &Place, transport: &Transport, holder: &str) -> Diagnostic {
    place.error(
        format!("cannot listen on {transport}: this daemon's own listener {holder} still has it"),
        "remove that one in one reload and add this one in the next, or restart",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::listener::{Limits, Protocol};

    #[test]
    fn the_daemon_knows_its_own_ports() {
        let running = [("udp://0.0.0.0:162", Protocol::Snmp), ("tcp://[::]:514", Protocol::Syslog)];
        let running = running.map(|(text, protocol)| Listener {
            protocol,
            transport: Transport::parse(protocol, text).unwrap(),
            limits: Limits::default(),
            optional: false,
            place: None,
        });
        let http = Some("127.0.0.1:8162".parse().unwrap());
        for (wanted, held) in [
            ("udp://127.0.0.1:162", Some("SNMP 0.0.0.0:162/udp")),
            ("udp://[::]:162", None),
            ("tcp://127.0.0.1:162", None),
            ("tcp://127.0.0.1:514", Some("syslog [::]:514/tcp")),
            ("udp://127.0.0.1:514", None),
            ("tcp://0.0.0.0:8162", Some("HTTP 127.0.0.1:8162/tcp")),
            ("udp://0.0.0.0:8162", None),
            ("tcp://127.0.0.2:8162", None),
        ] {
            let transport = Transport::parse(Protocol::Syslog, wanted).unwrap();
            assert_eq!(holder(&transport, &running, http).as_deref(), held, "{wanted}");
        }
    }
}
