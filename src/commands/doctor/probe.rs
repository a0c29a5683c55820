//! Looks whether sinks can be reached. Nothing is delivered.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access};

use super::finding::Finding;
use crate::sinks::sink::Destination;

const AREA: &str = "sinks";
/// How long a server may take to accept a connection, an address.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most addresses of a server that are tried.
const ADDRESSES: usize = 4;

/// Whether a sink's destination can be reached. `refusal` is what the server said to a greeting that it refuses.
pub fn sink(name: &str, destination: &Destination, refusal: Option<String>) -> Finding {
    match trouble(destination, refusal) {
        Ok(what) => Finding::good(AREA, format!("sink '{name}'{what}")),
        Err((what, remedy)) => Finding::error(AREA, format!("sink '{name}': {what}"), remedy),
    }
}

/// What is good about a destination, or what is wrong with it and what to do.
///
/// # Errors
///
/// If it cannot be reached, or refuses the login.
pub fn trouble(destination: &Destination, refusal: Option<String>) -> Result<String, (String, String)> {
    let (where_to, reached) = match destination {
        Destination::Server(host, port) => (format!("{host} port {port}"), server(host, *port)),
        Destination::Servers(all) => {
            let each = |(host, port): &(String, u16)| (format!("{host} port {port}"), server(host, *port));
            let reached: Vec<(String, Result<&'static str, Wrong>)> = all.iter().map(each).collect();
            let names: Vec<&str> = reached.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(", ");
            let failed = reached.into_iter().find(|(_, reached)| reached.is_err());
            failed.unwrap_or((names, Ok("accept connections")))
        }
        Destination::Pipe(path) => (path.display().to_string(), pipe(path)),
        Destination::Folder(path) => (path.display().to_string(), writable(path)),
        Destination::File(path) => (path.display().to_string(), file(path)),
        Destination::Unknown => (String::new(), Ok("")),
    };
    match (reached, refusal) {
        (Ok(_), Some(refusal)) => {
            let (what, remedy) = refusal.rsplit_once("; ").unwrap_or((&refusal, "look at the server's log"));
            Err((what.to_owned(), remedy.to_owned()))
        }
        (Ok(_), None) if *destination == Destination::Unknown => Ok(" has nothing to look at".to_owned()),
        (Ok(how), None) => Ok(format!(": {where_to} {how}")),
        (Err(Wrong { what, remedy }), _) => Err((format!("{where_to}: {what}"), remedy)),
    }
}

#[derive(Debug)]
struct Wrong {
    what: String,
    remedy: String,
}

fn wrong(what: impl ToString, remedy: &str) -> Wrong {
    Wrong { what: what.to_string(), remedy: remedy.to_owned() }
}

fn server(host: &str, port: u16) -> Result<&'static str, Wrong> {
    let name = "correct the name in the configuration, or the DNS of this machine";
    let addresses = (host, port).to_socket_addrs().map_err(|error| wrong(error, name))?;
    let mut last = wrong("the name has no address", name);
    for address in addresses.take(ADDRESSES) {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok("accepts connections"),
            Err(error) => last = wrong(&error, unreached(&error)),
        }
    }
    Err(last)
}

fn unreached(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "start the server, or correct the port in the configuration",
        io::ErrorKind::TimedOut => "look at the firewalls on the way, and whether the address is right",
        _ => "look at the network of this machine, and whether the address is right",
    }
}

/// Opens the pipe without waiting and writes nothing: the reader does not notice.
fn pipe(path: &Path) -> Result<&'static str, Wrong> {
    let start = "start Nagios, with check_external_commands=1; or correct command_file";
    let meta = path.metadata().map_err(|error| refused(&error, "the pipe", start))?;
    if !meta.file_type().is_fifo() {
        return Err(wrong(
            "this is no named pipe",
            "correct command_file, or remove the file and restart Nagios",
        ));
    }
    match open(path, OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(_) => Ok("has a reader"),
        Err(Errno::ENXIO) => Err(wrong("nobody reads this pipe", start)),
        Err(error) => Err(refused(&error.into(), "the pipe", start)),
    }
}

fn writable(folder: &Path) -> Result<&'static str, Wrong> {
    let correct = "make the folder, or correct the path";
    let meta = folder.metadata().map_err(|error| refused(&error, "the folder", correct))?;
    if !meta.is_dir() {
        return Err(wrong("this is no folder", "correct the path"));
    }
    match access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok("is writable"),
        Err(error) => Err(refused(&error.into(), "the folder", "correct the path")),
    }
}

fn file(path: &Path) -> Result<&'static str, Wrong> {
    match path.metadata() {
        Ok(meta) if meta.is_dir() => return Err(wrong("this is a folder", "name a file in it")),
        Ok(_) => {
            let may = access(path, AccessFlags::W_OK);
            let refused = |error: Errno| refused(&error.into(), "the file", "correct the path");
            return may.map(|()| "is writable").map_err(refused);
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        // Links that lead in a circle, or a folder on the way that this user may not enter.
        Err(error) => {
            return Err(refused(&error, "the file", "correct the path"));
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Missing folders are made with the file.
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    writable(there).map(|_| "can be made")
}

/// What the system says of something that is to be written, with the remedy for that; `otherwise` where it is of the thing itself.
fn refused(error: &io::Error, thing: &str, otherwise: &str) -> Wrong {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Wrong {
            what: format!("this user may not write there: {error}"),
            remedy: format!(
                "run this as the daemon's user; if that may not either, give it {thing}, and the folders on the way, by their group \
                 (`usermod -aG nagios trapline`, and restart)"
            ),
        },
        Some(libc::EROFS) => wrong(
            "this is on a file system that is mounted read-only",
            "mount it writable (in a unit: ReadWritePaths=, in a container: a volume), or correct the path",
        ),
        _ => wrong(error, otherwise),
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::mkfifo;

    use super::super::finding::Level;
    use super::*;

    /// Starting what reads a pipe does not help who may not write to it.
    #[test]
    fn each_refusal_has_its_remedy() {
        let start = "start Nagios";
        for (error, says, helps) in [
            (libc::EACCES, "may not write", "group"),
            (libc::EPERM, "may not write", "group"),
            (libc::EROFS, "mounted read-only", "mount it writable"),
            (libc::ENOENT, "No such file", start),
            (libc::ENOTDIR, "Not a directory", start),
            (libc::ELOOP, "symbolic links", start),
        ] {
            let found = refused(&io::Error::from_raw_os_error(error), "the pipe", start);
            assert!(found.what.contains(says) && found.remedy.contains(helps), "{found:?}");
            assert_eq!(found.remedy.contains("usermod"), helps == "group", "{found:?}");
        }
    }

    #[test]
    fn each_kind_of_destination() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        mkfifo(&path("read"), Mode::S_IRWXU).unwrap();
        std::fs::write(path("file"), "").unwrap();
        let _reader = std::fs::File::options().read(true).write(true).open(path("read")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let closed = {
            let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            other.local_addr().unwrap().port()
        };
        let server = |port| Destination::Server("127.0.0.1".to_owned(), port);
        let servers =
            |ports: [u16; 2]| Destination::Servers(ports.map(|port| ("127.0.0.1".to_owned(), port)).into());
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        for (destination, level, says) in [
            (server(port), Level::Good, "accepts connections"),
            (server(closed), Level::Error, "refused"),
            (servers([port, port]), Level::Good, "accept connections"),
            (servers([port, closed]), Level::Error, "refused"),
            (servers([closed, port]), Level::Error, "refused"),
            (Destination::Pipe(path("read")), Level::Good, "has a reader"),
            (Destination::Pipe(path("fifo")), Level::Error, "nobody reads"),
            (Destination::Pipe(path("file")), Level::Error, "no named pipe"),
            (Destination::Pipe(path("none")), Level::Error, "No such file"),
            (Destination::Folder(path("")), Level::Good, "is writable"),
            (Destination::Folder(path("file")), Level::Error, "no folder"),
            (Destination::Folder(path("none")), Level::Error, "No such file"),
            (Destination::File(path("file")), Level::Good, "is writable"),
            (Destination::File(path("")), Level::Error, "this is a folder"),
            (Destination::File(path("circle")), Level::Error, "symbolic links"),
            (Destination::File(path("new/one")), Level::Good, "can be made"),
            (Destination::File(path("file/one")), Level::Error, "no folder"),
            (Destination::Unknown, Level::Good, "nothing"),
        ] {
            let found = sink("s", &destination, None);
            assert_eq!(found.level, level, "{destination:?}: {found:?}");
            assert!(
                found.what.contains(says) && found.remedy.is_empty() == (level == Level::Good),
                "{found:?}"
            );
        }
    }
}
