//! What a process of its own does: this program again, with a command. It has the memory that it needs, which goes with it, a time
//! after which it is ended, and the same function as the command.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{alarm, getppid};
use serde_json::{Value, json};

use crate::files::Folder;
use crate::mib::load::own_folder;
use crate::web::api::desk::{Job, Undone};

/// How long each may take.
const ADDING: Duration = Duration::from_mins(2);
const REPLAYING: Duration = Duration::from_mins(1);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest answer, in octets.
const LONGEST: u64 = 16 << 20;
/// The files in the journal directory through which they get what was sent.
const UPLOAD: &str = "upload.tmp";
const RULES: &str = "replay.toml";

/// The variable of the environment that tells such a process whose it is, and after how many seconds it ends by itself.
const OF: &str = "TRAPLINE_HELPER_OF";

/// Called at the start of each command: a process that works for a daemon ends with it, however that ends, and after its time.
pub fn end_with_daemon() {
    let Ok(given) = std::env::var(OF) else { return };
    let numbers = given.split_once(' ').map(|(daemon, most)| (daemon.parse::<i32>(), most.parse::<u32>()));
    let Some((Ok(daemon), Ok(most))) = numbers else { return };
    alarm::set(most);
    // It may have ended before it could be said that this one ends with it.
    if set_pdeathsig(Signal::SIGKILL).is_err() || getppid().as_raw() != daemon {
        std::process::exit(1);
    }
}

/// The exit status of such a process where the machine is in the way, and not what was asked: EX_IOERR of sysexits.h.
const UNABLE: u8 = 74;

/// The exit status of a command that has failed, if this process works for a daemon and the system is the reason: its disk is full.
pub fn status_of(error: &anyhow::Error) -> Option<u8> {
    std::env::var_os(OF).and_then(|_| is_of_the_system(error).then_some(UNABLE))
}

fn is_of_the_system(error: &anyhow::Error) -> bool {
    let mut all = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    all.any(|error| error.raw_os_error().is_some())
}

/// Starts these processes, one at a time.
#[derive(Debug)]
pub struct Helpers {
    /// The configuration; none for the built-in one.
    config: Option<PathBuf>,
    directory: PathBuf,
    busy: AtomicBool,
}

/// Gives the turn back.
struct Turn<'h>(&'h AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Helpers {
    /// Those of a daemon. What an earlier daemon that was killed has left for its own is removed.
    pub fn new(config: Option<&Path>, directory: &Path) -> Self {
        if let Ok(folder) = Folder::existing(directory) {
            for name in [UPLOAD, RULES] {
                let _ = folder.remove(name);
            }
        }
        Helpers {
            config: config.map(Path::to_owned),
            directory: directory.to_owned(),
            busy: AtomicBool::new(false),
        }
    }

    /// Does something, until `gone` becomes true at most. Blocks.
    ///
    /// # Errors
    ///
    /// Why it cannot be done.
    pub fn run(&self, job: &Job, gone: &AtomicBool) -> Result<Value, Undone> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(Undone::Busy);
        }
        let _turn = Turn(&self.busy);
        match job {
            Job::AddMibs { name, content } => self.add_mibs(name, content, gone),
            Job::RemoveMib { file } => self.remove_mib(file),
            Job::Replay { seconds, console } => self.replay(*seconds, console.as_deref(), gone),
        }
    }

    /// What is said where the journal directory takes no file.
    fn unwritable(&self, error: &io::Error) -> Undone {
        let directory = self.directory.display();
        Undone::Unable(format!(
            "cannot write into {directory}: {error}; make room on its disk, or correct its owner"
        ))
    }

    fn add_mibs(&self, name: &str, content: &[u8], gone: &AtomicBool) -> Result<Value, Undone> {
        let said = |error: io::Error| self.unwritable(&error);
        let folder = Folder::existing(&self.directory).map_err(said)?;
        let to = own_folder(&self.directory);
        // It is a folder of the configuration once it is there.
        Folder::public(&to).map_err(said)?;
        folder.replace(UPLOAD, |file| file.write_all(content)).map_err(said)?;
        let path = self.directory.join(UPLOAD);
        let done = self.trapline(&["mib", "add", "--json", "--to"], &[&to, &path], (ADDING, gone));
        let _ = folder.remove(UPLOAD);
        // What is said names the file of the user, not ours.
        let path = path.display().to_string();
        let mut answer = renamed(done.map_err(|undone| undone.renamed(&path, name))?, &path, name);
        answer["changed"] = answer["added"].as_array().is_some_and(|added| !added.is_empty()).into();
        Ok(answer)
    }

    fn remove_mib(&self, file: &str) -> Result<Value, Undone> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let to = own_folder(&self.directory);
        if file.starts_with('.') || !file.chars().all(is_name) || file.is_empty() {
            let why =
                format!("'{}' is no file of added modules; GET /api/v1/mibs names them", file.escape_debug());
            return Err(Undone::Refused(why));
        }
        let folder = Folder::existing(&to);
        folder.and_then(|folder| folder.remove(file)).map_err(|error| {
            let what = format!("cannot remove {}: {error}", to.join(file).display());
            match error.kind() {
                io::ErrorKind::NotFound => {
                    Undone::Refused(format!("{what}; GET /api/v1/mibs names the files"))
                }
                _ => Undone::Unable(format!("{what}; correct its owner, or check the disk")),
            }
        })?;
        Ok(json!({ "removed": file, "changed": true }))
    }

    fn replay(&self, seconds: u64, console: Option<&str>, gone: &AtomicBool) -> Result<Value, Undone> {
        let age = format!("{seconds}s");
        let first = ["test", "--json", "--against", &age];
        let until = (REPLAYING, gone);
        let Some(text) = console else { return self.trapline(&first, &[], until) };
        let said = |error: io::Error| self.unwritable(&error);
        let folder = Folder::existing(&self.directory).map_err(said)?;
        folder.replace(RULES, |file| file.write_all(text.as_bytes())).map_err(said)?;
        let path = self.directory.join(RULES);
        let done = self.trapline(&[&first[..], &["--console-rules"]].concat(), &[&path], until);
        let _ = folder.remove(RULES);
        let name = crate::rules::console::ConsoleRules::In(self.directory.clone()).path();
        done.map_err(|undone| undone.renamed(&path.display().to_string(), &name.display().to_string()))
    }

    /// What a command of this program prints as JSON.
    fn trapline(
        &self,
        words: &[&str],
        paths: &[&Path],
        (longest, gone): (Duration, &AtomicBool),
    ) -> Result<Value, Undone> {
        let began =
            |error: io::Error| Undone::Unable(format!("no process can be started: {error}; see `ulimit -u`"));
        let mut command = Command::new(std::env::current_exe().map_err(began)?);
        command.args(words).args(paths);
        command.env(OF, format!("{} {}", std::process::id(), longest.as_secs() + 5));
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        let (out, err) = (nowhere().map_err(began)?, nowhere().map_err(began)?);
        let to = |file: &File| file.try_clone().map(Stdio::from).map_err(began);
        command.stdin(Stdio::null()).stdout(to(&out)?).stderr(to(&err)?);
        let ended = wait(command.spawn().map_err(began)?, longest, gone)?;
        serde_json::from_slice(&written(out).map_err(began)?).map_err(|_| {
            let err = written(err).unwrap_or_default();
            let text = String::from_utf8_lossy(&err);
            let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("trapline: ")).collect();
            let why = if lines.is_empty() { "it has given no answer".to_owned() } else { lines.join("\n") };
            match ended.code() {
                Some(code) if code != i32::from(UNABLE) && !lines.is_empty() => Undone::Refused(why),
                _ => Undone::Unable(why),
            }
        })
    }
}

/// Waits for a process; one that takes too long, or for whose answer nobody waits, is ended.
fn wait(mut child: Child, longest: Duration, gone: &AtomicBool) -> Result<ExitStatus, Undone> {
    let said = |error: io::Error| Undone::Unable(format!("the process cannot be waited for: {error}"));
    let mut waited = Duration::ZERO;
    loop {
        if let Some(ended) = child.try_wait().map_err(said)? {
            return Ok(ended);
        }
        let is_gone = gone.load(Ordering::Acquire);
        if is_gone || waited >= longest {
            let _ = child.kill();
            let _ = child.wait();
            let seconds = longest.as_secs();
            let why = format!("it has taken more than {seconds} s and was ended; take less at once");
            return Err(Undone::Refused(if is_gone {
                "nobody waits for it any more".to_owned()
            } else {
                why
            }));
        }
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

/// A file without a name, in memory: who writes into it never waits for a reader.
fn nowhere() -> io::Result<File> {
    let file = memfd_create(c"trapline", MFdFlags::MFD_CLOEXEC)?;
    Ok(File::from(file))
}

/// What was written into a file.
fn written(mut file: File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// A document whose texts have another name in the place of a path.
fn renamed(json: Value, path: &str, name: &str) -> Value {
    match json {
        Value::String(text) => text.replace(path, name).into(),
        Value::Array(all) => all.into_iter().map(|one| renamed(one, path, name)).collect(),
        Value::Object(all) => {
            Value::Object(all.into_iter().map(|(key, one)| (key, renamed(one, path, name))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended() {
        let start = |script: &str| Command::new("sh").args(["-c", script]).spawn().unwrap();
        let gone = AtomicBool::new(false);
        let error = wait(start("exec sleep 600"), Duration::from_millis(50), &gone).unwrap_err();
        assert!(error.to_string().contains("was ended"), "{error}");
        let ended = wait(start("exit 1"), Duration::from_mins(10), &gone);
        assert_eq!(ended.map(|status| status.code()), Ok(Some(1)));
        gone.store(true, Ordering::Relaxed);
        let error = wait(start("exec sleep 600"), Duration::from_mins(10), &gone).unwrap_err();
        assert!(error.to_string().contains("nobody waits"), "{error}");
    }

    #[test]
    fn what_cannot_be_written_is_no_mistake_of_who_asks() {
        let dir = tempfile::tempdir().unwrap();
        let (helpers, gone) = (Helpers::new(None, &dir.path().join("gone")), AtomicBool::new(false));
        let jobs = [
            Job::AddMibs { name: "a".to_owned(), content: Vec::new().into() },
            Job::Replay { seconds: 1, console: Some(String::new()) },
        ];
        for job in jobs {
            let undone = helpers.run(&job, &gone);
            assert!(matches!(undone, Err(Undone::Unable(_))), "{job:?}: {undone:?}");
        }
        let full = |error: io::Error| is_of_the_system(&anyhow::Error::from(error).context("cannot write x"));
        assert!(full(io::Error::from_raw_os_error(libc::ENOSPC)));
        assert!(!full(io::Error::other("no archive")));
    }

    #[test]
    fn one_at_a_time_and_no_file_of_another_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (helpers, gone) = (Helpers::new(None, dir.path()), AtomicBool::new(false));
        std::fs::create_dir(dir.path().join("mibs")).unwrap();
        std::fs::write(dir.path().join("mibs/A-MIB.txt"), "x").unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        for name in ["../secret", "", ".", "..", "a/b", "B.txt"] {
            let undone = helpers.run(&Job::RemoveMib { file: name.to_owned() }, &gone);
            assert!(matches!(undone, Err(Undone::Refused(_))), "{name}: {undone:?}");
        }
        let job = Job::RemoveMib { file: "A-MIB.txt".to_owned() };
        helpers.busy.store(true, Ordering::Relaxed);
        assert_eq!(helpers.run(&job, &gone), Err(Undone::Busy));
        helpers.busy.store(false, Ordering::Relaxed);
        assert_eq!(helpers.run(&job, &gone), Ok(json!({ "removed": "A-MIB.txt", "changed": true })));
        assert!(dir.path().join("secret").exists() && !helpers.busy.load(Ordering::Relaxed));
    }
}
