//! TLS: whom we trust and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::MqttConfig;
use crate::base::error::Result;
use crate::{bail, err};

/// A client for the broker of the configuration. Reads the files anew: a renewed certificate counts from the next connection on.
///
/// # Errors
/// A file cannot be read or holds nothing of use; the message names the key.
pub fn client(config: &MqttConfig) -> Result<ClientConnection> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|e| err!(Software, "TLS cannot be set up").because(e))?;
    let builder = builder.with_root_certificates(roots(config)?);
    let tls = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| {
                err!(Config, "key: {} holds no private key in PEM that can be read", key.display()).because(e)
            })?;
            builder
                .with_client_auth_cert(read("certificate", certificate)?, key)
                .map_err(|e| err!(Config, "certificate and key do not fit together").because(e))?
        }
        _ => builder.with_no_client_auth(),
    };
    // An IPv6 address stands in brackets in an address, and without them in a certificate.
    let host = config.broker.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host)
        .map_err(|e| err!(Config, "broker: no name that a certificate can have").because(e))?;
    ClientConnection::new(Arc::new(tls), name).map_err(|e| err!(Software, "TLS cannot be set up").because(e))
}

fn roots(config: &MqttConfig) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (found, place) = match &config.ca {
        Some(file) => (read("ca", file)?, format!("ca: {}", file.display())),
        // What cannot be read of the system's store is left out: the rest may be all that is needed.
        None => (rustls_native_certs::load_native_certs().certs, "the system's store".to_owned()),
    };
    let (good, _) = roots.add_parsable_certificates(found);
    if good == 0 {
        bail!(Config, "{place} has no certificate of an authority; set ca to a PEM file that has");
    }
    Ok(roots)
}

fn read(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found =
        found.map_err(|e| err!(Config, "{key}: {} cannot be read as PEM", file.display()).because(e))?;
    if found.is_empty() {
        bail!(Config, "{key}: {} holds no certificate", file.display());
    }
    Ok(found)
}
