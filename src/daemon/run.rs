//! `trapline run`: the daemon.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{control, modules, systemd};
use crate::config::log::LogFormat;
use crate::config::{Config, loaded as setup};
use crate::intake::bind::{Bound, bind_all, remedy};
use crate::intake::pipeline::admit_waiting;
use crate::intake::serve::{Serving, serve as start_listener};
use crate::intake::{Shared, engine_id};
use crate::journal::{self, Journal, Options, SyncPolicy};
use crate::mib::load::{self as mib, Held};
use crate::sinks::{self, Running};
use crate::snmp::usm::{Engine, Senders};
use crate::status::{Reloads, Status};
use crate::time::clock::{SystemClock, now};
use crate::web::server;

/// How often the journal is made safe from a power cut, where nothing asks for it earlier.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long sinks may take to deliver what is left when the daemon stops. What they do not is kept.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop; false if the configuration is wrong.
///
/// # Errors
///
/// If a port cannot be bound or the journal cannot be used.
pub fn run(path: Option<&Path>) -> anyhow::Result<bool> {
    let (config, found) = match setup::config(path) {
        Ok(read) => read,
        Err(found) => {
            setup::print(&found);
            return Ok(false);
        }
    };
    start_log(config.log);
    // What is wrong is said before anything listens; unless modules are to be read, which can take long, and nobody sends
    // a trap again: then what comes meanwhile waits on disk.
    let loaded = if mib::cache::is_ready(&config.mib_paths, &setup::mib_index(&config)) {
        let setup = setup::with_config(config.clone(), found.clone(), &Held::default());
        setup::print(&setup.found);
        if setup.compiled.rules.is_none() {
            return Ok(false);
        }
        Some(setup)
    } else {
        None
    };
    let mut sockets = Sockets::bind(&config)?;
    let journal = open_journal(&config)?;
    let engine_file = config.journal.directory.join("engine");
    let engine =
        engine_id::boot(&engine_file, u64::try_from(now() / 1_000_000).unwrap_or(0)).with_context(|| {
            format!("cannot use the SNMP engine's file {}; restore or remove it", engine_file.display())
        })?;
    let security = Security { engine, senders: Arc::default() };
    let shared = Arc::new(Shared::new(journal, config.journal.sync, Arc::new(SystemClock)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let addresses = sockets.addresses();
    let listeners = std::mem::take(&mut sockets.listeners)
        .into_iter()
        .map(|bound| start_listener(bound, &shared, runtime.handle()))
        .collect::<std::io::Result<Vec<Serving>>>()?;
    let setup = loaded.unwrap_or_else(|| {
        modules::index(&config);
        let setup = setup::with_config(config.clone(), found, &Held::default());
        setup::print(&setup.found);
        setup
    });
    let mibs = setup.mibs.clone();
    let Some(active) = setup.into_active(&security.engine, &security.senders) else {
        stop_listeners(listeners);
        return Ok(false);
    };
    shared.replace(active);
    let reload = Reload { path: path.map(Path::to_owned), security, shared: shared.clone(), mibs };
    let served = runtime.block_on(serve(&config, (sockets.http, addresses, listeners), shared, reload));
    // A reload that waits for modules is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    Ok(true)
}

/// What the security of v3 keeps over reloads.
struct Security {
    engine: Engine,
    senders: Arc<Mutex<Senders>>,
}

fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TRAPLINE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,lapin=off,mib_rs=off"));
    // A second start in one process, as tests do it, keeps the first log.
    let _ = match format {
        LogFormat::Journald => {
            use tracing_subscriber::layer::SubscriberExt as _;
            use tracing_subscriber::util::SubscriberInitExt as _;
            match tracing_journald::layer() {
                Ok(journald) => {
                    return drop(tracing_subscriber::registry().with(filter).with(journald).try_init());
                }
                Err(error) => {
                    eprintln!("trapline: no journald here ({error}); logging to standard error");
                    human(filter).with_ansi(false).try_init()
                }
            }
        }
        LogFormat::Human => human(filter).with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => human(filter).json().flatten_event(true).try_init(),
    };
}

type Human = tracing_subscriber::fmt::SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    tracing_subscriber::EnvFilter,
    fn() -> std::io::Stderr,
>;

fn human(filter: tracing_subscriber::EnvFilter) -> Human {
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr)
}

/// All sockets, bound before anything is received.
struct Sockets {
    listeners: Vec<Bound>,
    http: Option<std::net::TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> anyhow::Result<Self> {
        let listeners =
            bind_all(config.snmp.listen.iter().chain(&config.syslog.listen)).map_err(|errors| {
                anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            })?;
        let mut sockets = Sockets { listeners, http: None };
        if let Some(http) = config.http {
            match std::net::TcpListener::bind(http.listen) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    sockets.http = Some(listener);
                }
                Err(error) if http.optional => {
                    tracing::info!("no metrics on {}: {error}", http.listen);
                }
                Err(error) => {
                    let (address, remedy) = (http.listen, remedy(&error, "[http]"));
                    return Err(anyhow!("cannot listen on {address}/tcp: {error}; {remedy}"));
                }
            }
        }
        Ok(sockets)
    }

    fn addresses(&self) -> Vec<String> {
        let http =
            self.http.iter().filter_map(|listener| Some(format!("HTTP {}/tcp", listener.local_addr().ok()?)));
        self.listeners.iter().map(ToString::to_string).chain(http).collect()
    }
}

fn stop_listeners(listeners: Vec<Serving>) {
    listeners.iter().for_each(Serving::stop);
    listeners.into_iter().for_each(Serving::join);
}

fn open_journal(config: &Config) -> anyhow::Result<Arc<Journal>> {
    let journal::Settings { directory, max_size, when_full, .. } = config.journal.clone();
    let options = Options { directory, max_size, when_full };
    // Random, as the keys of a new RandomState are.
    let epoch = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    let (journal, recovery) = Journal::open(options, epoch)?;
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovery.torn_bytes,
            "the journal ended in the middle of a record, which was cut off: the daemon or the machine had stopped while writing"
        );
    }
    for path in &recovery.unreadable {
        tracing::error!(
            "the journal segment {} cannot be read and was set aside as .unreadable",
            path.display()
        );
    }
    if recovery.records > 0 {
        tracing::info!(records = recovery.records, "the journal was opened with what was there");
    }
    Ok(journal)
}

async fn serve(
    config: &Config,
    (http, addresses, listeners): (Option<std::net::TcpListener>, Vec<String>, Vec<Serving>),
    shared: Arc<Shared>,
    reload: Reload,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let (stop_sinks, sinks_stopped) = watch::channel(false);
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let mut running = Vec::new();
    let mut tasks = Vec::new();
    for sink in &config.sinks {
        let (sink, task) = sinks::start(sink, &shared.journal, sinks_stopped.clone()).with_context(|| {
            format!("cannot use the cursor of sink '{}' in the journal directory", sink.name)
        })?;
        running.push(sink);
        tasks.push(task);
    }
    let state = Arc::new(Status {
        shared: shared.clone(),
        sinks: running.clone(),
        started: Instant::now(),
        reloads: Mutex::default(),
    });
    let socket = config.control_socket();
    let listener =
        control::bind(&socket).with_context(|| format!("cannot make the socket {}", socket.display()))?;
    tokio::spawn(control::serve(listener, state.clone(), stopped.clone()));
    if let Some(listener) = http {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(server::serve(listener, state.clone(), stopped.clone()));
    }
    tokio::spawn(sync_regularly(shared.clone(), config.journal.sync, stopped.clone()));

    // The sinks are there: what has waited goes first.
    let waited = shared.clone();
    tokio::task::spawn_blocking(move || admit_waiting(&waited)).await?;
    tracing::info!(rules = shared.active().rules.rules().len(), "listening: {}", addresses.join(", "));
    systemd::ready();
    tokio::spawn(systemd::tell(state.clone(), stopped.clone()));
    if config.file.is_none() {
        welcome();
    }
    // Signals that come while rules are loaded are heard; any number of them load the rules once more.
    let (ask, asked) = watch::channel(());
    tokio::spawn(reload.whenever(asked, state.clone()));
    loop {
        tokio::select! {
            _ = hangup.recv() => ask.send_replace(()),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping");
    systemd::stopping();
    let _ = stop.send(true);
    shared.stop();
    let joined = tokio::task::spawn_blocking(move || stop_listeners(listeners));
    let _ = joined.await;
    shared.commit.finish(shared.now());
    drain(&shared, &running).await;
    let _ = stop_sinks.send(true);
    for task in tasks {
        let _ = tokio::time::timeout(Duration::from_secs(1), task).await;
    }
    shared.journal.clean();
    if let Err(error) = shared.journal.sync(u64::MAX) {
        tracing::error!(%error, "the journal could not be synced at the end");
    }
    let _ = std::fs::remove_file(socket);
    Ok(())
}

async fn sync_regularly(shared: Arc<Shared>, when: SyncPolicy, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(SYNC_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        let shared = shared.clone();
        let synced = tokio::task::spawn_blocking(move || {
            shared.commit.retry(shared.now());
            shared.journal.clean();
            if when == SyncPolicy::Never { Ok(()) } else { shared.journal.sync(u64::MAX) }
        });
        if let Ok(Err(error)) = synced.await {
            tracing::error!(%error, "the journal cannot be synced; what came in the last second may not survive a power cut; check the disk");
        }
    }
}

/// Waits until the sinks have delivered all, or for as long as they may take.
async fn drain(shared: &Shared, running: &[Running]) {
    let deadline = Instant::now() + DRAIN;
    let behind = || {
        let next = shared.journal.next();
        running.iter().map(|s| next.saturating_sub(s.cursor.position())).max().unwrap_or(0)
    };
    while behind() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if behind() > 0 {
        tracing::info!(
            outcomes = behind(),
            "not all sinks have taken everything; the journal keeps it for the next start"
        );
    }
}

/// What new rules are made with.
struct Reload {
    path: Option<PathBuf>,
    security: Security,
    shared: Arc<Shared>,
    mibs: Held,
}

impl Reload {
    /// Reloads as often as it is asked to, apart from what serves.
    async fn whenever(mut self, mut asked: watch::Receiver<()>, state: Arc<Status>) {
        while asked.changed().await.is_ok() {
            let state = state.clone();
            let reloaded = tokio::task::spawn_blocking(move || {
                self.now(&state.reloads);
                self
            });
            match reloaded.await {
                Ok(this) => self = this,
                Err(error) => {
                    tracing::error!(%error, "the reload failed; please report it, and restart to load rules");
                    return;
                }
            }
        }
    }

    /// New rules, hosts and filters, all of them or none.
    fn now(&mut self, reloads: &Mutex<Reloads>) {
        if let Ok((config, _)) = setup::config(self.path.as_deref()) {
            modules::index(&config);
        }
        let result = setup::load(self.path.as_deref(), &self.mibs).and_then(|setup| {
            let (found, mibs) = (setup.found.clone(), setup.mibs.clone());
            let active = setup.into_active(&self.security.engine, &self.security.senders).ok_or(found)?;
            Ok((active, mibs))
        });
        let mut reloads = reloads.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok((active, mibs)) => {
                let rules = active.rules.rules().len();
                self.shared.replace(active);
                self.mibs = mibs;
                reloads.done += 1;
                reloads.error = None;
                tracing::info!(
                    rules,
                    "reloaded; listeners, journal and sinks stay as they were at the start"
                );
            }
            Err(found) => {
                let text = found.to_text();
                for line in text.lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("not reloaded: the rules from before stay in force");
                reloads.refused += 1;
                reloads.error = Some(text);
            }
        }
    }
}

fn welcome() {
    // As it was called, so that the lines can be pasted.
    let program = std::env::args().next().unwrap_or_else(|| "trapline".to_owned());
    eprintln!(
        "\nRunning on built-in defaults: the shipped rules, outcomes into var/outcomes.jsonl. Try, in another terminal:\n\n  \
         {program} send trap IF-MIB::linkDown ifIndex.3=3 ifAdminStatus.3=up ifOperStatus.3=down ifDescr.3=Gi0/3\n  \
         {program} send syslog '<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)'\n  \
         tail var/outcomes.jsonl\n  {program} status\n"
    );
}
