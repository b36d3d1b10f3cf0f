//! The server's certificate and key: how they are read, and when they are read again.

use std::cell::RefCell;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate cannot be served with. Each sentence names flag and file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{flag} {} cannot be read ({source}); it must be a file that this user may read", path.display())]
    Unreadable {
        /// Which file.
        flag: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file is no PEM, or holds something else.
    #[error("{flag} {} holds no {what} in PEM ({cause})", path.display())]
    NotPem {
        /// Which file.
        flag: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The two do not go together, or the key is of no kind that can be used.
    #[error("--tls-cert {} cannot be used with --tls-key {} ({source}); the key must be that of the \
             first certificate", certificate.display(), key.display())]
    Refused {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// A certificate chain and its key, as they were when they were read last.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    stamp: Stamp,
    config: Arc<ServerConfig>,
}

/// What tells a file from the one that has been there before.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// When one cannot be read or understood, or they do not go together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        // First: what changes while it is read is read again.
        let stamp = [certificate, key].map(stamp);
        let refused = |source| TlsError::Refused {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .and_then(|chain: Vec<_>| match chain.is_empty() {
                true => Err(pem::Error::NoItemsFound),
                false => Ok(chain),
            })
            .map_err(|error| explain(error, "--tls-cert", certificate, "certificate"))?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| explain(error, "--tls-key", key, "private key"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(refused)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Self { certificate, key, stamp, config: Arc::new(config) })
    }

    /// The same files, if they are others by now. Waits for the disk.
    fn renewed(&self) -> Option<Result<Self, TlsError>> {
        let now = [&*self.certificate, &*self.key].map(stamp);
        (now != self.stamp).then(|| Self::load(&self.certificate, &self.key))
    }
}

/// `None` of a file that is not there.
fn stamp(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

fn explain(error: pem::Error, flag: &'static str, path: &Path, what: &'static str) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { flag, path, source },
        other => TlsError::NotPem { flag, path, what, cause: other.to_string() },
    }
}

/// What a worker's handshakes are made with.
pub(crate) struct Current(RefCell<Tls>);

impl Current {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(RefCell::new(tls))
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow().config)
    }

    /// Takes other files if they have changed and go together; else those of before serve on.
    /// Connections keep what they were made with.
    pub(crate) async fn renew(&self) -> io::Result<()> {
        let known = self.0.borrow().clone();
        let (known, renewed) = crate::disk::wait_for(move || {
            let renewed = known.renewed();
            (known, renewed)
        })
        .await?;
        match renewed {
            None => {}
            Some(Ok(renewed)) => {
                tracing::info!(path = %known.certificate.display(), "serving with a new certificate");
                self.0.replace(renewed);
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the certificate has changed and cannot be used; serving \
                    with that of before");
                // Not again before one of them changes.
                self.0.borrow_mut().stamp = [&*known.certificate, &*known.key].map(stamp);
            }
        }
        Ok(())
    }
}
