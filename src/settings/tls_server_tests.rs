use std::fs::write;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::settings::tls::{self, Trust};

/// A folder of certificates and keys.
struct Folder {
    dir: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Folder {
    fn new() -> Self {
        let folder = Folder { dir: TempDir::new().unwrap(), authority: authority("authority") };
        write(folder.path("ca.pem"), folder.authority.pem()).unwrap();
        folder.issue("server", &["localhost"], |_| {});
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a certificate and its key; returns its fingerprint.
    fn issue(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Fingerprint {
        self.issue_by(&self.authority, file, names, change)
    }

    fn issue_by(
        &self,
        authority: &CertifiedIssuer<'static, KeyPair>,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Fingerprint {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let made = params.signed_by(&key, authority).unwrap();
        write(self.path(&format!("{file}.pem")), made.pem()).unwrap();
        write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        Fingerprint::sha256(made.der())
    }

    fn parts(&self, clients: Option<&str>, peers: &[&str]) -> Parts {
        Parts {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authorities: clients.map(|name| self.path(name)),
            peers: peers.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        }
    }
}

/// Shakes hands with a client that shows this certificate. Who it is, or why it is not let in.
async fn shake(folder: &Folder, server: &Server, client: Option<&str>) -> Result<Option<Identity>, String> {
    let files = client.map(|name| [folder.path(&format!("{name}.pem")), folder.path(&format!("{name}.key"))]);
    let identity = files.as_ref().map(|[certificate, key]| (certificate.as_path(), key.as_path()));
    let config = tls::client(&Trust::Authorities(folder.path("ca.pem")), identity).unwrap();
    let (here, there) = tokio::io::duplex(1 << 16);
    let client = async {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(config).connect(name, there).await.ok()?;
        stream.write_all(b"line").await.ok()?;
        stream.shutdown().await.ok()?;
        // Nothing is sent to who reads nothing: no ticket.
        let mut answer = Vec::new();
        stream.get_mut().0.read_to_end(&mut answer).await.ok()?;
        Some(answer.len())
    };
    let accept = async {
        let mut stream = TlsAcceptor::from(server.config.clone()).accept(here).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "line");
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        Ok::<_, std::io::Error>(shown.and_then(|shown| server.identity(shown)))
    };
    let (read, accepted) = tokio::join!(client, accept);
    if accepted.is_ok() {
        assert_eq!(read, Some(0), "the server sends what a sender of syslog does not read");
    }
    accepted.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(CertificateError::Other(refused))) => refused.to_string(),
            _ => error.to_string(),
        }
    })
}

/// docs/syslog-transports.md: name, wildcard and fingerprint in; wrong name, expired, another authority, none out.
#[tokio::test]
async fn clients_are_let_in_by_name_wildcard_and_fingerprint() {
    let folder = Folder::new();
    let other = authority("other");
    folder.issue("web1", &["web1.example.org"], |_| {});
    folder.issue("db1", &["db1.hosts.example.org", "192.0.2.9"], |_| {});
    folder.issue("wrong", &["web2.example.org"], |_| {});
    folder.issue("server-only", &["web1.example.org"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let in_the_past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2001, 1, 1);
    let expired = folder.issue("expired", &["web1.example.org"], in_the_past);
    folder.issue("early", &["web1.example.org"], |params| params.not_before = date_time_ymd(3000, 1, 1));
    let foreign = folder.issue_by(&other, "foreign", &["web1.example.org"], |_| {});
    let pinned = folder.issue_by(&other, "pinned", &["pinned.example.org"], in_the_past);
    let pins = [pinned.to_string()];
    let listed = ["web1.example.org", "*.hosts.example.org", &pins[0]];
    let out = |why: &str| Err::<Option<&str>, String>(why.to_owned());
    let none = "peer sent no certificates";
    for (clients, peers, client, expected) in [
        (Some("ca.pem"), &listed[..], Some("web1"), Ok(Some("web1.example.org"))),
        (Some("ca.pem"), &listed[..], Some("db1"), Ok(Some("db1.hosts.example.org"))),
        (Some("ca.pem"), &listed[..], Some("pinned"), Ok(Some("pinned.example.org"))),
        (
            Some("ca.pem"),
            &listed[..],
            Some("wrong"),
            out("of web2.example.org is not let in: none of its names"),
        ),
        (Some("ca.pem"), &listed[..], Some("expired"), out(&format!("the certificate {expired} of"))),
        (Some("ca.pem"), &listed[..], Some("expired"), out("it has expired")),
        (Some("ca.pem"), &listed[..], Some("early"), out("not valid yet")),
        (Some("ca.pem"), &listed[..], Some("foreign"), out(&foreign.to_string())),
        (Some("ca.pem"), &listed[..], Some("foreign"), out("no authority in client_ca_file has signed it")),
        (Some("ca.pem"), &listed[..], Some("server-only"), out("not made for clients")),
        (Some("ca.pem"), &listed[..], None, out(none)),
        // All that the authority vouches for.
        (Some("ca.pem"), &[], Some("wrong"), Ok(Some("web2.example.org"))),
        (Some("ca.pem"), &[], Some("foreign"), out("no authority")),
        (Some("ca.pem"), &[], None, out(none)),
        // By address, and by fingerprint alone.
        (Some("ca.pem"), &["192.0.2.9"], Some("db1"), Ok(Some("192.0.2.9"))),
        (None, &listed[2..], Some("pinned"), Ok(Some("pinned.example.org"))),
        (None, &listed[2..], Some("web1"), out("its fingerprint is not among")),
        (None, &listed[2..], None, out(none)),
        // Nobody is asked.
        (None, &[], None, Ok(None)),
        (None, &[], Some("web1"), Ok(None)),
    ] {
        let server = Server::read(folder.parts(clients, peers)).unwrap();
        let got = shake(&folder, &server, client).await;
        let fits = match (&got, &expected) {
            (Ok(identity), Ok(name)) => identity.as_ref().and_then(|one| one.name.as_deref()) == *name,
            (Err(said), Err(why)) => said.contains(why.as_str()),
            _ => false,
        };
        assert!(fits, "{clients:?} {peers:?} {client:?}: {got:?}, not {expected:?}");
    }
}

/// A copy of a pinned certificate without its key gets nobody in.
#[tokio::test]
async fn a_fingerprint_does_not_replace_the_proof_of_the_key() {
    let folder = Folder::new();
    let pinned = folder.issue("pinned", &["pinned.example.org"], |_| {}).to_string();
    let server = Server::read(folder.parts(None, &[&pinned])).unwrap();
    assert!(shake(&folder, &server, Some("pinned")).await.is_ok());
    let chain = certificates(&folder.path("pinned.pem")).unwrap();
    let key = private_key(&folder.path("server.key")).unwrap();
    // The library refuses a pair that does not fit, so the key is signed with as one of the certificate.
    let provider = ring::default_provider();
    let signing = provider.key_provider.load_private_key(key).unwrap();
    let stolen = Arc::new(tokio_rustls::rustls::sign::CertifiedKey::new(chain, signing));
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(folder.authority.der().clone()).unwrap();
    let config =
        tokio_rustls::rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(tokio_rustls::rustls::sign::SingleCertAndKey::from(stolen)));
    let (here, there) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from("localhost").unwrap();
    let (_, accepted) = tokio::join!(
        TlsConnector::from(Arc::new(config)).connect(name, there),
        TlsAcceptor::from(server.config.clone()).accept(here)
    );
    let refused = accepted.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("BadSignature") || refused.contains("bad signature"), "{refused}");
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let folder = Folder::new();
    folder.issue("other", &["localhost"], |_| {});
    write(folder.path("empty"), "").unwrap();
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    write(folder.path("sealed"), sealed).unwrap();
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = folder.parts(Some("ca.pem"), &[]);
        change(&mut parts);
        Server::read(parts).map(|_| ()).unwrap_err()
    };
    let key = |name: &str| with(&|parts| parts.key = folder.path(name));
    assert!(
        matches!(key("other.key"), TlsError::Key(text) if text.contains("is not that of the certificate in"))
    );
    assert!(matches!(key("nowhere"), TlsError::Key(text) if text.contains("cannot read the key")));
    assert!(matches!(key("server.pem"), TlsError::Key(text) if text.contains("no private key")));
    assert!(matches!(key("sealed"), TlsError::Key(text) if text.contains("is encrypted")));
    let certificate = |name: &str| with(&|parts| parts.certificate = folder.path(name));
    assert!(matches!(certificate("empty"), TlsError::Certificate(text) if text.contains("no certificate")));
    assert!(matches!(certificate("nowhere"), TlsError::Certificate(text) if text.contains("cannot read")));
    let authorities = |name: &str| with(&|parts| parts.client_authorities = Some(folder.path(name)));
    assert!(matches!(authorities("empty"), TlsError::Authorities(_)));
    assert!(Server::read(folder.parts(Some("ca.pem"), &[])).is_ok());
}
