use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};

use tempfile::TempDir;

use super::*;

const KINDS: [Type; 2] = [Type::DGRAM, Type::STREAM];

fn socket(kind: Type) -> Socket {
    Socket::new(Domain::UNIX, kind, None).unwrap()
}

fn at(path: &Path, kind: Type) -> io::Result<(Socket, SocketFile)> {
    let socket = socket(kind);
    let file = bind(&socket, path, kind, &FileAccess::default())?;
    if kind == Type::STREAM {
        socket.listen(1)?;
    }
    Ok((socket, file))
}

#[test]
fn what_nobody_serves_is_replaced_and_what_somebody_serves_is_not() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    for before in KINDS {
        for kind in KINDS {
            let left = at(&path, before).unwrap();
            let refused = at(&path, kind).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AddrInUse, "{before:?} {kind:?}");
            // A crash leaves the file and takes the socket.
            drop(left.0);
            let (_socket, file) = at(&path, kind).unwrap();
            // The file of the first one is not there any more: its end removes nothing.
            drop(left.1);
            assert!(path.exists());
            drop(file);
            assert!(!path.exists());
        }
    }
}

#[test]
fn what_is_no_socket_stays_and_no_link_is_followed() {
    let dir = TempDir::new().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    std::fs::write(&file, "precious").unwrap();
    for kind in KINDS {
        for target in [&file, &dir.path().join("nothing")] {
            symlink(target, &link).unwrap();
            let error = at(&link, kind).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
            assert!(error.to_string().ends_with("is a symbolic link"), "{error}");
            remove_file(&link).unwrap();
        }
        assert_eq!(at(&file, kind).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(at(dir.path(), kind).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(at(&dir.path().join("no/log"), kind).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn the_mode_is_as_configured_whatever_the_umask_says() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    for mode in [0o666, 0o660, 0o600, 0o777] {
        let socket = socket(Type::DGRAM);
        let access = FileAccess { mode, ..FileAccess::default() };
        let file = bind(&socket, &path, Type::DGRAM, &access).unwrap();
        let found = || symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found(), mode);
        file.set_access(&FileAccess { mode: 0o620, ..access }).unwrap();
        assert_eq!(found(), 0o620);
    }
}

#[test]
fn the_file_that_another_process_has_put_in_its_place_is_not_removed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let (_socket, file) = at(&path, Type::STREAM).unwrap();
    remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(file);
    assert!(path.exists());
    // A socket without a name of its own, as most senders have.
    let datagrams = dir.path().join("datagrams");
    let (socket, _file) = at(&datagrams, Type::DGRAM).unwrap();
    UnixDatagram::unbound().unwrap().send_to(b"one", &datagrams).unwrap();
    assert_eq!(UnixDatagram::from(std::os::fd::OwnedFd::from(socket)).recv(&mut [0; 9]).unwrap(), 3);
}
