//! The life of the daemon: start, run, stop.

use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use super::assembly::{Assembly, Runtimes, Sockets};
use super::awaited::Awaited;
use super::desk::ByControl;
use super::helpers::Helpers;
use super::log::Log;
use super::reload::{Reloader, log_unconfigured};
use super::senders::StoredSenders;
use super::signals::{self, Signals};
use super::supervise::{Crew, Member, OnEnd};
use super::{
    capture, control, drain, feed, history, inbox, mib_subprocess, minutes, mutes, needs, own_service,
    reports, storms, sync, systemd, timers,
};
use crate::config::Config;
use crate::config::loaded::{self, Setup};
use crate::engine_id;
use crate::files::{Folder, RAISE_LIMIT};
use crate::inbound::descriptors;
use crate::intake::amqp::consumer;
use crate::intake::{Shared, admission, follow, forward};
use crate::journal::{self, Journal, Options};
use crate::mib::load::{Held, cache};
use crate::settings::diagnostic::Diagnostics;
use crate::snmp::usm::Memory;
use crate::status::{Health, Status};
use crate::sys;
use crate::terminal::eprint;
use crate::time::clock::{Clock, SystemClock};
use crate::web::api::tokens::{self, TokenError};
use crate::world::World;

/// How many requests by the control socket wait at once to be carried out.
const ORDERS: usize = 64;
/// How long tasks and reloads may take to end with the daemon.
const LAST: Duration = Duration::from_secs(1);
/// How long the history may take to end.
const HISTORY: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to stop; false if the configuration is wrong.
///
/// # Errors
///
/// If the journal cannot be used, or a part ends that the daemon cannot run without.
pub fn run(path: Option<&Path>) -> anyhow::Result<bool> {
    // Before anything is opened.
    sys::inherited();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let health = Arc::new(Health::default());
    let crew = Crew::new(health.clone(), World::with_clock(clock.clone()));
    let control = runtime("control", 1)?;
    // First of all: from here on SIGHUP is heard and does not end the process.
    let signals = signals::install(control.handle(), &crew).context("cannot handle signals")?;
    let (mut config, mut found) = match loaded::config(path) {
        Ok(read) => read,
        Err(found) => {
            loaded::print(&found);
            return Ok(false);
        }
    };
    let awaited = Awaited::all(&mut config, &mut found);
    let log = Log::start(config.log);
    let descriptors = descriptors::raise().context("cannot ask for the limit of descriptors")?;
    if let Err(found) = needs::suffice(&config, descriptors) {
        loaded::print(&found);
        return Ok(false);
    }
    // Mistakes are reported before anything listens; unless MIB modules must be read, which can take long: senders do not
    // repeat traps, so these wait on disk meanwhile.
    let setup = if cache::is_ready(&config.mib_paths, &loaded::mib_index(&config)) {
        let setup = loaded::with_config(config.clone(), found.clone(), &Held::default());
        loaded::print(&setup.found);
        if setup.compiled.rules.is_none() {
            return Ok(false);
        }
        Some(setup)
    } else {
        None
    };
    let sockets = match Sockets::bind(&config) {
        Ok(sockets) => sockets,
        Err(found) => {
            loaded::print(&found);
            return Ok(false);
        }
    };
    let streams = runtime("streams", 2)?;
    let runtimes = Runtimes { streams: streams.handle().clone(), control: control.handle().clone() };
    let journal = open_journal(&config)?;
    let shared = Arc::new(Shared::new(journal, config.journal.sync, clock.clone()));
    // What the last process could not journal is marked as it would have been there.
    shared.commit.mutes.configure(&config.mutes);
    mutes::resume(&shared);
    shared.commit.resume(clock.now());
    // Mutes and the state were compared with what is there; others who write next may need the room.
    shared.journal.remove_taken();
    storms::resume(&shared);
    let status = Arc::new(Status::new(shared, health, clock.clone()));
    let security = Arc::new(security(&config, &*clock)?);
    let assembly = Assembly::new(crew, status, security, log, runtimes, descriptors, &config);
    let assembly = Arc::new(assembly);
    let to_load = ToLoad { config, found, setup, awaited };
    let lived = live(path, to_load, sockets, &assembly, signals);
    streams.shutdown_timeout(LAST);
    control.shutdown_timeout(LAST);
    lived
}

fn runtime(name: &str, threads: usize) -> anyhow::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build();
    runtime.context("cannot start threads")
}

/// From the first socket to the last.
fn live(
    path: Option<&Path>,
    to_load: ToLoad,
    sockets: Sockets,
    assembly: &Arc<Assembly>,
    signals: Signals,
) -> anyhow::Result<bool> {
    let Signals { hangups, hangup, mut terminate, member: _signals } = signals;
    let awaited = to_load.awaited.clone();
    let mut fatal = assembly.crew.fatal();
    let config = &to_load.config;
    let built_in = config.file.is_none();
    let file = config.file.as_ref().map_or("built-in defaults".to_owned(), |file| file.display().to_string());
    let sinks: Vec<&str> = config.sinks.iter().map(|sink| sink.settings.name.as_str()).collect();
    let sinks = sinks.join(", ");
    let console = first_token(assembly, config)?;
    if let Err(found) = assembly.listen(sockets) {
        loaded::print(&found);
        return Ok(false);
    }
    let (look, looked) = watch::channel(());
    let sync = sync_journal(assembly, config, look)?;
    let _inbox = write_inbox(assembly)?;
    let _capture = write_captured(assembly)?;
    let history = write_history(assembly)?;
    let _reports = make_reports(assembly)?;
    let _feed = feed_streams(assembly)?;
    let senders = store_senders(assembly, config)?;
    let (orders, ordered) = mpsc::channel(ORDERS);
    let path_of_socket = control::socket(&config.journal.directory);
    let socket = control::Socket::bind(&path_of_socket)
        .with_context(|| format!("cannot make the socket {}", path_of_socket.display()))?;
    let socket = Arc::new(socket);
    let helpers = Arc::new(Helpers::new(path, &config.journal.directory));
    let reach = ByControl { status: assembly.status.clone(), orders: orders.clone(), helpers };
    assembly.desk().set_control(Arc::new(reach));
    let _control = serve_control(assembly, socket.clone(), orders, looked);
    match start(to_load, assembly, &mut terminate)? {
        Started::Yes => {}
        Started::Wrong => {
            drain::stop(assembly, &sync, &senders, &socket);
            return Ok(false);
        }
        Started::Stopped => {
            drain::stop(assembly, &sync, &senders, &socket);
            return Ok(true);
        }
    }
    let timers = run_timers(assembly)?;
    let status = assembly.status.clone();
    status.set_ready();
    tracing::info!(
        version = env!("TRAPLINE_VERSION"),
        config = file,
        rules = status.shared.active().rules.rules().len(),
        sinks,
        "listening: {}",
        assembly.addresses().join(", ")
    );
    systemd::ready();
    let control = assembly.runtimes().control.clone();
    let _systemd = assembly.crew.task(&control, "the systemd reporter", OnEnd::Restart, move |stop| {
        systemd::tell(status.clone(), stop)
    });
    let queues = read_queues(assembly)?;
    let followed = follow_files(assembly)?;
    let _forwards = forward(assembly)?;
    let _own_service = report_itself(assembly)?;
    let _storms = report_storms(assembly)?;
    let _mutes = end_mutes(assembly)?;
    tell_of_console(console.as_ref(), built_in);
    if built_in {
        welcome();
    }
    let _hosts = look_for_hosts(assembly, awaited.clone(), hangup)?;
    let mut reloader = Reloader {
        path: path.map(Path::to_owned),
        assembly: assembly.clone(),
        awaited,
        hangups,
        orders: ordered,
    };
    let handle = control.clone();
    let _reload =
        assembly.crew.thread("the reload", OnEnd::Fatal, move |stop| reloader.run(&handle, stop))?;
    let failed = control.block_on(async {
        tokio::select! {
            _ = terminate.wait_for(|end| *end) => None,
            why = fatal.wait_for(Option::is_some) => why.ok().and_then(|why| why.clone()),
        }
    });
    queues.stop();
    followed.stop();
    timers.join(LAST);
    queues.join(LAST);
    followed.join(LAST);
    drain::stop(assembly, &sync, &senders, &socket);
    history.join(HISTORY);
    // Now that nothing comes any more.
    mutes::keep(&assembly.status.shared, &mut true);
    if assembly.status.shared.storms.any() {
        storms::keep(&assembly.status.shared, &mut true);
    }
    match failed {
        Some(why) => Err(anyhow!("stopped: {why}; see the log")),
        None => Ok(true),
    }
}

/// A configuration and, if that takes no time to speak of, all that it names.
struct ToLoad {
    config: Config,
    found: Diagnostics,
    setup: Option<Setup>,
    awaited: Awaited,
}

enum Started {
    Yes,
    /// The configuration is wrong, which was printed.
    Wrong,
    /// The daemon was told to stop before it had started.
    Stopped,
}

/// Loads the rules, which can take long, and starts everything else.
fn start(
    to_load: ToLoad,
    assembly: &Arc<Assembly>,
    terminate: &mut watch::Receiver<bool>,
) -> anyhow::Result<Started> {
    let control = assembly.runtimes().control.clone();
    let to_plan = assembly.clone();
    let plan = control.block_on(async {
        let plan = tokio::task::spawn_blocking(move || {
            let ToLoad { config, found, setup, .. } = to_load;
            if let Some(setup) = setup {
                return to_plan.plan_loaded(setup);
            }
            mib_subprocess::index(&config);
            let plan = to_plan.plan(config, found)?;
            loaded::print(plan.found());
            Ok(plan)
        });
        tokio::select! {
            plan = plan => Some(plan),
            _ = terminate.wait_for(|end| *end) => None,
        }
    });
    let plan = match plan {
        None => return Ok(Started::Stopped),
        Some(Ok(Ok(plan))) => plan,
        Some(Ok(Err(found))) => {
            loaded::print(&found);
            return Ok(Started::Wrong);
        }
        Some(Err(error)) => {
            return Err(error).context("the configuration cannot be loaded; please report it");
        }
    };
    let Some(changes) = assembly.carry_out(plan) else { return Ok(Started::Stopped) };
    log_unconfigured(&changes.unconfigured);
    // The sinks are there: what has waited goes first.
    admission::admit_waiting(&assembly.status.shared);
    Ok(Started::Yes)
}

fn sync_journal(assembly: &Assembly, config: &Config, looked: watch::Sender<()>) -> anyhow::Result<Member> {
    let (status, policy, looked) = (assembly.status.clone(), config.journal.sync, Arc::new(looked));
    let member = assembly.crew.thread_of_tasks("the journal's sync", OnEnd::Restart, move |stop| {
        sync::run_for(status.clone(), policy, looked.clone(), stop)
    });
    member.context("cannot start threads")
}

fn write_inbox(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly.crew.thread("the inbox", OnEnd::Restart, move |stop| inbox::run(&shared, stop));
    member.context("cannot start threads")
}

fn write_captured(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let name = "the writing of captured messages";
    let member =
        assembly.crew.thread_of_tasks(name, OnEnd::Restart, move |stop| capture::run(shared.clone(), stop));
    member.context("cannot start threads")
}

fn write_history(assembly: &Assembly) -> anyhow::Result<Member> {
    let (status, wanted) = (assembly.status.clone(), assembly.history());
    let member = assembly.crew.thread_of_tasks("the history", OnEnd::Restart, move |stop| {
        history::run(status.clone(), wanted.clone(), stop)
    });
    member.context("cannot start threads")
}

fn make_reports(assembly: &Assembly) -> anyhow::Result<Member> {
    let (status, wanted) = (assembly.status.clone(), assembly.reports());
    let network = assembly.crew.world().network;
    let member = assembly.crew.thread_of_tasks("the reports", OnEnd::Restart, move |stop| {
        reports::run(status.clone(), wanted.clone(), network.clone(), stop)
    });
    member.context("cannot start threads")
}

fn feed_streams(assembly: &Assembly) -> anyhow::Result<Member> {
    let (status, feed) = (assembly.status.clone(), assembly.desk().feed.clone());
    let name = "the streams of the API";
    let member = assembly
        .crew
        .thread_of_tasks(name, OnEnd::Restart, move |stop| feed::run(status.clone(), feed.clone(), stop));
    member.context("cannot start threads")
}

fn read_queues(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly.crew.thread_of_tasks("the reading of queues", OnEnd::Restart, move |stop| {
        consumer::run(shared.clone(), stop)
    });
    member.context("cannot start threads")
}

fn follow_files(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly.crew.thread_of_tasks("the following of files", OnEnd::Restart, move |stop| {
        follow::run::run(shared.clone(), stop)
    });
    member.context("cannot start threads")
}

fn forward(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly.crew.thread_of_tasks("the forwarding", OnEnd::Restart, move |stop| {
        forward::send::run(shared.clone(), stop)
    });
    member.context("cannot start threads")
}

fn report_itself(assembly: &Assembly) -> anyhow::Result<Member> {
    let (status, wanted) = (assembly.status.clone(), assembly.own_service());
    let name = "the report on Trapline itself";
    let member = assembly.crew.thread_of_tasks(name, OnEnd::Restart, move |stop| {
        let report = own_service::report(status.clone(), wanted.clone(), stop.clone());
        let note = minutes::note(status.clone(), stop);
        async {
            tokio::join!(report, note);
        }
    });
    member.context("cannot start threads")
}

fn report_storms(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly.crew.thread_of_tasks("the report on storms", OnEnd::Restart, move |stop| {
        storms::report(shared.clone(), stop)
    });
    member.context("cannot start threads")
}

fn end_mutes(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly
        .crew
        .thread_of_tasks("the mutes", OnEnd::Restart, move |stop| mutes::run(shared.clone(), stop));
    member.context("cannot start threads")
}

fn run_timers(assembly: &Assembly) -> anyhow::Result<Member> {
    let shared = assembly.status.shared.clone();
    let member = assembly
        .crew
        .thread_of_tasks("the timers", OnEnd::Restart, move |stop| timers::run(shared.clone(), stop));
    member.context("cannot start threads")
}

fn look_for_hosts(assembly: &Assembly, awaited: Awaited, reload: mpsc::Sender<()>) -> anyhow::Result<Member> {
    let name = "the look for files of hosts";
    let member = assembly
        .crew
        .thread_of_tasks(name, OnEnd::Restart, move |stop| awaited.clone().look(reload.clone(), stop));
    member.context("cannot start threads")
}

fn serve_control(
    assembly: &Assembly,
    socket: Arc<control::Socket>,
    orders: mpsc::Sender<control::Order>,
    looked: watch::Receiver<()>,
) -> Member {
    let status = assembly.status.clone();
    let runtime = assembly.runtimes().control.clone();
    assembly.crew.task(&runtime, "the control socket", OnEnd::Restart, move |stop| {
        control::serve(socket.clone(), status.clone(), orders.clone(), looked.clone(), stop)
    })
}

fn security(config: &Config, clock: &dyn Clock) -> anyhow::Result<Memory> {
    let (directory, now) = (&config.journal.directory, clock.now().mono.seconds());
    let path = directory.join("engine");
    let engine = engine_id::boot(&path, now).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull => "make room on its disk",
            io::ErrorKind::FileTooLarge => RAISE_LIMIT,
            io::ErrorKind::InvalidData => "restore or remove it",
            _ => "make it and its folder writable for the user that trapline runs as",
        };
        anyhow!("cannot use the SNMP engine's file {}: {error}; {remedy}", path.display())
    })?;
    let senders = engine_id::senders(&directory.join("senders"), now);
    Memory::new(engine, senders).map_err(|error| anyhow!("cannot start SNMPv3: {error}"))
}

fn store_senders(assembly: &Assembly, config: &Config) -> anyhow::Result<StoredSenders> {
    let path = config.journal.directory.join("senders");
    let senders = StoredSenders::start(&assembly.crew, assembly.security().clone(), path);
    senders.context("cannot start threads")
}

/// Opens the journal, and the cursors that it has, those of sinks that are not configured included.
fn open_journal(config: &Config) -> anyhow::Result<Arc<Journal>> {
    let journal::Settings { directory, max_size, when_full, .. } = config.journal.clone();
    let options = Options { directory, max_size, when_full };
    let (journal, recovery) = Journal::open(options, getrandom::u64()?)?;
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovery.torn_bytes,
            "the journal ended in the middle of a record, which was cut off: the daemon or the machine had stopped while writing"
        );
    }
    if recovery.missing > 0 {
        tracing::error!(
            outcomes = recovery.missing,
            "the journal has gaps between its records: outcomes are lost, and counted for each sink that lacks them; check the disk, and see who removes files there"
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
    let cursors = || {
        for name in journal.cursor_names()? {
            journal.register_first(&name)?;
        }
        io::Result::Ok(())
    };
    cursors().with_context(|| {
        let folder = config.journal.directory.join("cursors");
        format!(
            "cannot use the cursors in {}; make them readable and writable for the daemon",
            folder.display()
        )
    })?;
    Ok(journal)
}

/// Where the console is, and the token that was made for it, if it is the first start.
struct Console {
    url: String,
    token: Option<String>,
    file: PathBuf,
}

/// Where nobody has made a token yet, makes one for an administrator.
fn first_token(assembly: &Assembly, config: &Config) -> anyhow::Result<Option<Console>> {
    let Some(http) = &config.http else { return Ok(None) };
    let directory = &config.journal.directory;
    let now = assembly.status.clock.now().wall;
    let made =
        Folder::open(directory).map_err(TokenError::File).and_then(|folder| tokens::first(&folder, now));
    let token = made.context("cannot make the first token of the API")?;
    let address = match http.listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), http.listen.port()),
        _ => http.listen,
    };
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    Ok(Some(Console { url: format!("{scheme}://{address}/"), token, file: directory.join(tokens::FIRST) }))
}

/// A log is kept and read by others, so a token goes to terminals only.
fn tell_of_console(console: Option<&Console>, built_in: bool) {
    match console {
        Some(Console { url, token: Some(token), .. }) if built_in || io::stderr().is_terminal() => {
            eprint!("\nThe console, for this once with its token: {url}#token={token}\n");
        }
        Some(Console { url, token: Some(_), file }) => {
            tracing::info!("the console is at {url}; its first token is in {}", file.display());
        }
        Some(Console { url, token: None, .. }) if built_in => eprint!("\nThe console: {url}\n"),
        _ => {}
    }
}

fn welcome() {
    // As it was called, so that the lines can be pasted.
    let program = std::env::args().next().unwrap_or_else(|| "trapline".to_owned());
    eprint!(
        "\nRunning on built-in defaults: the shipped rules, outcomes into var/outcomes.jsonl. Try, in another terminal:\n\n  \
         {program} send trap IF-MIB::linkDown ifIndex.3=3 ifAdminStatus.3=up ifOperStatus.3=down ifDescr.3=Gi0/3\n  \
         {program} send syslog '<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)'\n  \
         tail var/outcomes.jsonl\n  {program} status\n\n"
    );
}
