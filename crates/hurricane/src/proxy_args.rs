//! The flags of proxies in front of the server, and of TLS where there is none.

use std::path::PathBuf;

use clap::{ArgAction, ValueEnum};
use hurricane_http::{ForwardedFamily, Trusted};
use hurricane_worker::{Proxies, Tls, TlsError};

use crate::config::ConfigError;
use crate::values::{switch, trusted};

/// Who stands between clients and the server.
#[derive(Clone, Debug, clap::Args)]
pub struct ProxyArgs {
    /// Proxies that are believed when they say who the client is (addresses and networks, separated
    /// by commas; unix: who comes over --uds; *: everybody). The client is the right-most address
    /// that is none of theirs; of everybody else such fields are dropped. By default they reach the
    /// application as they are, and the client is the peer
    #[arg(long, env = "HURRICANE_FORWARDED_ALLOW_IPS", value_name = "NETWORKS",
          value_parser = trusted)]
    pub forwarded_allow_ips: Option<Trusted>,

    /// Fields that those proxies write: x-forwarded (X-Forwarded-For, -Proto and -Host) or forwarded
    /// (RFC 7239). The others, which they may pass on from anybody, are dropped
    #[arg(
        long,
        env = "HURRICANE_FORWARDED_HEADERS",
        value_name = "FAMILY",
        default_value = "x-forwarded",
        ignore_case = true
    )]
    pub forwarded_headers: ForwardedHeaders,

    /// Each connection to the application's port begins with a header of the PROXY protocol (version
    /// 1 or 2), as a load balancer sends it; one without it is refused. Whoever reaches the port can
    /// say any address
    #[arg(long, env = "HURRICANE_PROXY_PROTOCOL", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub proxy_protocol: bool,
}

/// What TLS is spoken with on the application's port.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsArgs {
    /// Speak TLS on the application's port with the certificate chain of this PEM file, the server's
    /// own first. Read again when it changes
    #[arg(long, env = "HURRICANE_TLS_CERT", value_name = "PATH")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file of that certificate's private key
    #[arg(long, env = "HURRICANE_TLS_KEY", value_name = "PATH")]
    pub tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Both files, read.
    pub(crate) fn load(&self) -> Result<Option<Tls>, ConfigError> {
        match (self.tls_cert.as_deref(), self.tls_key.as_deref()) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let refused = |error: TlsError| ConfigError::Tls(error.to_string());
                Tls::load(certificate, key).map(Some).map_err(refused)
            }
            (Some(_), None) => Err(ConfigError::HalfOfTls { missing: "--tls-key" }),
            (None, Some(_)) => Err(ConfigError::HalfOfTls { missing: "--tls-cert" }),
        }
    }
}

/// What trusted proxies write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForwardedHeaders {
    /// X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host.
    XForwarded,
    /// Forwarded.
    Forwarded,
}

impl ProxyArgs {
    /// What workers know of them.
    pub(crate) fn proxies(&self) -> Proxies {
        Proxies {
            trusted: self.forwarded_allow_ips.clone().filter(|trusted| !trusted.is_empty()),
            family: match self.forwarded_headers {
                ForwardedHeaders::XForwarded => ForwardedFamily::XForwarded,
                ForwardedHeaders::Forwarded => ForwardedFamily::Rfc7239,
            },
            has_header: self.proxy_protocol,
        }
    }
}
