//! Who asks: by a token, or by the cookie of a session that one has begun.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap};
use tokio::sync::watch;

use super::caller::{Caller, Demand};
use super::limits::{AtOnce, Rates};
use super::origin::{self, Kind};
use super::problem::Problem;
use super::role::Role;
use super::sessions::{self, Sessions};
use super::tokens::{self, Hash, Token};
use crate::files::Folder;
use crate::time::clock::{Mono, Now};

/// How old what is known of the file of tokens may be.
const FRESH: Duration = Duration::from_secs(1);

/// Who may what, and who has asked.
#[derive(Debug)]
pub struct Access {
    directory: PathBuf,
    /// Places for what costs much.
    pub at_once: AtOnce,
    state: Mutex<State>,
    /// Held while sessions are written.
    writing: Mutex<()>,
    /// Changes when a session is ended.
    ended: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    tokens: Arc<[Token]>,
    looked: Option<Mono>,
    sessions: Sessions,
    rates: Rates,
}

/// Why a request is not let in.
#[derive(Debug)]
pub struct Refused {
    /// What is answered.
    pub problem: Problem,
    /// Whether a token was wrong.
    pub is_wrong: bool,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused { problem, is_wrong: false }
    }
}

impl Access {
    /// The tokens of a state directory.
    pub fn new(directory: PathBuf) -> Self {
        Access {
            directory,
            at_once: AtOnce::default(),
            state: Mutex::default(),
            writing: Mutex::default(),
            ended: watch::Sender::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder with the tokens and the audit. Blocks.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn folder(&self) -> io::Result<Folder> {
        Folder::open(&self.directory)
    }

    /// Whether the file of tokens is to be read before somebody is let in.
    pub fn is_stale(&self, now: Mono) -> bool {
        self.state().looked.is_none_or(|looked| now.since(looked) >= FRESH)
    }

    /// Reads the file of tokens. One that cannot be read lets in nobody who was not let in before. Keeps the sessions. Blocks.
    pub fn refresh(&self, now: Now) {
        let read = self.folder().and_then(|folder| tokens::read(&folder));
        self.keep_sessions(now);
        let mut state = self.state();
        state.looked = Some(now.mono);
        match read {
            Ok(tokens) => state.tokens = tokens.into(),
            Err(error) => {
                tracing::error!(%error, "the tokens of the API cannot be read; those that were read last are in force");
            }
        }
    }

    /// Reads the sessions of an earlier process if they were not read yet, and writes those that the file lacks. A file that cannot be
    /// used costs the sessions with the next restart, and nothing else. Blocks.
    pub fn keep_sessions(&self, now: Now) {
        if self.state().sessions.is_unread() {
            let kept = self.folder().and_then(|folder| sessions::read(&folder)).unwrap_or_else(|error| {
                tracing::warn!(%error, "the sessions of the console cannot be read; it asks for tokens again");
                Vec::new()
            });
            let mut state = self.state();
            if state.sessions.is_unread() {
                state.sessions.resume(kept, now);
            }
        }
        // One writes at a time, so that an older list replaces no newer one.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = self.state().sessions.unwritten(now) else { return };
        if let Err(error) = self.folder().and_then(|folder| sessions::write(&folder, &kept)) {
            self.state().sessions.not_written();
            tracing::debug!(%error, "the sessions of the console cannot be written; this is tried again");
        }
    }

    /// The tokens, and when each was used last.
    pub fn tokens(&self) -> Vec<(Token, Option<Mono>)> {
        let mut state = self.state();
        let tokens = state.tokens.clone();
        let hashes: Vec<Hash> = tokens.iter().map(|token| token.hash().unwrap_or_default()).collect();
        let used = state.rates.used(&hashes);
        tokens.iter().cloned().zip(used).collect()
    }

    /// Whether a token is still in force, and the session that was begun with it, which is used now.
    pub fn is_in_force(&self, token: &Hash, session: Option<&Hash>, now: Now) -> bool {
        let mut state = self.state();
        if session.is_some_and(|session| state.sessions.of(session, now.mono).is_none()) {
            return false;
        }
        tokens::find(&state.tokens, token).is_some_and(|token| token.is_valid(now.wall))
    }

    /// Changes when a session is ended: streams look whether it is theirs.
    pub fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// Who asks, if they may ask this.
    ///
    /// # Errors
    ///
    /// 401, 403, 415, 429.
    pub fn caller(
        &self,
        demand: Demand,
        fields: &HeaderMap,
        address: IpAddr,
        now: Now,
    ) -> Result<Caller, Refused> {
        let caller = self.recognized(demand, fields, address, now)?;
        let is_here = demand.local && address.is_loopback();
        if demand.role > caller.role && !is_here {
            let needed = demand.role.as_str();
            return Err(match &caller.token {
                None => Problem::new(
                    StatusCode::UNAUTHORIZED,
                    format!("this needs a token with the role {needed}; make one with `trapline token add`"),
                ),
                Some(name) => Problem::new(
                    StatusCode::FORBIDDEN,
                    format!(
                        "this needs the role {needed}, and the token '{name}' has {}",
                        caller.role.as_str()
                    ),
                ),
            }
            .into());
        }
        if let Some(hash) = caller.hash {
            self.state().rates.request(hash, now.mono)?;
        }
        Ok(caller)
    }

    fn recognized(
        &self,
        demand: Demand,
        fields: &HeaderMap,
        address: IpAddr,
        now: Now,
    ) -> Result<Caller, Refused> {
        let nobody = Caller { token: None, hash: None, role: Role::Open, address, session: None };
        if demand.kind == Kind::LogsIn {
            origin::check(fields, Kind::LogsIn, demand.has_body)?;
            return Ok(nobody);
        }
        if let Some(given) = fields.get(AUTHORIZATION) {
            let secret = given.to_str().ok().and_then(bearer).unwrap_or_default();
            return self.by_token(secret, address, now);
        }
        let cookies = fields.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let Some(caller) = sessions::cookies(cookies).find_map(|cookie| self.by_cookie(cookie, address, now))
        else {
            return Ok(nobody);
        };
        origin::check(fields, demand.kind, demand.has_body)?;
        Ok(caller)
    }

    /// Who has the cookie of a session.
    fn by_cookie(&self, cookie: &str, address: IpAddr, now: Now) -> Option<Caller> {
        let session = tokens::hash(cookie);
        let mut state = self.state();
        let hash = state.sessions.of(&session, now.mono)?;
        let token = tokens::find(&state.tokens, &hash).filter(|token| token.is_valid(now.wall))?;
        let (name, role) = (token.name.clone(), token.role);
        Some(Caller { token: Some(name), hash: Some(hash), role, address, session: Some(session) })
    }

    /// Who has a token.
    ///
    /// # Errors
    ///
    /// 401, 429.
    pub fn by_token(&self, secret: &str, address: IpAddr, now: Now) -> Result<Caller, Refused> {
        let hash = tokens::hash(secret);
        let mut state = self.state();
        let found = tokens::find(&state.tokens, &hash).filter(|token| token.is_valid(now.wall));
        if let Some(token) = found {
            let (name, role) = (token.name.clone(), token.role);
            return Ok(Caller { token: Some(name), hash: Some(hash), role, address, session: None });
        }
        state.rates.wrong(address, now.mono)?;
        let detail =
            "this token is not known, or has expired; `trapline token list` shows those that there are";
        Err(Refused { problem: Problem::new(StatusCode::UNAUTHORIZED, detail), is_wrong: true })
    }

    /// Begins a session with a token, and gives its cookie. Blocks.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn begin(&self, token: Hash, now: Now) -> io::Result<String> {
        let cookie = tokens::random()?;
        self.state().sessions.begin(tokens::hash(&cookie), token, now.mono);
        self.keep_sessions(now);
        Ok(cookie)
    }

    /// Ends the session of a request. Blocks.
    pub fn end(&self, fields: &HeaderMap, now: Now) {
        let cookies = fields.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        for cookie in sessions::cookies(cookies) {
            self.state().sessions.end(&tokens::hash(cookie));
        }
        self.ended.send_replace(());
        self.keep_sessions(now);
    }
}

/// The token of an `Authorization` header field.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
