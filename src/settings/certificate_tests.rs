use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

use super::*;

fn certificate(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Common.example.org");
    change(&mut params);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let read = Certificate::parse(made.der()).unwrap();
    assert!(read.fingerprint.is_of(made.der()) && Fingerprint::Sha1(read.sha1).is_of(made.der()));
    assert!(!read.fingerprint.is_of(b"another"));
    read
}

#[test]
fn names_are_those_of_the_certificate() {
    let named = certificate(&["WEB1.example.org", "192.0.2.7", "2001:db8::7"], |_| {});
    assert_eq!(named.names, ["web1.example.org", "192.0.2.7", "2001:db8::7"]);
    let common = certificate(&[], |_| {});
    assert_eq!(common.names, ["common.example.org"]);
    let mail = |params: &mut CertificateParams| {
        params.subject_alt_names.push(SanType::Rfc822Name("a@example.org".try_into().unwrap()));
    };
    // It has other names, none of a host: the common name does not count.
    assert_eq!(certificate(&[], mail).names, [""; 0]);
    assert_eq!(Certificate::parse(b"no certificate"), None);
}

#[test]
fn the_time_of_a_certificate() {
    let day = 86_400;
    let at = |year| date_time_ymd(year, 1, 1).unix_timestamp();
    let certificate = certificate(&["a.example.org"], |params| {
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
    });
    assert_eq!((certificate.not_before, certificate.not_after), (at(2026), at(2027)));
    for (now, validity) in [
        (at(2026) - 1, Validity::NotYet),
        (at(2026), Validity::Valid),
        (at(2027) - 14 * day, Validity::Valid),
        (at(2027) - 14 * day + 1, Validity::EndsSoon),
        (at(2027), Validity::EndsSoon),
        (at(2027) + 1, Validity::Expired),
    ] {
        assert_eq!(certificate.validity(now), validity, "{now}");
    }
}

#[test]
fn a_star_stands_for_one_label() {
    for (pattern, name, expected) in [
        ("web1.example.org", "web1.example.org", Some("web1.example.org")),
        ("Web1.Example.org", "web1.example.org", Some("web1.example.org")),
        ("web1.example.org", "web2.example.org", None),
        ("*.example.org", "web1.example.org", Some("web1.example.org")),
        ("*.example.org", "a.web1.example.org", None),
        ("*.example.org", "example.org", None),
        ("*.example.org", ".example.org", None),
        ("*.example.org", "*.example.org", Some("*.example.org")),
        // A certificate for all hosts of a domain.
        ("web1.example.org", "*.example.org", Some("web1.example.org")),
        ("a.web1.example.org", "*.example.org", None),
        ("192.0.2.7", "192.0.2.7", Some("192.0.2.7")),
        ("2001:DB8::7", "2001:db8::7", Some("2001:db8::7")),
        ("*.0.2.7", "192.0.2.7", None),
        ("192.0.2.7", "*.0.2.7", None),
    ] {
        let fingerprint = Fingerprint::Sha256([0; 32]);
        let certificate =
            Certificate { names: vec![name.into()], not_before: 0, not_after: 0, fingerprint, sha1: [0; 20] };
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.name_of(&certificate), expected, "{pattern:?} {name}");
        assert_eq!(pattern.is_of(&certificate), expected.is_some());
    }
}

#[test]
fn patterns_are_read_and_mistakes_are_said() {
    let digits = "4f:0a".to_owned() + &":00".repeat(30);
    let Ok(Pattern::Fingerprint(fingerprint)) = Pattern::parse(&format!("SHA-256:{digits}")) else {
        panic!()
    };
    assert_eq!(fingerprint.to_string(), format!("sha-256:{}", digits.to_uppercase()));
    assert_eq!(Pattern::parse(&fingerprint.to_string()), Ok(Pattern::Fingerprint(fingerprint)));
    let sha1 = format!("sha-1:{}", "ab".repeat(20));
    assert!(matches!(Pattern::parse(&sha1), Ok(Pattern::Fingerprint(Fingerprint::Sha1(_)))));
    for (text, why) in [
        ("", "no name"),
        ("*", "no name"),
        ("*.org", "no name"),
        ("w*.example.org", "no name"),
        ("a.*.example.org", "no name"),
        ("web1..example.org", "no name"),
        ("web 1", "no name"),
        ("sha-256:4F", "no fingerprint"),
        ("sha-1:", "no fingerprint"),
        ("sha-256:zz", "no fingerprint"),
        ("md5:00", "no name"),
    ] {
        let refused = Pattern::parse(text).unwrap_err();
        assert!(refused.contains(why) && refused.contains("write"), "{text}: {refused}");
    }
    assert!(Pattern::parse("localhost").is_ok() && Pattern::parse(&"a".repeat(64)).is_err());
}
