//! What a service manager (systemd, `Type=notify` or `notify-reload`) is told: that the server is
//! ready, reloads, stops, and that its supervisor is alive.
//!
//! A forked worker forgets where to say it. In a service whose workers are threads, programs that it
//! starts can see it; systemd hears the main process only, by default.
//!
//! Without one, nothing of this does anything. A message is sent without waiting: a manager that
//! does not read must not hold the supervisor.
#![expect(unsafe_code, reason = "a forked child takes variables out of its environment")]

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Where messages go: the path of a socket, or `@` and an abstract name.
const SOCKET: &str = "NOTIFY_SOCKET";
/// Variables by which a service manager speaks to the supervisor alone. Workers, and what they
/// start, are not to see them.
pub const MANAGER_VARIABLES: [&str; 6] =
    [SOCKET, "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The server serves, for the first time or after a reload.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The server loads new code. [`ready`] has to follow, however that goes.
pub(crate) fn reloading(status: &str) {
    let mut states = vec![NotifyState::Reloading, NotifyState::Status(status)];
    states.extend(NotifyState::monotonic_usec_now());
    send(&states);
}

/// The server is on its way down.
pub(crate) fn stopping(status: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// What the server is doing.
pub(crate) fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// A forked child, and what it starts, speak for nobody.
pub(crate) fn forget_in_child() {
    for name in MANAGER_VARIABLES {
        // SAFETY: a child that has just been forked from a process of one thread has one thread.
        #[expect(clippy::disallowed_methods, reason = "no other thread reads the environment")]
        unsafe {
            std::env::remove_var(name);
        }
    }
}

fn send(states: &[NotifyState]) {
    let Some(place) = std::env::var_os(SOCKET) else { return };
    if let Err(error) = send_to(&place, states) {
        tracing::debug!(%error, "the service manager does not hear us");
    }
}

fn send_to(place: &OsStr, states: &[NotifyState]) -> io::Result<()> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(place)?,
    };
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(lines.join("\n").as_bytes(), &address).map(drop)
}

/// Tells the service manager that the supervisor's loop runs, twice in the time that it allows.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// None: nobody asks.
    patience: Option<Duration>,
    due: Instant,
}

impl Watchdog {
    /// As the service manager wants it of this process.
    pub(crate) fn of_this_process() -> Self {
        let watchdog = Self { patience: sd_notify::watchdog_enabled(), due: Instant::now() };
        watchdog.resume();
        watchdog
    }

    /// When to beat next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.patience.map(|_| self.due)
    }

    /// To be called by the loop, as often as it likes.
    pub(crate) fn beat(&mut self, now: Instant) {
        let Some(patience) = self.patience else { return };
        if now >= self.due {
            self.due = now + patience / 2;
            send(&[NotifyState::Watchdog]);
        }
    }

    /// The loop will not run for up to `pause`: this process loads new code.
    pub(crate) fn suspend(&self, pause: Duration) {
        if let Some(patience) = self.patience {
            send(&[NotifyState::Watchdog, microseconds(patience.saturating_add(pause))]);
        }
    }

    /// The loop runs again.
    pub(crate) fn resume(&self) {
        if let Some(patience) = self.patience {
            send(&[NotifyState::Watchdog, microseconds(patience)]);
        }
    }
}

fn microseconds(patience: Duration) -> NotifyState<'static> {
    NotifyState::WatchdogUsec(u32::try_from(patience.as_micros()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_paths_and_abstract_names() {
        let path = std::env::temp_dir().join(format!("hurricane-notify-{}", std::process::id()));
        let name = format!("hurricane-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let at_path = UnixDatagram::bind(&path).unwrap();
        let at_name = UnixDatagram::bind_addr(&abstract_address).unwrap();
        let states = [NotifyState::Ready, NotifyState::Status("2 workers")];
        for (place, receiver) in
            [(path.as_os_str(), at_path), (OsStr::new(&format!("@{name}")), at_name)]
        {
            send_to(place, &states).unwrap();
            let mut buffer = [0; 64];
            let count = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"READY=1\nSTATUS=2 workers");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody() {
        let name = format!("hurricane-deaf-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _deaf = UnixDatagram::bind_addr(&address).unwrap();
        let place = format!("@{name}");
        let sent = (0..10_000).map(|_| send_to(OsStr::new(&place), &[NotifyState::Watchdog]));
        let error = sent.into_iter().find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_watchdog_that_nobody_asks_for_is_never_due() {
        let mut watchdog = Watchdog { patience: None, due: Instant::now() };
        assert_eq!(watchdog.due(), None);
        watchdog.beat(Instant::now());
        let patience = Some(Duration::from_secs(10));
        let mut watchdog = Watchdog { patience, due: Instant::now() };
        let now = Instant::now();
        watchdog.beat(now);
        assert_eq!(watchdog.due(), Some(now + Duration::from_secs(5)));
    }
}
