//! Webhooks: what is told to which URL, and how one is sent.
//!
//! The payload is what receivers of Django-Hurricane know, with two more types (`drain`,
//! `shutdown`) and with `traceback` wherever something is not well.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hurricane_scoreboard::{WebhookKind, WebhookStatus};
use serde::Serialize;
use ureq::http::Uri;

use crate::client::{self, Unsent};

/// Where webhooks go, and what they say of us.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// The receiver.
    pub url: WebhookUrl,
    /// The pod's name, which is its host name.
    pub podname: String,
    /// The application's version, if it has one.
    pub version: Option<String>,
    /// How often it is tried that the receiver takes one.
    pub attempts_max: u32,
}

/// The URL of a receiver. What is shown of it leaves out user, password, path and query, which
/// may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    uri: Uri,
    is_shown: bool,
}

/// A text that is no URL to send webhooks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an http or https URL without user and password, such as https://hooks.example.com/pods")]
pub struct WebhookUrlError;

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| WebhookUrlError)?;
        let scheme = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
        // A URL may carry a user for Basic authentication, but nothing here would send it.
        let host = uri.authority().is_some_and(|authority| {
            let port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
            let bad_port = port
                .is_some_and(|port| !port.ends_with(']') && port.parse() != Ok(0_u16))
                && authority.port_u16().is_none();
            !authority.host().is_empty() && !authority.as_str().contains('@') && !bad_port
        });
        if scheme && host { Ok(Self { uri, is_shown: false }) } else { Err(WebhookUrlError) }
    }
}

impl WebhookUrl {
    /// All of it, with its secrets.
    pub fn expose(&self) -> String {
        self.uri.to_string()
    }

    /// The same, of which all is shown.
    #[must_use]
    pub fn shown_in_full(self) -> Self {
        Self { is_shown: true, ..self }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_shown {
            return self.uri.fmt(f);
        }
        let (scheme, authority) = (self.uri.scheme_str(), self.uri.authority());
        write!(f, "{}://", scheme.unwrap_or_default())?;
        write!(f, "{}", authority.map_or("", |authority| authority.as_str()))?;
        let more = self.uri.path().len() > 1 || self.uri.query().is_some();
        f.write_str(if more { "/…" } else { "" })
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) kind: WebhookKind,
    pub(crate) status: WebhookStatus,
    /// Seconds of the Unix epoch.
    timestamp: u64,
    /// Why the status is not `succeeded`.
    pub(crate) why: Option<String>,
}

#[derive(Serialize)]
struct Payload<'a> {
    info: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    timestamp: u64,
    podname: &'a str,
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<&'a str>,
}

impl Webhook {
    /// A webhook about something that has just been seen.
    pub(crate) fn new(kind: WebhookKind, status: WebhookStatus, why: Option<String>) -> Self {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { kind, status, timestamp, why }
    }

    fn payload(&self, options: &WebhookOptions) -> Vec<u8> {
        let payload = Payload {
            info: match self.kind {
                WebhookKind::Startup => "Startup webhook",
                WebhookKind::Liveness => "Liveness webhook",
                WebhookKind::Readiness => "Readiness webhook",
                WebhookKind::Drain => "Drain webhook",
                WebhookKind::Shutdown => "Shutdown webhook",
            },
            kind: self.kind.as_str(),
            status: self.status.as_str(),
            timestamp: self.timestamp,
            podname: &options.podname,
            version: options.version.as_deref(),
            traceback: self.why.as_deref(),
        };
        // Numbers and strings cannot fail to serialise.
        serde_json::to_vec(&payload).unwrap_or_default()
    }

    /// One attempt. Returns the receiver's status code if it has taken the webhook.
    pub(crate) fn send(&self, options: &WebhookOptions, within: Duration) -> Result<u16, Unsent> {
        client::post(&options.url, &self.payload(options), within)
    }
}

/// How long one attempt may take, from resolving the name to the answer.
pub(crate) const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often a webhook is tried.
pub const ATTEMPTS_MAX: u32 = 5;
/// How long a process that ends tries to say why.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(5);
const LAST_WORDS_PAUSE: Duration = Duration::from_millis(250);

/// Says that the start has failed, from a process that has nothing else left to do: blocks for 5 s
/// at most. Whoever starts workers sends this itself, because the control process may be what did
/// not start.
pub fn send_failed_start(options: &WebhookOptions, why: &str) {
    let webhook = Webhook::new(WebhookKind::Startup, WebhookStatus::Failed, Some(why.to_owned()));
    log_initiated(&webhook);
    let deadline = Instant::now() + LAST_WORDS_TIME_MAX;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match webhook.send(options, left.min(ATTEMPT_TIME_MAX)) {
            Ok(_) => return,
            Err(unsent) => {
                log_unsent(&options.url, &unsent);
                let is_over = !unsent.may_pass || options.attempts_max <= 1;
                if is_over || deadline < Instant::now() + LAST_WORDS_PAUSE {
                    return;
                }
            }
        }
        std::thread::park_timeout(LAST_WORDS_PAUSE);
    }
}

/// The wording is what users of Django-Hurricane look for in their logs.
pub(crate) fn log_initiated(webhook: &Webhook) {
    let (kind, status) = (webhook.kind.as_str(), webhook.status.as_str());
    tracing::info!(kind, "Webhook with a status {status} has been initiated");
}

/// As [`log_initiated`].
pub(crate) fn log_unsent(url: &WebhookUrl, unsent: &Unsent) {
    tracing::warn!("Sending webhook to {url} has failed due to {unsent}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn urls_are_http_or_https_with_a_host() {
        for text in [
            "http://hooks",
            "https://hooks.example.com/a?b=c",
            "http://127.0.0.1:8080/x",
            "http://[::1]:8080",
            "HTTP://hooks:80/",
        ] {
            assert!(text.parse::<WebhookUrl>().is_ok(), "{text}");
        }
        for text in [
            "",
            "hooks",
            "/x",
            "ftp://hooks",
            "http://",
            "http:///x",
            "http://hooks:port",
            "http://hooks:70000/",
            "https://user:secret@hooks/",
            "http://ho oks/",
        ] {
            assert_eq!(text.parse::<WebhookUrl>(), Err(WebhookUrlError), "{text}");
        }
    }

    #[test]
    fn what_is_shown_of_a_url_has_no_secret() {
        let url: WebhookUrl = "https://hooks.example.com:8443/T0/secret?token=1".parse().unwrap();
        assert_eq!(url.to_string(), "https://hooks.example.com:8443/…");
        assert_eq!(format!("{url:?}"), "https://hooks.example.com:8443/…");
        let full = "https://hooks.example.com:8443/T0/secret?token=1";
        assert_eq!((url.expose(), url.shown_in_full().to_string()), (full.into(), full.into()));
        let bare: WebhookUrl = "http://hooks".parse().unwrap();
        assert_eq!(bare.to_string(), "http://hooks");
    }

    #[test]
    fn the_payload_is_the_one_that_receivers_know() {
        let options = WebhookOptions {
            url: "http://hooks".parse().unwrap(),
            podname: "shop-7d9".into(),
            version: None,
            attempts_max: ATTEMPTS_MAX,
        };
        let mut webhook = Webhook::new(WebhookKind::Startup, WebhookStatus::Succeeded, None);
        webhook.timestamp = 1_795_302_771;
        let sent = |webhook: &Webhook, options: &WebhookOptions| {
            serde_json::from_slice::<Value>(&webhook.payload(options)).unwrap()
        };
        assert_eq!(
            sent(&webhook, &options),
            json!({
                "info": "Startup webhook", "type": "startup", "status": "succeeded",
                "timestamp": 1_795_302_771, "podname": "shop-7d9", "version": null,
            })
        );
        webhook.status = WebhookStatus::Failed;
        webhook.why = Some("no database".into());
        let options = WebhookOptions { version: Some("1.2".into()), ..options };
        let failed = sent(&webhook, &options);
        assert_eq!(
            (&failed["traceback"], &failed["version"]),
            (&json!("no database"), &json!("1.2"))
        );
    }
}
