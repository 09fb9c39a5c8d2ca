//! What certificates are trusted.
//!
//! The system's authorities, further ones from a file, or, only where the user says so, anybody. Refuses to open
//! connections.

use ai_energy_core::{Fault, FaultKind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

use crate::options::ServerOptions;

/// A connector for the options.
///
/// # Errors
/// The authority file cannot be read or holds no certificate; no authority at all is known.
pub(crate) fn connector(options: &ServerOptions) -> Result<TlsConnector, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| Fault::new(FaultKind::Internal, "TLS", cause.to_string()))?;
    let mut config = if options.tls_insecure {
        let anybody = Arc::new(Anybody(provider));
        builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(options.tls_ca_file.as_deref())?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for cause in &system.errors {
        tracing::debug!(%cause, "a system certificate could not be read");
    }
    store.add_parsable_certificates(system.certs);
    if let Some(path) = file {
        let fault = |cause: String| {
            Fault::new(FaultKind::Usage, format!("backend.server.tls_ca_file {}", path.display()), cause)
                .remedy("give a PEM file of certificates")
        };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|cause| fault(format!("cannot be read ({cause})")))?;
        if store.add_parsable_certificates(certificates).0 == 0 {
            return Err(fault("holds no certificate".to_owned()));
        }
    }
    if store.is_empty() {
        return Err(Fault::new(FaultKind::Backend, "TLS", "this system has no certificate authorities")
            .remedy("install ca-certificates, or set backend.server.tls_ca_file"));
    }
    Ok(store)
}

/// Accepts every certificate; signatures are still checked, so that the peer holds the key it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
