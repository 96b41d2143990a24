//! Throw-away certificates: an authority, a broker's for 127.0.0.1 and localhost, and clients'.
//!
//! Made anew for each test, valid for its folder's life. Never used outside tests.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An authority that signs for one test.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority whose files go into `folder`.
    ///
    /// # Panics
    /// When it can't be made or written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Skerry test authority");
        let key = KeyPair::generate().expect("a key for the test authority");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the test authority");
        let authority = Self { folder: folder.to_owned(), issuer };
        write(&authority.certificate(), &authority.issuer.pem());
        authority
    }

    /// The authority's certificate, for whoever must trust it.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// A broker's identity for 127.0.0.1 and localhost.
    ///
    /// # Panics
    /// When it can't be made or written.
    #[must_use]
    pub fn broker(&self) -> Identity {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.sign("broker", &names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's identity under a common name.
    ///
    /// # Panics
    /// When it can't be made or written.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.sign(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, hosts: &[String], usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(hosts).expect("host names for a certificate");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key for a test certificate");
        let signed = params.signed_by(&key, &self.issuer).expect("a test certificate");
        let identity = Identity {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        write(&identity.certificate, &signed.pem());
        write(&identity.key, &key.serialize_pem());
        identity
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
