//! Sockets that a service manager (systemd) has opened and passed to this process.
//!
//! It keeps them over our end: connections that come while no server runs wait for the next one.
//! One is the application's, TCP or Unix domain; one named `probe` is for probes.
#![expect(unsafe_code, reason = "descriptors come as numbers, and the environment is changed")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use socket2::{Domain, Socket, Type};

/// `FileDescriptorName=` of the socket for probes.
const PROBE: &str = "probe";

/// Why passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    /// The variables contradict each other, or the descriptors are not there.
    #[error(
        "LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID do not fit what was passed ({0}); unset them, \
         or start the server from a socket unit"
    )]
    Garbled(#[source] io::Error),
    /// A connection, a datagram socket, a pipe.
    #[error(
        "socket {name} of the socket unit is not one that listens for streams; set ListenStream= \
         and Accept=no"
    )]
    NotListening {
        /// Its name.
        name: String,
    },
    /// More than one that could be the application's.
    #[error(
        "the socket unit passes {count} sockets for the application, which has one; leave one, \
         and give the one for probes FileDescriptorName=probe"
    )]
    TooMany {
        /// So many.
        count: usize,
    },
    /// Kubelets ask over TCP.
    #[error("the socket named probe has to be a TCP socket; set ListenStream= to a port")]
    ProbeNotTcp,
    /// Two places for one application.
    #[error(
        "--uds is given and the socket unit passes a socket for the application as well; drop one"
    )]
    Twice,
}

/// What was passed.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) app: Option<Socket>,
    pub(crate) probe: Option<Socket>,
}

impl Passed {
    /// Takes over what is meant for this process, and makes this process and its children forget
    /// the variables that say so. To be called once, before there is a second thread.
    pub(crate) fn take() -> Result<Self, ActivationError> {
        if !is_meant() {
            return Ok(Self::default());
        }
        // SAFETY: the supervisor has one thread.
        let passed = unsafe { sd_notify::listen_fds_with_names_and_unset_env() };
        let passed = passed.map_err(ActivationError::Garbled)?;
        // SAFETY: the service manager has opened these for us, and nobody else in this process
        // knows of them.
        let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
        Self::sort(passed.map(|(number, name)| (Socket::from(own(number)), name)))
    }

    /// Makes a later image of the process forget what was meant for the first, which has handed the
    /// sockets on.
    pub(crate) fn forget() {
        if is_meant() {
            // SAFETY: the supervisor has one thread. Nothing is made of the numbers.
            let _ = unsafe { sd_notify::listen_fds_with_names_and_unset_env() };
        }
    }

    fn sort(sockets: impl Iterator<Item = (Socket, String)>) -> Result<Self, ActivationError> {
        let mut probes = None;
        let mut apps = Vec::new();
        for (socket, name) in sockets {
            let listens = socket.is_listener().unwrap_or(false)
                && socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
            if !listens || socket.set_nonblocking(true).is_err() {
                return Err(ActivationError::NotListening { name });
            }
            if name != PROBE {
                apps.push(socket);
            } else if socket.domain().is_ok_and(|domain| domain == Domain::UNIX) {
                return Err(ActivationError::ProbeNotTcp);
            } else {
                probes = Some(socket);
            }
        }
        if apps.len() > 1 {
            return Err(ActivationError::TooMany { count: apps.len() });
        }
        Ok(Self { app: apps.pop(), probe: probes })
    }
}

/// Whether there is anything to take or forget: otherwise the environment is left alone.
fn is_meant() -> bool {
    std::env::var_os("LISTEN_PID").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;

    fn tcp() -> Socket {
        TcpListener::bind("127.0.0.1:0").unwrap().into()
    }

    fn sorted(sockets: Vec<(Socket, &str)>) -> Result<(bool, bool), String> {
        let sockets = sockets.into_iter().map(|(socket, name)| (socket, name.to_owned()));
        let passed = Passed::sort(sockets).map_err(|error| error.to_string())?;
        Ok((passed.app.is_some(), passed.probe.is_some()))
    }

    #[test]
    fn one_is_the_applications_and_the_one_named_probe_for_probes() {
        assert_eq!(sorted(vec![]), Ok((false, false)));
        assert_eq!(sorted(vec![(tcp(), "shop.socket")]), Ok((true, false)));
        assert_eq!(sorted(vec![(tcp(), "probe"), (tcp(), "unknown")]), Ok((true, true)));
        assert_eq!(sorted(vec![(tcp(), "probe")]), Ok((false, true)));
        let error = sorted(vec![(tcp(), "a"), (tcp(), "b")]).unwrap_err();
        assert!(error.contains("passes 2 sockets"), "{error}");
    }

    #[test]
    fn what_does_not_listen_for_streams_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (pair, _other) = UnixStream::pair().unwrap();
        for socket in [connected.into(), datagrams.into(), pair.into()] {
            let error = sorted(vec![(socket, "web")]).unwrap_err();
            assert!(error.contains("socket web of the socket unit"), "{error}");
        }
    }
}
