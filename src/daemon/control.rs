//! The control socket `control.sock` in the journal directory, on which `trapline status`, `reload`, `state` and others speak to
//! the running daemon.
//!
//! A client sends one line, a JSON [`Request`], and gets one line, a JSON document; for [`Request::Tap`] further ones follow. A client that sends nothing gets the
//! status, as does one that closes its side at once.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as ClientStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::replies::{answer_to, end_mutes, endpoints, kinds, look_at_letters, mute, refusal, unable};
use super::supervise::{Stop, told};
use crate::files::PinnedFile;
use crate::inbound::accept::{Acceptor, Next};
use crate::intake::mute::Covers;
use crate::intake::state_view::{self, StateFilter};
use crate::intake::tap::{Filter, View};
use crate::maker::versions::Edit;
use crate::rules::asks::Sent;
use crate::settings::values::shown;
use crate::status::Status;

/// How long a client may take to send its request. One that sends nothing in this time gets the status. Long enough for a
/// client on a loaded machine.
const REQUEST: Duration = Duration::from_secs(1);
/// How long a client may take to read its answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the journal may keep the status waiting; less than a client waits.
const LOOK_UP: Duration = Duration::from_secs(3);
/// How long it may take until a client that looks on is told how many messages it has missed.
const MISSED: Duration = Duration::from_secs(1);
/// The longest request, in bytes.
const MOST: u64 = 64 << 10;
/// The most entries of the state of rules that one answer has.
const MOST_ENTRIES: usize = 100_000;
/// How many clients are served at once, without those whose orders are being carried out.
const CLIENTS: usize = 64;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// The status.
    Status,
    /// Reload the configuration; the answer is the result.
    Reload,
    /// The sinks and their cursors, also those that are no longer configured.
    Sinks,
    /// Forget the cursor of a sink that is no longer configured.
    Forget {
        /// The name of the sink.
        sink: String,
    },
    /// Look at the dead letters of a sink, which somebody has changed.
    Letters {
        /// The name of the sink.
        sink: String,
    },
    /// The messages that no rule takes, by kind.
    Unmatched,
    /// The loudest kinds of messages that no rule takes, without the messages.
    Kinds,
    /// What the state of rules holds.
    State {
        /// Which entries.
        filter: StateFilter,
        /// How many of them at most.
        most: usize,
    },
    /// End entries of the state of rules.
    #[serde(rename = "clear_state")]
    ClearState {
        /// Which ones.
        filter: StateFilter,
        /// The output of what is sent; none for the usual one.
        output: Option<String>,
        /// Send nothing.
        silent: bool,
    },
    /// What `is_open` or `open_count` gives.
    Ask {
        /// What is asked.
        question: Sent,
    },
    /// The hosts and services of check results in the journal.
    Endpoints,
    /// Who sends, and who is refused; with an age the known hosts that no message was about for so long, or ever.
    Senders {
        /// That age in seconds; 0 for never.
        silent: Option<u64>,
    },
    /// Mute outcomes.
    Mute {
        /// Which ones.
        covers: Covers,
        /// For how long.
        seconds: u64,
    },
    /// The mutes.
    Mutes,
    /// End mutes.
    #[serde(rename = "end_mutes")]
    EndMutes {
        /// Which ones; all if none is named.
        ids: Vec<u64>,
    },
    /// Show messages as they come, until the client goes.
    Tap {
        /// Which ones.
        filter: Filter,
    },
    /// Change the rules of the console.
    #[serde(rename = "console_rules")]
    ConsoleRules {
        /// What to make of them.
        edit: Edit,
        /// The tag of the rules that the change was made from; none to change whatever there is.
        base: Option<String>,
        /// Only look whether it can be done.
        dry_run: bool,
    },
    /// Forget unmatched messages.
    #[serde(rename = "forget_unmatched")]
    ForgetUnmatched {
        /// The numbers of their groups; all if none is named.
        groups: Vec<u64>,
    },
}

/// What the daemon is told to do, one after the other, and who waits for the result.
#[derive(Debug)]
pub struct Order {
    /// [`Request::Reload`], [`Request::Forget`] or [`Request::ConsoleRules`].
    pub request: Request,
    /// Gets the result.
    pub answer: oneshot::Sender<Value>,
}

/// Where the daemon that uses a journal directory has its socket.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// The bound socket.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    bound: Mutex<Bound>,
}

#[derive(Debug)]
struct Bound {
    listener: std::os::unix::net::UnixListener,
    file: PinnedFile,
}

impl Socket {
    /// Binds the socket, for the daemon's user alone; a socket that a process before has left is replaced.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Ok(Socket { path: path.to_owned(), bound: Mutex::new(bind(path)?) })
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_place(&self) -> bool {
        self.bound().file.is_at(&self.path)
    }

    /// Binds it again if somebody has removed or replaced its file; whether that was so.
    fn follow(&self) -> bool {
        if self.is_in_place() {
            return false;
        }
        match bind(&self.path) {
            Ok(bound) => {
                *self.bound() = bound;
                tracing::warn!("the control socket {} was gone and is bound again", self.path.display());
                true
            }
            // Its directory is gone too: it is bound again when that is.
            Err(_) => false,
        }
    }

    fn listener(&self) -> io::Result<UnixListener> {
        self.bound().listener.try_clone().and_then(UnixListener::from_std)
    }

    /// Removes its file, unless that is another one by now.
    #[expect(clippy::disallowed_methods, reason = "a socket's name goes at once, and the daemon with it")]
    pub fn remove(&self) {
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a socket's name goes at once, at the start or in a folder that is new"
)]
fn bind(path: &Path) -> io::Result<Bound> {
    // The lock on the journal says that no other daemon uses this directory.
    let _ = std::fs::remove_file(path);
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Bound { listener, file: PinnedFile::at(path)? })
}

/// Answers until told to stop. `looked` changes when the files of the journal directory were looked at: then the socket is
/// looked at as well.
pub async fn serve(
    socket: Arc<Socket>,
    status: Arc<Status>,
    orders: mpsc::Sender<Order>,
    mut looked: watch::Receiver<()>,
    stop: Stop,
) {
    let acceptor = Acceptor::new("the control socket", status.shared.accepted.clone(), status.clock.clone());
    let places = Arc::new(Semaphore::new(CLIENTS));
    while !*stop.borrow() {
        let listener = match socket.listener() {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot serve the control socket"),
        };
        let mut end_of_all = stop.clone();
        let end = async {
            loop {
                tokio::select! {
                    // The sender ends with the daemon.
                    Ok(()) = looked.changed() => if socket.follow() { return },
                    () = told(&mut end_of_all) => return,
                }
            }
        };
        let start = |stream: UnixStream, peer| {
            match places.clone().try_acquire_owned() {
                Ok(place) => {
                    let (status, orders) = (status.clone(), orders.clone());
                    tokio::spawn(async move { answer(stream, &status, &orders, place).await });
                }
                Err(_) => acceptor.refused(peer, &format!("{CLIENTS} are open")),
            }
            Next::Go
        };
        acceptor.run(&listener, end, start).await;
    }
}

async fn answer(
    mut stream: UnixStream,
    status: &Arc<Status>,
    orders: &mpsc::Sender<Order>,
    place: OwnedSemaphorePermit,
) {
    let (reader, mut writer) = stream.split();
    let mut line = Vec::new();
    let mut reader = tokio::io::BufReader::new(reader).take(MOST);
    let read = tokio::time::timeout(REQUEST, reader.read_until(b'\n', &mut line)).await;
    let request = match read {
        Ok(Err(_)) => return,
        _ if line.is_empty() => Ok(Request::Status),
        _ => serde_json::from_slice(&line),
    };
    let cut_off = line.len() as u64 == MOST;
    let answer = match request {
        Ok(Request::Tap { filter }) => match status.shared.tap.view(&filter) {
            Ok(view) => return show(stream, view).await,
            Err(why) => refusal(why),
        },
        Ok(request @ (Request::Reload | Request::Forget { .. } | Request::ConsoleRules { .. })) => {
            // A reload can take long. Those who wait for it keep nobody from asking for the status.
            drop(place);
            reply(request, status, orders).await
        }
        Ok(request) => reply(request, status, orders).await,
        Err(_) if cut_off => {
            refusal(format!("the request is longer than {MOST} octets; name fewer things at once"))
        }
        Err(error) => refusal(format!("unknown request: {error}; use the same release as the daemon")),
    };
    let text = format!("{answer}\n");
    let _ = tokio::time::timeout(ANSWER, writer.write_all(text.as_bytes())).await;
}

/// The answer to a request that is answered by one document.
pub(super) async fn reply(request: Request, status: &Arc<Status>, orders: &mpsc::Sender<Order>) -> Value {
    match request {
        Request::Status => look_up(status, Status::to_json).await,
        Request::Sinks => look_up(status, Status::sinks_to_json).await,
        Request::Senders { silent: None } => look_up(status, Status::senders_to_json).await,
        Request::Senders { silent: Some(seconds) } => {
            look_up(status, move |status| status.silent_to_json(Duration::from_secs(seconds))).await
        }
        Request::Ask { question } => look_up(status, move |status| answer_to(status, &question)).await,
        Request::Endpoints => look_up(status, endpoints).await,
        Request::Letters { sink } => look_at_letters(status, &sink),
        Request::State { filter, most } => {
            look_up(status, move |status| state_view::list(&status.shared, &filter, most.min(MOST_ENTRIES)))
                .await
        }
        Request::ClearState { filter, output, silent } => {
            let clear =
                move |status: &Status| state_view::clear(&status.shared, &filter, output.as_deref(), silent);
            look_up(status, clear).await
        }
        Request::Mute { covers, seconds } => {
            look_up(status, move |status| mute(status, covers, seconds)).await
        }
        Request::Mutes => status.shared.commit.mutes.to_json(status.clock.now().wall),
        Request::EndMutes { ids } => look_up(status, move |status| end_mutes(status, &ids)).await,
        Request::Unmatched => json!({ "ok": true, "groups": status.inbox().groups() }),
        Request::Kinds => look_up(status, kinds).await,
        Request::ForgetUnmatched { groups } => {
            json!({ "ok": true, "forgotten": status.inbox().forget(&groups) })
        }
        Request::Tap { .. } => refusal("messages are shown on the control socket only".to_owned()),
        request @ (Request::Reload | Request::Forget { .. } | Request::ConsoleRules { .. }) => {
            order(request, orders).await
        }
    }
}

/// Shows messages until the client goes. One that does not read keeps nobody waiting but itself.
async fn show(mut stream: UnixStream, mut view: View) {
    let (mut reader, mut writer) = stream.split();
    let first = format!("{}\n", json!({ "ok": true, "tap": true }));
    if writer.write_all(first.as_bytes()).await.is_err() {
        return;
    }
    loop {
        let mut more = [0; 64];
        let line = tokio::select! {
            line = view.next() => line,
            // A client says nothing more; an end is that it has gone.
            read = reader.read(&mut more) => match read {
                Ok(1..) => continue,
                _ => return,
            },
            () = tokio::time::sleep(MISSED) => None,
        };
        let missed = view.missed();
        let missed = (missed > 0).then(|| format!("{}\n", json!({ "missed": missed })));
        for text in [line.as_deref(), missed.as_deref()].into_iter().flatten() {
            if writer.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Asks the status, which waits for the journal: on another thread, as signals are heard on this one.
async fn look_up(status: &Arc<Status>, ask: impl FnOnce(&Status) -> Value + Send + 'static) -> Value {
    let status = status.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&status));
    match tokio::time::timeout(LOOK_UP, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => unable("the daemon has failed to tell its status; see its log".to_owned()),
        Err(_) => unable("the daemon waits for the disk of the journal; is the disk stuck?".to_owned()),
    }
}

async fn order(request: Request, orders: &mpsc::Sender<Order>) -> Value {
    let (answer, answered) = oneshot::channel();
    match orders.try_send(Order { request, answer }) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Closed(_)) => return unable("the daemon stops".to_owned()),
        Err(mpsc::error::TrySendError::Full(_)) => {
            return unable("too many reloads wait to be carried out; try again later".to_owned());
        }
    }
    answered.await.unwrap_or_else(|_| unable("the daemon has stopped, or failed; see its log".to_owned()))
}

/// Asks the daemon whose socket this is; none if no daemon listens. An answer that does not come within `patience` is an
/// error; without it there is no limit.
///
/// # Errors
///
/// If the daemon cannot be asked or does not answer.
pub fn ask(socket: &Path, request: &Request, patience: Option<Duration>) -> anyhow::Result<Option<Value>> {
    let Some(mut stream) = connect(socket)? else { return Ok(None) };
    stream.set_read_timeout(patience)?;
    let text = serde_json::to_string(request)?;
    // A daemon that did not wait for the request has answered already.
    let _ = stream.write_all(format!("{text}\n").as_bytes());
    first_line(&mut BufReader::new(stream), socket, patience).map(Some)
}

/// The same for a request that is answered by lines without end: gives the first one, which must come within `patience`, and
/// what follows as it comes.
///
/// # Errors
///
/// If the daemon cannot be asked or does not answer.
pub fn follow(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> anyhow::Result<Option<(Value, BufReader<ClientStream>)>> {
    let Some(mut stream) = connect(socket)? else { return Ok(None) };
    let text = serde_json::to_string(request)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{text}\n").as_bytes())?;
    let mut lines = BufReader::new(stream);
    let first = first_line(&mut lines, socket, Some(patience))?;
    lines.get_ref().set_read_timeout(None)?;
    Ok(Some((first, lines)))
}

/// The answer that comes first.
fn first_line(
    lines: &mut BufReader<ClientStream>,
    socket: &Path,
    patience: Option<Duration>,
) -> anyhow::Result<Value> {
    let mut answer = String::new();
    if let Err(error) = lines.read_line(&mut answer) {
        // A read timeout of a socket is one or the other, by system.
        if let (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(patience)) = (error.kind(), patience) {
            bail!(
                "the daemon has not answered on {} for {}; it hangs, is suspended or waits for a disk: look at its process and its log, and restart it",
                socket.display(),
                shown(patience)
            );
        }
        return Err(error).with_context(|| format!("no answer on {}", socket.display()));
    }
    if answer.is_empty() {
        bail!("the daemon closed {} without an answer: it has stopped; see its log", socket.display());
    }
    serde_json::from_str(&answer)
        .with_context(|| format!("the answer on {} cannot be read", socket.display()))
}

fn connect(socket: &Path) -> anyhow::Result<Option<ClientStream>> {
    match ClientStream::connect(socket) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error).with_context(|| {
            format!("cannot connect to {}; run this as the daemon's user or root", socket.display())
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::Shutdown;
    use std::thread;

    use super::*;
    use crate::intake::Shared;
    use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
    use crate::status::Health;
    use crate::time::clock::SystemClock;

    /// Runs a test against the socket of a daemon that carries out every order.
    fn with_socket(test: impl FnOnce(&Path, &watch::Sender<()>) + Send) {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        let journal = Journal::open(options, 7).unwrap().0;
        let clock = Arc::new(SystemClock);
        let shared = Arc::new(Shared::new(journal, SyncPolicy::Never, clock.clone()));
        let status = Arc::new(Status::new(shared, Arc::new(Health::default()), clock));
        let path = socket(dir.path());
        // What a process before has left is replaced.
        std::fs::write(&path, "").unwrap();
        let bound = Arc::new(Socket::bind(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (orders, mut ordered) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let (look, looked) = watch::channel(());
        runtime.spawn(async move {
            while let Some(Order { request, answer }) = ordered.recv().await {
                answer.send(json!({ "ok": true, "did": format!("{request:?}") })).unwrap();
            }
        });
        let served = runtime.spawn(serve(bound.clone(), status, orders, looked, stopped));
        thread::scope(|scope| scope.spawn(|| test(&path, &look)).join()).unwrap();
        stop.send_replace(true);
        runtime.block_on(served).unwrap();
        bound.remove();
        assert!(!path.exists());
    }

    /// What comes back for some bytes.
    fn say(path: &Path, bytes: &[u8], close: bool) -> Value {
        let mut stream = ClientStream::connect(path).unwrap();
        stream.write_all(bytes).unwrap();
        if close {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with('\n') && answer.lines().count() == 1, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    #[test]
    fn who_sends_nothing_gets_the_status() {
        with_socket(|path, _| {
            for (bytes, close) in [(&b""[..], false), (b"", true), (b"{\"command\":\"status\"}\n", false)] {
                assert_eq!(say(path, bytes, close)["pid"], std::process::id());
            }
            assert_eq!(say(path, b"{\"command\":\"sinks\"}", true)["sinks"], json!([]));
        });
    }

    #[test]
    fn orders_are_carried_out_and_nonsense_is_refused() {
        with_socket(|path, _| {
            let forget = Request::Forget { sink: "a\n\"b\"".to_owned() };
            for request in [Request::Reload, forget] {
                let answer = ask(path, &request, Some(Duration::from_secs(20))).unwrap().unwrap();
                assert_eq!(answer, json!({ "ok": true, "did": format!("{request:?}") }));
            }
            // As many as a command line may have by far.
            let forget = Request::ForgetUnmatched { groups: vec![u64::MAX; 2500] };
            let answer = ask(path, &forget, Some(Duration::from_secs(20))).unwrap().unwrap();
            assert_eq!(answer["forgotten"], 0, "{answer}");
            let long = say(path, &b"x".repeat(MOST as usize), false);
            assert!(long["error"].as_str().unwrap().contains("longer than 65536 octets"), "{long}");
            let unknown = &b"{\"command\":\"explode\"}\n"[..];
            for nonsense in [&b"nonsense\n"[..], b"\n", unknown, b"{\"command\":\"forget\"}\n"] {
                let answer = say(path, nonsense, false);
                assert_eq!(answer["ok"], false, "{answer}");
                assert!(answer["error"].as_str().unwrap().starts_with("unknown request: "), "{answer}");
            }
            assert!(ask(&path.with_extension("none"), &Request::Status, None).unwrap().is_none());
        });
    }

    #[test]
    fn a_socket_that_somebody_has_removed_is_bound_again() {
        with_socket(|path, look| {
            for replaced in [false, true] {
                std::fs::remove_file(path).unwrap();
                if replaced {
                    std::fs::write(path, "").unwrap();
                }
                look.send_replace(());
                let start = std::time::Instant::now();
                while ask(path, &Request::Status, Some(Duration::from_secs(20))).ok().flatten().is_none() {
                    assert!(start.elapsed() < Duration::from_secs(20));
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
    }
}
