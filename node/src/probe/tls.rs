//! TLS for an http probe. The certificate is not judged: a probe asks whether the agent works, never
//! leaves the machine, and sends nothing that is secret.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::is_whole;

/// Sends a request, and returns the head of the answer.
pub(super) async fn exchange(
    mut stream: TcpStream,
    request: &str,
    most: usize,
) -> Result<Vec<u8>, String> {
    let fail = |error: rustls::Error| format!("TLS: {error}");
    let mut tls = client().map_err(fail)?;
    let broken = |error: std::io::Error| format!("no answer: {error}");
    tls.writer().write_all(request.as_bytes()).map_err(broken)?;
    let (mut head, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).map_err(broken)?;
        }
        stream.write_all(&out).await.map_err(broken)?;
        let count = stream.read(&mut part).await.map_err(broken)?;
        let mut got = part.get(..count).unwrap_or_default();
        while !got.is_empty() {
            tls.read_tls(&mut got).map_err(broken)?;
            tls.process_new_packets().map_err(fail)?;
            // What is there is taken out at once, and no more of it than is wanted.
            let _ = tls.reader().take(most as u64 + 1).read_to_end(&mut head);
        }
        if count == 0 || is_whole(&head)? {
            return Ok(head);
        }
    }
}

fn client() -> Result<ClientConnection, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let anybody = Arc::new(Anybody(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(anybody)
        .with_no_client_auth();
    let name =
        ServerName::try_from("localhost").map_err(|e| rustls::Error::General(e.to_string()))?;
    ClientConnection::new(Arc::new(config), name)
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
