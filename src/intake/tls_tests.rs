use std::fs::write;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::settings::section;

/// A folder with a certificate of this year range and its key.
fn folder(until: i32) -> TempDir {
    let dir = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let made = params.self_signed(&key).unwrap();
    write(dir.path().join("server.pem"), made.pem()).unwrap();
    write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
    write(dir.path().join("other.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    dir
}

/// What is read of `[syslog.tls]`, and what is said.
fn settings(dir: &TempDir, text: &str) -> (Option<Arc<Server>>, String) {
    let (source, mut found) = (SourceText { file: "t.toml", text }, Diagnostics::default());
    let root = section::read(&source, &mut found).unwrap();
    let section = Section::new(&source, root.get_ref(), root.span(), "[syslog.tls]");
    let server = read(section, &|name| dir.path().join(name), &mut found);
    (server, found.to_text().replace(&dir.path().display().to_string(), "DIR"))
}

const PAIR: &str = "cert_file = \"server.pem\"\nkey_file = \"server.key\"\n";

#[test]
fn every_mistake_has_its_place_and_a_hint() {
    let dir = folder(4000);
    let (server, said) = settings(&dir, PAIR);
    assert_eq!((server.is_some(), said.as_str()), (true, ""));
    for (text, place, what) in [
        ("", "", "cert_file is missing in [syslog.tls]"),
        ("cert_file = \"server.pem\"\n", "", "key_file is missing"),
        (
            &PAIR.replace("server.key", "other.key"),
            "2:12",
            "is not that of the certificate in DIR/server.pem",
        ),
        (&PAIR.replace("server.key", "nowhere"), "2:12", "cannot read the key in DIR/nowhere"),
        (&PAIR.replace("server.pem", "nowhere"), "1:13", "cannot read certificates in DIR/nowhere"),
        (&format!("{PAIR}client_ca_file = \"server.key\"\n"), "3:18", "has no certificate in PEM"),
        (&format!("{PAIR}client_ca_fil = \"server.pem\"\n"), "3:1", "did you mean 'client_ca_file'"),
        (&format!("{PAIR}peers = [\"web1.example.org\"]\n"), "3:10", "proves nothing without client_ca_file"),
        (&format!("{PAIR}peers = [\"sha-256:00\"]\n"), "3:10", "no fingerprint"),
        (&format!("{PAIR}peers = []\n"), "3:1", "lets nobody in"),
    ] {
        let (server, said) = settings(&dir, text);
        assert!(server.is_none() && said.contains(what), "{text}: {said}");
        assert!(said.starts_with(&format!("t.toml:{place}")) && said.contains("error:"), "{text}: {said}");
    }
}

#[test]
fn a_certificate_that_has_ended_is_a_warning_and_still_used() {
    let dir = folder(2002);
    let (server, said) = settings(&dir, PAIR);
    assert!(
        said.starts_with("t.toml:1:13: warning: the certificate in DIR/server.pem has expired 2002-01-01"),
        "{said}"
    );
    let server = server.unwrap();
    let end = date_time_ymd(2002, 1, 1).unix_timestamp();
    let said = |now| in_words(&server, now).map(|(what, _)| what).unwrap_or_default();
    assert_eq!(said(end - 15 * 86_400), "");
    assert!(said(end - 13 * 86_400).contains("ends 2002-01-01"));
    assert!(said(0).contains("is not valid before 2001-01-01"));
}

/// A server with a certificate that is valid now, in a folder.
pub(in crate::intake) fn server() -> (TempDir, Arc<Server>) {
    let dir = folder(4000);
    let (server, _) = settings(&dir, PAIR);
    (dir, server.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_handshake_ends_in_time() {
    let (_dir, server) = server();
    let (mut client, stream) = tokio::io::duplex(1 << 16);
    // The beginning of a ClientHello, and then nothing.
    client.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
    let start = tokio::time::Instant::now();
    let failure = begin(&server, Box::new(stream)).await.unwrap_err();
    assert_eq!(start.elapsed(), HANDSHAKE);
    assert!(failure.to_string().contains("no handshake within 10 s"), "{failure}");
}

#[tokio::test]
async fn what_is_no_tls_is_said() {
    let (_dir, server) = server();
    for (sent, why) in [
        (&b"<13>Nov 20 12:00:00 web1 app: plain\n"[..], "what the client sends is no TLS"),
        (b"", "closed the connection within the handshake"),
        (&[0x16, 3, 1], "closed the connection within the handshake"),
        // A fatal alert: unknown_ca.
        (&[0x15, 3, 3, 0, 2, 2, 48], "does not trust the certificate of cert_file"),
    ] {
        let (mut client, stream) = tokio::io::duplex(1 << 16);
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        let failure = begin(&server, Box::new(stream)).await.unwrap_err().to_string();
        assert!(failure.contains(why), "{sent:?}: {failure}");
    }
}
