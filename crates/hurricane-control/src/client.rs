//! HTTP as a client: a webhook's attempt, and the question of an exec probe.
//!
//! Blocking, on whichever thread asks, never on the runtime that answers probes. TLS is rustls on
//! ring. A receiver is trusted when the host's own store says so (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` choose another): that is where the certificate of a company's own authority is
//! put, and who builds the image keeps it up to date. It is read for each attempt, so that a store
//! that is renewed under a running pod counts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls_native_certs::load_native_certs;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;
use ureq::{Agent, Error};

use crate::webhook::WebhookUrl;

const USER_AGENT: &str = concat!("hurricane/", env!("CARGO_PKG_VERSION"));
/// What is read of a probe's answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why a webhook was not taken.
#[derive(Debug)]
pub struct Unsent {
    cause: String,
    /// The receiver's status code, if it has answered.
    pub answer: Option<u16>,
    /// Whether another attempt may go better.
    pub may_pass: bool,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

/// Posts JSON. Goes through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` name, except
/// to hosts of `NO_PROXY`. Redirects are not followed: they would turn the POST into a GET.
///
/// # Errors
/// Why it was not taken.
pub fn post(url: &WebhookUrl, json: &[u8], within: Duration) -> Result<u16, Unsent> {
    let mut config = base(within);
    if url.is_https() {
        config = config.tls_config(tls()?);
    }
    let agent = Agent::new_with_config(config.build());
    let status = match agent.post(url.uri()).content_type("application/json").send(json) {
        Ok(response) => response.status().as_u16(),
        Err(error) => return Err(Unsent { cause: said(&error), answer: None, may_pass: true }),
    };
    match status {
        200..300 => Ok(status),
        _ => Err(Unsent {
            cause: format!("the receiver's answer {status}"),
            answer: Some(status),
            may_pass: status >= 500 || matches!(status, 408 | 425 | 429),
        }),
    }
}

/// Asks a probe of a server on this host; returns status code and body.
///
/// # Errors
/// Why there is no answer.
pub fn ask(authority: &str, path: &str, within: Duration) -> Result<(u16, String), String> {
    let agent = Agent::new_with_config(base(within).proxy(None).build());
    let asked = agent.get(format!("http://{authority}{path}")).call();
    let (head, mut body) = asked.map_err(|error| said(&error))?.into_parts();
    let body = body.with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
    Ok((head.status.as_u16(), body.map_err(|error| said(&error))?))
}

fn base(within: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .timeout_global(Some(within))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .max_idle_connections(0)
}

fn tls() -> Result<TlsConfig, Unsent> {
    let store = load_native_certs();
    if store.certs.is_empty() {
        let error = store.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        let cause = format!(
            "an empty store of trusted certificates{error}; install ca-certificates in the image \
             or set SSL_CERT_FILE"
        );
        return Err(Unsent { cause, answer: None, may_pass: true });
    }
    let certificates = store.certs.iter().map(|der| Certificate::from_der(der).to_owned());
    let provider = rustls::crypto::ring::default_provider();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::from(certificates))
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build())
}

fn said(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "no answer in time".to_owned(),
        Error::HostNotFound => "an unknown host name".to_owned(),
        Error::ConnectionFailed => "a refused connection".to_owned(),
        Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
