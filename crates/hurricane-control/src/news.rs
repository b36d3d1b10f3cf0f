//! Which changes are worth a webhook. The control process itself looks four times a second, so that
//! a change is told although no probe comes.
//!
//! - The first success of a probe is a change. Before it only an error (500) is: a server that is
//!   not ready *yet* is no news.
//! - A control process that takes over knows what was told last, and tells what is different.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Phase, Purpose, Scoreboard, WebhookKind, WebhookStatus};

use crate::correspondent::{Correspondent, OwnWebhooks};
use crate::courier::Courier;
use crate::error::ControlError;
use crate::manners::Manners;
use crate::thread::spawn;
use crate::verdict::{self, Snapshot, Verdict, VerdictLimits};
use crate::webhook::{Webhook, WebhookOptions};

const PERIOD: Duration = Duration::from_millis(250);
/// A start that has not finished after this long is a warning.
const STARTUP_WARNING: Duration = Duration::from_secs(60);
/// How long a server that ends still sends; what is over is lost. The supervisor waits for 2 s.
const FAREWELL: Duration = Duration::from_millis(1500);
/// How long a server that has failed to start still says so: nobody waits for its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The running observer.
pub(crate) struct Newsroom {
    /// Asks for the last look; the answer says that it is done.
    end: Sender<SyncSender<()>>,
    readers: Readers,
    board: Scoreboard,
    probed: Option<Arc<Probed>>,
}

/// Which probes were asked since the last look.
#[derive(Debug, Default)]
pub(crate) struct Probed {
    liveness: AtomicBool,
    readiness: AtomicBool,
}

impl Probed {
    pub(crate) fn note(&self, purpose: Purpose) {
        self.of(purpose).store(true, Ordering::Relaxed);
    }

    /// Whether it was asked since this was asked last.
    fn take(&self, purpose: Purpose) -> bool {
        self.of(purpose).swap(false, Ordering::Relaxed)
    }

    fn of(&self, purpose: Purpose) -> &AtomicBool {
        match purpose {
            Purpose::Liveness => &self.liveness,
            Purpose::Readiness => &self.readiness,
        }
    }
}

/// Who is told.
#[derive(Clone)]
struct Readers {
    courier: Option<Courier>,
    correspondent: Option<Correspondent>,
}

impl Readers {
    fn tell(&self, webhook: Webhook, board: &Scoreboard) {
        let replaced = self.correspondent.as_ref().is_some_and(|own| own.replaces(webhook.kind));
        if let Some(courier) = self.courier.as_ref().filter(|_| !replaced) {
            courier.take(webhook.clone(), board);
        }
        if let Some(correspondent) = &self.correspondent {
            correspondent.take(webhook);
        }
    }

    /// Waits until all is sent or the deadline has come; returns how much was not.
    fn end(&self, deadline: Instant) -> usize {
        let left = || deadline.saturating_duration_since(Instant::now());
        let unsent = self.courier.as_ref().map_or(0, |courier| courier.end(left()));
        unsent + self.correspondent.as_ref().map_or(0, |own| own.end(left()))
    }
}

impl Newsroom {
    pub(crate) fn start(
        options: Option<WebhookOptions>,
        own: Option<OwnWebhooks>,
        limits: VerdictLimits,
        board: &Scoreboard,
        has_listener: bool,
    ) -> Result<Self, ControlError> {
        // Where workers answer probes, nobody here knows of them.
        let waits = has_listener && !limits.manners.looks_unasked;
        let probed = waits.then(Arc::<Probed>::default);
        let courier = options.map(|options| Courier::start(options, board.clone())).transpose()?;
        let own = own
            .map(|own| Correspondent::start(own, board.clone(), courier.is_none()))
            .transpose()?;
        let readers = Readers { courier, correspondent: own };
        let (end, told) = mpsc::channel();
        let (seen, desk) = (board.clone(), readers.clone());
        let asked = probed.clone();
        spawn("webhooks".into(), move || observe(&seen, &limits, &desk, &told, asked.as_deref()))?;
        Ok(Self { end, readers, board: board.clone(), probed })
    }

    /// Who wants to know of probes that are asked.
    pub(crate) fn probed(&self) -> Option<Arc<Probed>> {
        self.probed.clone()
    }

    /// Tells that the server has stopped, and sends what is left.
    pub(crate) fn end(self) {
        let has_failed = self.board.server().phase() == Phase::Failed;
        let within = if has_failed { LAST_WORDS } else { FAREWELL };
        let deadline = Instant::now() + within;
        let (done, finished) = mpsc::sync_channel(1);
        if self.end.send(done).is_ok() {
            let _ = finished.recv_timeout(within);
        }
        let unsent = self.readers.end(deadline);
        if unsent > 0 {
            tracing::warn!(unsent, "webhooks were not sent before the end");
        }
    }
}

fn observe(
    board: &Scoreboard,
    limits: &VerdictLimits,
    readers: &Readers,
    told: &Receiver<SyncSender<()>>,
    probed: Option<&Probed>,
) {
    let mut news = News::after(board);
    loop {
        let ended = match told.recv_timeout(PERIOD) {
            Ok(done) => Some(done),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut found = news.look(&Snapshot::take(board, Monotonic::now()), limits, probed);
        if ended.is_some() && limits.manners.tells_more {
            found.extend(farewell(board));
        }
        for webhook in found {
            readers.tell(webhook, board);
        }
        if let Some(done) = ended {
            let _ = done.send(());
            return;
        }
    }
}

/// The last webhook, unless another control process takes over, or all is said of a start that
/// has failed.
fn farewell(board: &Scoreboard) -> Option<Webhook> {
    if board.server().phase() != Phase::Stopping {
        return None;
    }
    let failure = board.server().failure().get();
    Some(match board.server().requests_cut() {
        _ if !failure.is_empty() => {
            Webhook::new(WebhookKind::Shutdown, WebhookStatus::Failed, Some(failure))
        }
        0 => Webhook::new(WebhookKind::Shutdown, WebhookStatus::Succeeded, None),
        cut => {
            let why = format!("the end of the grace period has cut off requests: {cut}");
            Webhook::new(WebhookKind::Shutdown, WebhookStatus::Failed, Some(why))
        }
    })
}

/// What was told last.
#[derive(Debug, Default)]
struct News {
    startup: Option<WebhookStatus>,
    liveness: Option<WebhookStatus>,
    readiness: Option<WebhookStatus>,
    drain: Option<WebhookStatus>,
}

impl News {
    /// What a control process before this one has told.
    fn after(board: &Scoreboard) -> Self {
        let told = |kind| board.control().told(kind);
        Self {
            startup: told(WebhookKind::Startup),
            liveness: told(WebhookKind::Liveness),
            readiness: told(WebhookKind::Readiness),
            drain: told(WebhookKind::Drain),
        }
    }

    /// What is to be told now, in this order.
    fn look(
        &mut self,
        snapshot: &Snapshot,
        limits: &VerdictLimits,
        probed: Option<&Probed>,
    ) -> Vec<Webhook> {
        let (mut found, manners) = (Vec::new(), limits.manners);
        let startup = verdict::startup(snapshot);
        if let Some(failure) = &snapshot.failure {
            let status = match snapshot.failure_is_warning {
                true => WebhookStatus::Warning,
                false => WebhookStatus::Failed,
            };
            if self.startup != Some(status) {
                self.startup = Some(status);
                let why = Some(failure.clone());
                found.push(Webhook::new(WebhookKind::Startup, status, why));
            }
            return found;
        }
        if startup.passes() {
            if self.startup != Some(WebhookStatus::Succeeded) {
                self.startup = Some(WebhookStatus::Succeeded);
                found.push(Webhook::new(WebhookKind::Startup, WebhookStatus::Succeeded, None));
            }
        } else if self.startup.is_none()
            && snapshot.uptime() >= STARTUP_WARNING
            && manners.tells_more
        {
            self.startup = Some(WebhookStatus::Warning);
            let why = Some(startup.body().into_owned());
            found.push(Webhook::new(WebhookKind::Startup, WebhookStatus::Warning, why));
        }
        let drains = matches!(snapshot.phase, Phase::Draining | Phase::Stopping);
        if drains && self.drain.is_none() && manners.tells_more {
            self.drain = Some(WebhookStatus::Succeeded);
            found.push(Webhook::new(WebhookKind::Drain, WebhookStatus::Succeeded, None));
        }
        let is_seen = |purpose| probed.is_none_or(|probed| probed.take(purpose));
        if startup.passes() && is_seen(Purpose::Liveness) {
            let liveness = verdict::liveness(snapshot, limits);
            found.extend(change(&mut self.liveness, WebhookKind::Liveness, &liveness, manners));
        }
        if startup.passes() && is_seen(Purpose::Readiness) {
            let readiness = verdict::readiness(snapshot, limits);
            found.extend(change(&mut self.readiness, WebhookKind::Readiness, &readiness, manners));
        }
        found
    }
}

fn change(
    last: &mut Option<WebhookStatus>,
    kind: WebhookKind,
    verdict: &Verdict,
    manners: &Manners,
) -> Option<Webhook> {
    let status = match verdict.status() {
        200 => WebhookStatus::Succeeded,
        400 if last.is_none() => return None,
        _ => WebhookStatus::Failed,
    };
    if last.replace(status) == Some(status) {
        return None;
    }
    let why = (!verdict.passes() && manners.says_why).then(|| verdict.body().into_owned());
    Some(Webhook::new(kind, status, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::{CheckStatus, WebhookEnd, WorkerState};

    const LIMITS: VerdictLimits = VerdictLimits::OF_TESTS;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    fn starting() -> Scoreboard {
        let board = Scoreboard::new(1).unwrap();
        board.server().set_started(at(1));
        board.server().set_workers_target(1);
        board.slot(0).unwrap().begin(at(1));
        board
    }

    fn serve(board: &Scoreboard, now: u64) {
        board.slot(0).unwrap().beat(at(now));
        board.slot(0).unwrap().set_state(WorkerState::Serving);
        board.server().set_startup_finished(at(now));
        board.server().set_phase(Phase::Serving);
    }

    fn said(news: &mut News, board: &Scoreboard, now: u64) -> Vec<String> {
        let found = news.look(&Snapshot::take(board, at(now)), &LIMITS, None);
        let text = |webhook: &Webhook| {
            let why = webhook.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            format!("{} {}{why}", webhook.kind.as_str(), webhook.status.as_str())
        };
        found.iter().map(text).collect()
    }

    #[test]
    fn a_change_is_told_once_and_the_first_success_is_one() {
        let board = starting();
        let mut news = News::after(&board);
        assert!(said(&mut news, &board, 2).is_empty());
        serve(&board, 3);
        assert_eq!(
            said(&mut news, &board, 3),
            ["startup succeeded", "liveness succeeded", "readiness succeeded"]
        );
        assert!(said(&mut news, &board, 4).is_empty());
        let silent = "readiness failed: worker 0 has been silent for 6.0 s (limit 5 s)";
        assert_eq!(said(&mut news, &board, 9), [silent]);
        assert!(said(&mut news, &board, 10).is_empty(), "other numbers are no news");
        board.slot(0).unwrap().beat(at(11));
        assert_eq!(said(&mut news, &board, 11), ["readiness succeeded"]);
    }

    #[test]
    fn a_server_that_is_not_ready_yet_is_no_news_and_a_failing_check_is() {
        let board = starting();
        let mut news = News::after(&board);
        let check = board.check(0).unwrap();
        check.begin("db", Purpose::Readiness, Duration::from_secs(60));
        serve(&board, 3);
        assert_eq!(said(&mut news, &board, 3), ["startup succeeded", "liveness succeeded"]);
        check.record(CheckStatus::Failed, "gone", at(4), Duration::ZERO);
        assert_eq!(said(&mut news, &board, 4), ["readiness failed: check error: db: gone"]);
    }

    #[test]
    fn a_long_start_is_a_warning_once() {
        let board = starting();
        let mut news = News::after(&board);
        assert!(said(&mut news, &board, 60).is_empty());
        let warned = said(&mut news, &board, 61);
        assert_eq!(warned.len(), 1);
        assert!(warned[0].starts_with("startup warning: startup has not finished after 60.0 s"));
        assert!(said(&mut news, &board, 62).is_empty());
        serve(&board, 63);
        assert_eq!(said(&mut news, &board, 63)[0], "startup succeeded");
    }

    #[test]
    fn a_stop_is_told_before_what_it_does_to_readiness() {
        let board = starting();
        let mut news = News::after(&board);
        serve(&board, 3);
        said(&mut news, &board, 3);
        assert!(farewell(&board).is_none(), "a reload replaces the control process");
        board.server().set_phase(Phase::Draining);
        assert_eq!(said(&mut news, &board, 4), ["drain succeeded"]);
        board.server().set_phase(Phase::Stopping);
        assert_eq!(said(&mut news, &board, 4), ["readiness failed: the server is stopping"]);
        assert_eq!(farewell(&board).unwrap().status, WebhookStatus::Succeeded);
        board.server().set_requests_cut(3);
        let cut = "the end of the grace period has cut off requests: 3";
        assert_eq!(farewell(&board).unwrap().why.as_deref(), Some(cut));
        board.server().failure().set("the broker is lost");
        assert_eq!(farewell(&board).unwrap().why.as_deref(), Some("the broker is lost"));
    }

    #[test]
    fn a_start_that_fails_says_why_and_nothing_else() {
        let board = starting();
        let mut news = News::after(&board);
        board.server().failure().set("command \"load\" has failed");
        board.server().set_phase(Phase::Failed);
        let failed = "startup failed: command \"load\" has failed";
        assert_eq!(said(&mut news, &board, 2), [failed]);
        assert!(said(&mut news, &board, 3).is_empty());
        assert!(farewell(&board).is_none());
    }

    #[test]
    fn a_successor_tells_only_what_is_different() {
        let board = starting();
        serve(&board, 3);
        for kind in [WebhookKind::Startup, WebhookKind::Liveness, WebhookKind::Readiness] {
            let status = WebhookStatus::Succeeded;
            board.control().webhook_ended(&WebhookEnd { kind, status, answer: None, at: at(4) });
        }
        let mut successor = News::after(&board);
        assert!(said(&mut successor, &board, 5).is_empty());
        assert_eq!(said(&mut successor, &board, 9).len(), 1, "silent by now");
    }
}
