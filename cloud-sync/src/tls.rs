//! TLS for the broker: reads the PEM files a configuration names, and makes rustls' settings of them.
//!
//! ring is named as the provider, so that no process-wide default is needed or changed. Reads files,
//! never sockets. Next: [`crate::connection`].

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;

/// No PEM file or password file is larger.
const FILE_MAX: u64 = 4 << 20;

/// A file that the configuration names cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("broker.{field}: cannot read {path}: {source}")]
    Read { field: &'static str, path: String, source: std::io::Error },
    #[error("broker.{field}: {path} is larger than {FILE_MAX} bytes")]
    TooLarge { field: &'static str, path: String },
    #[error("broker.{field}: {path} is no PEM file: {source}")]
    Pem { field: &'static str, path: String, source: rustls_pki_types::pem::Error },
    #[error("broker.{field}: {path} holds no certificate")]
    NoCertificate { field: &'static str, path: String },
    #[error("broker.{field}: {path} holds a certificate that cannot be used: {source}")]
    Certificate { field: &'static str, path: String, source: rustls::Error },
    #[error("broker.key_file: does not fit the certificate, or cannot be used: {source}")]
    Key { source: rustls::Error },
    #[error("prepare TLS: {source}")]
    Provider { source: rustls::Error },
    #[error("broker.password_file: {path} is not UTF-8")]
    NotText { path: String },
}

/// The settings for `mqtts`.
pub(crate) fn client_config(config: &Config) -> Result<ClientConfig, FileError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    if let Some(path) = &config.ca_file {
        for certificate in certificates("ca_file", path)? {
            roots.add(certificate).map_err(|source| FileError::Certificate {
                field: "ca_file",
                path: shown(path),
                source,
            })?;
        }
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| FileError::Provider { source })?
        .with_root_certificates(roots);
    let (Some(cert_file), Some(key_file)) = (&config.cert_file, &config.key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("cert_file", cert_file)?;
    let key = PrivateKeyDer::from_pem_slice(&read("key_file", key_file)?)
        .map_err(|source| FileError::Pem { field: "key_file", path: shown(key_file), source })?;
    builder.with_client_auth_cert(chain, key).map_err(|source| FileError::Key { source })
}

/// The password, from wherever the configuration says.
pub(crate) fn password(config: &Config) -> Result<Option<String>, FileError> {
    let Some(path) = &config.password_file else {
        return Ok(config.password.as_ref().map(|secret| secret.reveal().to_owned()));
    };
    let mut text = String::from_utf8(read("password_file", path)?)
        .map_err(|_| FileError::NotText { path: shown(path) })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Some(text))
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(field, path)?;
    let found = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| FileError::Pem { field, path: shown(path), source })?;
    if found.is_empty() {
        return Err(FileError::NoCertificate { field, path: shown(path) });
    }
    Ok(found)
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { field, path: shown(path), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(FileError::TooLarge { field, path: shown(path) });
    }
    Ok(bytes)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
