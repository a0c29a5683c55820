//! The running daemon, and how a configuration becomes it: first a [`Plan`], in which everything that can fail is done,
//! then [`Assembly::carry_out`], which cannot. A configuration takes effect as a whole or not at all.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::listeners::{self, BoundListeners, Host, ListenerPlan, Running, still_has_the_port};
use super::log::{self, Log};
use super::lookups::{self, Keepers};
use super::needs;
use super::own_service;
use super::plan::{error_at, journal_stays};
use super::reports::Reports;
use super::reverse::Workers;
use super::sinks::{self, SinkPlan, Sinks};
use super::supervise::{Crew, Member, OnEnd};
use crate::capture::buffer::Wanted;
use crate::config::Config;
use crate::config::loaded::{self, Setup};
use crate::config::log::LogFormat;
use crate::history;
use crate::inbound::descriptors::{self, Needs};
use crate::intake::Active;
use crate::intake::bind::remedy;
use crate::intake::listener::{Listener, Transport};
use crate::journal;
use crate::maker::Workshop;
use crate::mib::load::Held;
use crate::settings::diagnostic::Diagnostics;
use crate::snmp::usm::Memory;
use crate::status::{Status, Unconfigured};
use crate::vitals;
use crate::web;
use crate::web::api::desk::Desk;
use crate::web::server::{Rules, Site};

/// The running daemon.
#[derive(Debug)]
pub struct Assembly {
    /// Starts its threads and tasks.
    pub crew: Crew,
    /// What it tells about itself.
    pub status: Arc<Status>,
    security: Arc<Memory>,
    log: Log,
    runtimes: Runtimes,
    /// What the web server serves.
    site: Arc<Site>,
    /// How many descriptors this process may have.
    descriptors: usize,
    /// How it reports itself.
    own_service: watch::Sender<Option<vitals::settings::Settings>>,
    /// What history is kept.
    history: watch::Sender<Option<history::Settings>>,
    /// Which reports are made.
    reports: watch::Sender<Reports>,
    /// Whether the daemon stops: a reload does not wait for sinks any more.
    stopped: watch::Sender<bool>,
    parts: Mutex<Parts>,
}

/// Where tasks run.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// Streams. What they do may take a while.
    pub streams: Handle,
    /// Signals, the control socket and the web server. Nothing blocks it.
    pub control: Handle,
}

/// What a reload changes.
#[derive(Debug)]
struct Parts {
    listeners: Vec<Running>,
    http: Option<Http>,
    /// How many connections sinks have, and how many sinks there are.
    sinks_need: Needs,
    /// Listeners that have fewer places than configured, as the log has said.
    less_streams: Vec<String>,
    sinks: Sinks,
    mibs: Held,
    /// Those that ask for names by reverse DNS, if that is configured.
    reverse: Option<Workers>,
    /// Those that keep tables up to date.
    keepers: Option<Keepers>,
    log: LogFormat,
    journal: journal::Settings,
    /// The daemon stops: nothing is changed any more.
    stopped: bool,
}

/// A running web server.
#[derive(Debug)]
struct Http {
    listen: SocketAddr,
    member: Member,
}

/// A configuration, ready to take effect.
pub struct Plan {
    active: Active,
    mibs: Held,
    log: Option<(LogFormat, log::Writer)>,
    listeners: ListenerPlan,
    http: HttpPlan,
    /// To whom the web server answers.
    http_rules: Rules,
    sinks: SinkPlan,
    sinks_need: Needs,
    own_service: Option<vitals::settings::Settings>,
    history: Option<history::Settings>,
    reports: Reports,
    /// What is captured.
    capture: Option<Wanted>,
    /// What rules are tried against.
    workshop: Arc<Workshop>,
    /// New ones; none to keep those that run.
    reverse: Option<Workers>,
    /// Those that will keep tables up to date.
    keepers: Option<Keepers>,
    found: Diagnostics,
}

impl Plan {
    /// Warnings about the configuration.
    pub fn found(&self) -> &Diagnostics {
        &self.found
    }
}

/// The sockets of a daemon that starts.
pub struct Sockets {
    listeners: BoundListeners,
    http: HttpPlan,
    http_rules: Rules,
}

impl Sockets {
    /// Binds the listeners and the web server of a configuration.
    ///
    /// # Errors
    ///
    /// What cannot be bound.
    pub fn bind(config: &Config) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::default();
        let listeners = listeners::plan(&[], &wanted(config), None, &mut found);
        let http = plan_http(None, &[], config, &mut found);
        if found.has_errors() {
            Err(found)
        } else {
            Ok(Sockets { listeners, http, http_rules: http_rules(config) })
        }
    }
}

enum HttpPlan {
    Keep,
    Replace(Option<(SocketAddr, TcpListener)>),
}

/// What a configuration that has taken effect has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// How many rules there are.
    pub rules: usize,
    /// Sinks.
    pub sinks: sinks::Done,
    /// Listeners, and the web server.
    pub listeners: listeners::Done,
    /// Warnings about the configuration.
    pub warnings: Diagnostics,
    /// Sinks that are not configured and have a cursor.
    pub unconfigured: Vec<Unconfigured>,
}

impl Assembly {
    /// A daemon with a journal, that does not listen and has no sinks.
    pub fn new(
        crew: Crew,
        status: Arc<Status>,
        security: Arc<Memory>,
        log: Log,
        runtimes: Runtimes,
        descriptors: usize,
        config: &Config,
    ) -> Self {
        let parts = Parts {
            listeners: Vec::new(),
            http: None,
            sinks_need: needs::of_sinks(config),
            less_streams: Vec::new(),
            sinks: Sinks::default(),
            mibs: Held::default(),
            reverse: None,
            keepers: None,
            log: config.log,
            journal: config.journal.clone(),
            stopped: false,
        };
        let (own_service, history) = (watch::channel(None).0, watch::channel(None).0);
        let site = Arc::new(Site::new(Arc::new(Desk::new(status.clone(), history.subscribe()))));
        Assembly {
            crew,
            status,
            security,
            log,
            runtimes,
            site,
            descriptors,
            own_service,
            history,
            reports: watch::channel(Reports::default()).0,
            stopped: watch::channel(false).0,
            parts: Mutex::new(parts),
        }
    }

    /// What SNMPv3 keeps over reloads.
    pub fn security(&self) -> &Arc<Memory> {
        &self.security
    }

    /// The limit of descriptors.
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// What routes of the API reach.
    pub fn desk(&self) -> &Arc<Desk> {
        self.site.desk()
    }

    /// How it is to report itself.
    pub fn own_service(&self) -> own_service::Wanted {
        self.own_service.subscribe()
    }

    /// What history is to be kept.
    pub fn history(&self) -> watch::Receiver<Option<history::Settings>> {
        self.history.subscribe()
    }

    /// Which reports are to be made.
    pub fn reports(&self) -> watch::Receiver<Reports> {
        self.reports.subscribe()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // A panic while parts are changed ends the daemon.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the listeners and the web server that were bound before: datagrams wait on disk until there are rules.
    ///
    /// # Errors
    ///
    /// If the system has no threads or descriptors left.
    pub fn listen(&self, sockets: Sockets) -> Result<(), Diagnostics> {
        let mut found = Diagnostics::default();
        let listeners = sockets.listeners.ready(&self.host(), &mut found);
        if found.has_errors() {
            return Err(found);
        }
        let mut parts = self.parts();
        self.site.set_rules(sockets.http_rules);
        self.change_listeners(&mut parts, listeners, sockets.http);
        Ok(())
    }

    /// Loads all that a configuration names, binds new listeners and prepares new sinks. Changes nothing that runs. Takes
    /// long if MIB modules must be read.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, and what cannot change without a restart.
    pub fn plan(&self, config: Config, found: Diagnostics) -> Result<Plan, Diagnostics> {
        self.plan_loaded(self.load(config, found))
    }

    /// Loads all that a configuration names. Changes nothing that runs.
    pub fn load(&self, config: Config, found: Diagnostics) -> Setup {
        let mibs = self.parts().mibs.clone();
        loaded::with_config(config, found, &mibs)
    }

    /// The same, with all that the configuration names loaded.
    ///
    /// # Errors
    ///
    /// As [`Assembly::plan`].
    pub fn plan_loaded(&self, setup: Setup) -> Result<Plan, Diagnostics> {
        let (mut found, mibs, config) = (setup.found.clone(), setup.mibs.clone(), setup.config.clone());
        let parts = self.parts();
        let running: Vec<Listener> = parts.listeners.iter().map(|one| one.listener().clone()).collect();
        let http = parts.http.as_ref().map(|http| http.listen);
        let (sinks, log) = (parts.sinks.view(), parts.log);
        let asks = parts.reverse.is_some();
        journal_stays(&parts.journal, &config, &mut found);
        drop(parts);
        let log = if log == config.log { Ok(None) } else { log::writer(config.log).map(Some) };
        let log = log.unwrap_or_else(|error| {
            error_at(config.log_place.as_ref(), error, "choose another format in [log]", &mut found);
            None
        });
        let log = log.map(|writer| (config.log, writer));
        let workshop = Workshop {
            files: setup.files.clone(),
            console: config.console.path().display().to_string().into(),
            sinks: config.sinks.iter().map(|sink| sink.settings.clone()).collect(),
            mib_paths: config.mib_paths.clone(),
            mib_index: loaded::mib_index(&config),
            ..Workshop::default()
        };
        let capture = config.capture.map(|settings| Wanted { settings, rules: setup.files.clone() });
        let active = setup.into_active(&self.security);
        let reverse = if config.hosts.reverse_dns && !asks {
            let started = Workers::start(&self.crew, &self.status.shared.reverse);
            let started = started.map_err(|error| {
                let what = format!("cannot start the threads that ask for reverse DNS: {error}");
                found.file_error(
                    "trapline",
                    what,
                    "raise the limit of threads, or set reverse_dns = false in [hosts]",
                );
            });
            started.ok()
        } else {
            None
        };
        let keepers = self.plan_keepers(active.as_ref(), &mut found);
        let journal = self.status.shared.journal.clone();
        let listeners = listeners::plan(&running, &wanted(&config), http, &mut found);
        let listeners = listeners.ready(&self.host(), &mut found);
        let http = plan_http(http, &running, &config, &mut found);
        let sinks = sinks::plan(&sinks, &config.sinks, &self.crew, &journal, &mut found);
        match active.filter(|_| !found.has_errors()) {
            Some(active) => {
                let (http_rules, sinks_need) = (http_rules(&config), needs::of_sinks(&config));
                let (own_service, history) = (config.own_service, config.history);
                let mailers = config.sinks.iter().map(|sink| &sink.settings);
                let reports = Reports::of(history.as_ref(), config.reports, mailers);
                Ok(Plan {
                    active,
                    mibs,
                    log,
                    listeners,
                    http,
                    http_rules,
                    sinks,
                    sinks_need,
                    own_service,
                    history,
                    reports,
                    capture,
                    workshop: Arc::new(workshop),
                    reverse,
                    keepers,
                    found,
                })
            }
            None => Err(found),
        }
    }

    /// Puts a plan in force. Blocks. Returns what has changed; none if the daemon stops and nothing was changed.
    pub fn carry_out(&self, plan: Plan) -> Option<Changes> {
        let mut parts = self.parts();
        if parts.stopped {
            return None;
        }
        let Plan {
            active,
            mibs,
            log,
            listeners,
            http,
            http_rules,
            sinks,
            sinks_need,
            own_service,
            history,
            reports,
            capture,
            workshop,
            reverse,
            keepers,
            found,
        } = plan;
        let rules = active.rules.rules().len();
        if let Some((format, writer)) = log {
            self.log.set(writer);
            parts.log = format;
        }
        if !active.hosts.reverse_dns {
            parts.reverse = None;
        } else if reverse.is_some() {
            parts.reverse = reverse;
        }
        let shared = &self.status.shared;
        shared.capture.set(capture);
        // Before the first message meets these rules.
        shared.untold().set_on(history.is_some());
        lookups::replace(shared, active);
        self.status.set_workshop(workshop);
        parts.keepers = keepers.inspect(Keepers::go);
        parts.mibs = mibs;
        let control = &self.runtimes.control;
        let sinks = control.block_on(parts.sinks.carry_out(sinks, &shared.journal, self.stopped.subscribe()));
        self.status.set_sinks(parts.sinks.running());
        parts.sinks_need = sinks_need;
        self.site.set_rules(http_rules);
        self.own_service.send_if_modified(|running| {
            let changed = *running != own_service;
            *running = own_service;
            changed
        });
        self.history.send_if_modified(|running| {
            let changed = *running != history;
            *running = history;
            changed
        });
        self.reports.send_replace(reports);
        let listeners = self.change_listeners(&mut parts, listeners, http);
        Some(Changes { rules, sinks, listeners, warnings: found, unconfigured: self.status.unconfigured() })
    }

    /// Threads for the tables of a configuration that has no mistake.
    fn plan_keepers(&self, active: Option<&Active>, found: &mut Diagnostics) -> Option<Keepers> {
        let tables = active?.rules.tables();
        let started = Keepers::start(&self.crew, &self.status.shared, tables);
        let started = started.map_err(|error| {
            let what = format!("cannot start the threads that read tables: {error}");
            found.file_error("trapline", what, "raise the limit of threads, or remove [[lookups]]");
        });
        started.ok()
    }

    fn change_listeners(&self, parts: &mut Parts, plan: ListenerPlan, http: HttpPlan) -> listeners::Done {
        let mut done = listeners::carry_out(plan, &mut parts.listeners, &self.host());
        if let HttpPlan::Replace(new) = http {
            let before = parts.http.take();
            done.removed.extend(before.as_ref().map(|http| format!("HTTP {}/tcp", http.listen)));
            if let Some((listen, listener)) = new {
                done.added.push(format!("HTTP {}/tcp", listener.local_addr().unwrap_or(listen)));
                parts.http = Some(Http { listen, member: self.serve_http(listener) });
            }
            if let Some(http) = before {
                http.member.stop();
            }
        }
        self.share_descriptors(parts);
        done
    }

    /// Gives listeners for streams as many places as there are descriptors for.
    fn share_descriptors(&self, parts: &mut Parts) {
        let sockets = parts.listeners.iter().map(Running::sockets).sum();
        let needs = Needs { sockets, ..parts.sinks_need };
        let wanted: Vec<usize> = parts.listeners.iter().filter_map(Running::wanted_streams).collect();
        let shares = descriptors::shares(self.descriptors, &needs, &wanted);
        let mut less = Vec::new();
        let streams = parts.listeners.iter_mut().filter(|one| one.wanted_streams().is_some());
        for ((listener, share), wanted) in streams.zip(shares).zip(wanted) {
            listener.set_descriptors(share);
            if share < wanted {
                less.push(format!("{listener}: {share} instead of {wanted}"));
            }
        }
        if less != parts.less_streams && !less.is_empty() {
            let enough =
                needs.reserve() + parts.listeners.iter().filter_map(Running::wanted_streams).sum::<usize>();
            tracing::warn!(
                "the limit of {} descriptors leaves fewer streams than max_connections ({}); raise it to {enough} (LimitNOFILE= of the unit, `ulimit -n`)",
                self.descriptors,
                less.join(", ")
            );
        }
        parts.less_streams = less;
    }

    fn host(&self) -> Host<'_> {
        Host { crew: &self.crew, shared: &self.status.shared, streams: &self.runtimes.streams }
    }

    fn serve_http(&self, listener: TcpListener) -> Member {
        let (listener, site) = (Arc::new(listener), self.site.clone());
        self.crew.task(&self.runtimes.control, "the web server", OnEnd::Restart, move |stop| {
            web::server::serve(listener.clone(), site.clone(), stop)
        })
    }

    /// Where its tasks run.
    pub fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    /// The addresses that it listens on.
    pub fn addresses(&self) -> Vec<String> {
        let parts = self.parts();
        let listeners = parts.listeners.iter().map(ToString::to_string);
        let http = parts.http.iter().map(|http| format!("HTTP {}/tcp", http.listen));
        listeners.chain(http).collect()
    }

    /// Ends the listeners: what waits in their sockets is still taken. From now on nothing is changed.
    pub fn stop_listening(&self) {
        self.stopped.send_replace(true);
        let listeners = {
            let mut parts = self.parts();
            parts.stopped = true;
            std::mem::take(&mut parts.listeners)
        };
        listeners.iter().for_each(Running::stop);
        listeners.into_iter().for_each(Running::join);
    }

    /// Ends the sinks: what they are sending is awaited for so long. Blocks.
    pub fn stop_sinks(&self, in_flight: Duration) {
        let sinks = std::mem::take(&mut self.parts().sinks);
        self.runtimes.control.block_on(sinks.stop(in_flight));
    }
}

/// To whom the web server of a configuration answers.
fn http_rules(config: &Config) -> Rules {
    let rules = |http: &web::settings::Settings| Rules {
        hosts: http.hosts.clone(),
        tls: http.tls.clone(),
        plaintext: http.plaintext,
        origins: http.origins.clone(),
        outcomes: http.outcomes,
    };
    config.http.as_ref().map(rules).unwrap_or_default()
}

/// The listeners of a configuration.
fn wanted(config: &Config) -> Vec<Listener> {
    config.listeners().cloned().collect()
}

fn plan_http(
    running: Option<SocketAddr>,
    listeners: &[Listener],
    config: &Config,
    found: &mut Diagnostics,
) -> HttpPlan {
    let Some(wanted) = &config.http else {
        return if running.is_none() { HttpPlan::Keep } else { HttpPlan::Replace(None) };
    };
    if running == Some(wanted.listen) {
        return HttpPlan::Keep;
    }
    let bound = TcpListener::bind(wanted.listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    match bound {
        Ok(listener) => return HttpPlan::Replace(Some((wanted.listen, listener))),
        Err(error) if wanted.optional => tracing::info!("no metrics on {}: {error}", wanted.listen),
        Err(error) => {
            let transport = Transport::Tcp(wanted.listen);
            let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
            let own =
                Some(&transport).filter(|_| in_use).and_then(|at| listeners::holder(at, listeners, running));
            match (&wanted.place, own) {
                (Some(place), Some(own)) => found.push(still_has_the_port(place, &transport, &own)),
                (place, _) => {
                    let message = format!("cannot listen on {transport}: {error}");
                    error_at(place.as_ref(), message, &remedy(&error, &transport, "[http]"), found);
                }
            }
        }
    }
    HttpPlan::Replace(None)
}
