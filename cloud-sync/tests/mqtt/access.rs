//! Who may connect: passwords, certificates, and what is said when they are wrong.

use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use skerry_sync::config::Secret;
use skerry_sync::reason::Kind;
use skerry_sync::{Client, ClientError, Config, Down, MemoryStore, Outgoing, Up};
use tempfile::TempDir;

use crate::broker::Mosquitto;
use crate::parts::{Operator, config, down, run};

struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    fn issue(&self, folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A broker that wants client certificates, and two authorities of which it trusts one.
fn with_certificates(server: impl FnOnce(&mut CertificateParams)) -> (Mosquitto, Config) {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let ours = Authority::new(&path, "ours");
    let theirs = Authority::new(&path, "theirs");
    ours.issue(&path, "server", server);
    ours.issue(&path, "client", |_| {});
    theirs.issue(&path, "stranger", |_| {});
    ours.issue(&path, "late", expired);
    let lines = format!(
        "cafile {0}/ours.pem\ncertfile {0}/server.pem\nkeyfile {0}/server.key\n\
         require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n",
        path.display()
    );
    let broker = Mosquitto::start_in(folder, &lines);
    let mut config = config(&format!("mqtts://localhost:{}", broker.port));
    config.ca_file = Some(path.join("ours.pem"));
    use_certificate(&mut config, broker.path(), "client");
    (broker, config)
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

fn use_certificate(config: &mut Config, folder: &Path, name: &str) {
    config.cert_file = Some(folder.join(format!("{name}.pem")));
    config.key_file = Some(folder.join(format!("{name}.key")));
}

async fn refusal(config: &Config) -> (Kind, String) {
    let session = run(config, MemoryStore::default());
    let reason = session.offline().await;
    let Err(ClientError::Offline { reason: also }) = Client::connect(config).await else {
        panic!("the operator got in");
    };
    assert_eq!(also.kind(), reason.kind(), "the operator hears something else: {also}");
    (reason.kind(), reason.to_string())
}

#[tokio::test]
async fn both_sides_work_over_tls_with_client_certificates() {
    let (_broker, config) = with_certificates(|_| {});
    let mut operator = Operator::listening(&config).await;
    operator.publish(&down(Down::Desired), "document", true).await;
    let mut session = run(&config, MemoryStore::default());
    assert_eq!(&session.next().await.payload[..], b"document");
    session.link.send(Outgoing::new(Up::Event, "over tls")).await.unwrap();
    assert_eq!(operator.next_event().await, "over tls");
    let mut by_address = config;
    by_address.url = by_address.url.replace("localhost", "127.0.0.1");
    Operator::connect(&by_address).await;
}

#[tokio::test]
async fn a_broker_of_another_authority_is_refused() {
    let (broker, mut config) = with_certificates(|_| {});
    config.ca_file = Some(broker.path().join("theirs.pem"));
    let (kind, text) = refusal(&config).await;
    assert_eq!(kind, Kind::Certificate);
    assert!(text.contains("is not signed by an authority in broker.ca_file"), "{text}");
}

#[tokio::test]
async fn an_expired_broker_is_refused() {
    let (_broker, config) = with_certificates(expired);
    let (kind, text) = refusal(&config).await;
    assert_eq!(kind, Kind::Certificate);
    assert!(text.starts_with("certificate expired"), "{text}");
}

#[tokio::test]
async fn a_broker_with_another_name_is_refused() {
    let (_broker, config) = with_certificates(|params| params.subject_alt_names.truncate(0));
    let (kind, text) = refusal(&config).await;
    assert_eq!(kind, Kind::Certificate);
    assert!(text.contains("is for another name than 'localhost'"), "{text}");
}

#[tokio::test]
async fn a_client_the_broker_does_not_trust_hears_why() {
    let (broker, mut config) = with_certificates(|_| {});
    for (certificate, expected) in [
        (None, "wants a client certificate"),
        (Some("stranger"), "does not accept the certificate in broker.cert_file"),
        (Some("late"), "certificate expired: broker.cert_file"),
    ] {
        config.cert_file = None;
        config.key_file = None;
        if let Some(name) = certificate {
            use_certificate(&mut config, broker.path(), name);
        }
        let (kind, text) = refusal(&config).await;
        assert_eq!(kind, Kind::Certificate, "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_pem_is_named_and_waited_for() {
    let (broker, mut config) = with_certificates(|_| {});
    let right = config.key_file.clone().unwrap();
    config.key_file = Some(broker.path().join("later.key"));
    let session = run(&config, MemoryStore::default());
    let reason = session.offline().await;
    assert_eq!(reason.kind(), Kind::LocalFile);
    assert!(reason.to_string().contains("broker.key_file: cannot read"), "{reason}");
    std::fs::copy(right, config.key_file.as_ref().unwrap()).unwrap();
    session.connected().await;
    config.ca_file = Some(broker.path().join("mosquitto.conf"));
    let (kind, text) = refusal(&config).await;
    assert_eq!(kind, Kind::LocalFile);
    assert!(text.contains("holds no certificate"), "{text}");
}

fn with_passwords(acl: &str) -> (Mosquitto, Config) {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["node-1", "right"])
        .status()
        .expect("these tests need Mosquitto: apt-get install -y mosquitto");
    assert!(made.success());
    std::fs::write(folder.path().join("acl"), acl).unwrap();
    let lines = format!(
        "allow_anonymous false\npassword_file {}\nacl_file {}\n",
        passwords.display(),
        folder.path().join("acl").display()
    );
    let broker = Mosquitto::start_in(folder, &lines);
    let mut config = config(&broker.url());
    config.username = Some("node-1".into());
    (broker, config)
}

const ALL: &str = "user node-1\ntopic readwrite #\n";

#[tokio::test]
async fn a_password_from_a_file_opens_and_a_wrong_one_is_reported() {
    let (broker, mut config) = with_passwords(ALL);
    config.password = Some(Secret::new("wrong"));
    let (kind, text) = refusal(&config).await;
    assert_eq!(kind, Kind::NotAuthorised);
    assert!(text.starts_with("not authorised") && text.contains("user 'node-1'"), "{text}");
    let file = broker.path().join("secret");
    std::fs::write(&file, "right\n").unwrap();
    config.password = None;
    config.password_file = Some(file);
    run(&config, MemoryStore::default()).connected().await;
    config.username = None;
    config.password_file = None;
    assert_eq!(refusal(&config).await.0, Kind::NotAuthorised);
}

#[tokio::test]
async fn what_the_broker_forbids_is_reported_and_given_up() {
    let acl = "user node-1\ntopic readwrite skerry/v1/acme/node-1/status\n\
               topic read skerry/v1/acme/node-1/desired\n\
               topic readwrite skerry/v1/acme/node-1/event\n";
    let (_broker, mut config) = with_passwords(acl);
    config.password = Some(Secret::new("right"));
    let session = run(&config, MemoryStore::default());
    session.connected().await;
    session.link.send(Outgoing::new(Up::Report, "forbidden")).await.unwrap();
    session.link.send(Outgoing::new(Up::Event, "allowed")).await.unwrap();
    session.drained().await;
    let stats = session.link.stats().borrow().clone();
    assert_eq!((stats.delivered, stats.losses.rejected), (1, [0, 1, 0, 0]));
    assert!(stats.last_refusal.as_ref().unwrap().contains("NotAuthorized"), "{stats:?}");
    let operator = Operator::connect(&config).await;
    let refused = operator.client.publish(&down(Down::Desired), "x", true).await;
    let Err(error @ ClientError::Refused { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("skerry/v1/acme/node-1/desired"), "{error}");
}
