//! The sockets that the server listens on, bound by the supervisor before anything is forked.
//!
//! Each worker slot has one of its own in a SO_REUSEPORT group on the application's port; the
//! supervisor keeps them, so that a worker that dies leaves its accept queue to its successor.
//! The probe port has a plain socket.
//!
//! Invariants:
//! - All sockets are non-blocking, closed on exec, and have TCP_NODELAY set, which accepted
//!   sockets inherit.
//! - A port on which another server listens is refused, although SO_REUSEPORT would let a second
//!   server of the same user take half of its connections without a word.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::cli::HOST_DEFAULT;
use crate::config::{Config, ProbePort};
use crate::handover::Listening;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Someone else has the port.
    #[error(
        "port {} is taken on {}: another process listens there; stop it or choose another \
         {flag}", address.port(), address.ip()
    )]
    Taken {
        /// What was asked for.
        address: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// Ports below 1024 are for privileged processes.
    #[error(
        "port {} needs a privilege that this process lacks; choose a {flag} above 1023 or grant \
         CAP_NET_BIND_SERVICE", address.port()
    )]
    Forbidden {
        /// What was asked for.
        address: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// The address is not one of this host's.
    #[error("--host {host} is no address of this host; choose one of its addresses, or ::")]
    NotOurs {
        /// What was asked for.
        host: String,
    },
    /// The name stands for no address.
    #[error("--host {host} cannot be resolved; give an address, such as ::")]
    Unresolved {
        /// What was asked for.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// What was asked for.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The sockets themselves.
#[derive(Debug)]
pub(crate) struct Bound {
    /// One for each worker, in order.
    pub(crate) workers: Vec<TcpListener>,
    /// The probe port's, unless probes are off or answered on the application's port.
    pub(crate) probe: Option<TcpListener>,
}

/// Where the server listens.
#[derive(Debug)]
pub(crate) struct Listeners {
    backlog: usize,
    /// Where the application listens.
    pub(crate) app: SocketAddr,
    /// Where probes are answered.
    pub(crate) probes: Option<SocketAddr>,
    /// Whether IPv6 was asked for by default and cannot be had.
    pub(crate) without_ipv6: bool,
}

impl Listeners {
    /// Binds everything that `config` asks for.
    pub(crate) fn bind(config: &Config) -> Result<(Self, Bound), ListenError> {
        let wanted = Wanted::app(config.backlog);
        let host = resolve(&config.host)?;
        let by_default = config.host == HOST_DEFAULT;
        let (first, without_ipv6) = match wanted.group_head(SocketAddr::new(host, config.port)) {
            Err(error) if by_default && is_ipv6_missing(&error) => {
                let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                (wanted.group_head(SocketAddr::new(any, config.port)), true)
            }
            other => (other, false),
        };
        let first = first?;
        let app = address_of(&first)?;
        let mut workers = vec![first];
        for _ in 1..config.workers.get() {
            workers.push(wanted.group_member(app)?);
        }
        let wanted = Wanted { backlog: config.backlog.min(128), flag: "--probe-port" };
        let (probe, probes) = match config.probe_port {
            ProbePort::Off => (None, None),
            ProbePort::Integrated => (None, Some(app)),
            ProbePort::Own(port) => {
                let listener = wanted.alone(SocketAddr::new(app.ip(), port))?;
                let probes = address_of(&listener)?;
                (Some(listener), Some(probes))
            }
        };
        let listeners = Self { backlog: config.backlog, app, probes, without_ipv6 };
        Ok((listeners, Bound { workers, probe }))
    }

    /// What an earlier image of this process listens on.
    pub(crate) fn adopt(config: &Config, listening: &Listening) -> Self {
        let Listening { app, probes, .. } = *listening;
        Self { backlog: config.backlog, app, probes, without_ipv6: false }
    }

    /// One more of the application's group.
    pub(crate) fn another(&self) -> Result<TcpListener, ListenError> {
        Wanted::app(self.backlog).group_member(self.app)
    }
}

/// Refuses new handshakes at once while those under way may still end: from now on only the
/// loopback interface reaches the socket. Connections over loopback are whole when they arrive,
/// and wait in the accept queue. Without the right to do so nothing changes.
pub(crate) fn close_door(listener: &TcpListener) {
    if let Err(error) = socket2::SockRef::from(listener).bind_device(Some(b"lo")) {
        tracing::debug!(%error, "could not refuse new handshakes before closing a listener");
    }
}

struct Wanted {
    backlog: usize,
    flag: &'static str,
}

impl Wanted {
    fn app(backlog: usize) -> Self {
        Self { backlog, flag: "--port" }
    }

    /// The first socket of a SO_REUSEPORT group that is ours alone.
    fn group_head(&self, address: SocketAddr) -> Result<TcpListener, ListenError> {
        if address.port() != 0 {
            // Without SO_REUSEPORT the kernel says whether anyone listens there.
            drop(self.alone(address)?);
        }
        self.group_member(address)
    }

    fn group_member(&self, address: SocketAddr) -> Result<TcpListener, ListenError> {
        self.listen(address, true).map_err(|source| self.explain(address, source))
    }

    fn alone(&self, address: SocketAddr) -> Result<TcpListener, ListenError> {
        self.listen(address, false).map_err(|source| self.explain(address, source))
    }

    fn listen(&self, address: SocketAddr, in_group: bool) -> io::Result<TcpListener> {
        // Socket::new sets FD_CLOEXEC.
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(in_group)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    }

    fn explain(&self, address: SocketAddr, source: io::Error) -> ListenError {
        let flag = self.flag;
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken { address, flag },
            io::ErrorKind::PermissionDenied => ListenError::Forbidden { address, flag },
            io::ErrorKind::AddrNotAvailable if address.ip() != Ipv6Addr::UNSPECIFIED => {
                ListenError::NotOurs { host: address.ip().to_string() }
            }
            _ => ListenError::Other { address, source },
        }
    }
}

fn resolve(host: &str) -> Result<IpAddr, ListenError> {
    let unresolved = |source| ListenError::Unresolved { host: host.to_owned(), source };
    let mut addresses = (host, 0).to_socket_addrs().map_err(unresolved)?;
    let first = addresses.next().map(|address| address.ip());
    first.ok_or_else(|| unresolved(io::Error::other("the name has no address")))
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    listener.local_addr().map_err(|source| ListenError::Other { address: nowhere, source })
}

fn is_ipv6_missing(error: &ListenError) -> bool {
    let ListenError::Other { source, .. } = error else { return false };
    let code = source.raw_os_error();
    code == Some(libc::EAFNOSUPPORT) || code == Some(libc::EADDRNOTAVAIL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    const WANTED: Wanted = Wanted { backlog: 16, flag: "--port" };

    #[test]
    fn a_group_of_our_own_user_on_the_port_is_noticed() {
        let first = WANTED.group_head(LOOPBACK).unwrap();
        let address = first.local_addr().unwrap();
        WANTED.group_member(address).unwrap();
        let error = WANTED.group_head(address).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "port {} is taken on 127.0.0.1: another process listens there; stop it or choose \
                 another --port",
                address.port()
            )
        );
    }

    #[test]
    fn a_listener_on_one_address_takes_the_port_from_any_address() {
        let other = TcpListener::bind(LOOPBACK).unwrap();
        let port = other.local_addr().unwrap().port();
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        assert!(matches!(WANTED.group_head(any), Err(ListenError::Taken { .. })));
    }

    #[test]
    fn a_closed_port_is_free_again_at_once() {
        let first = WANTED.alone(LOOPBACK).unwrap();
        let address = first.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        first.set_nonblocking(false).unwrap();
        // The server closes first, so that the kernel keeps the connection for a minute.
        let (mut served, _) = first.accept().unwrap();
        served.write_all(b"x").unwrap();
        drop(served);
        client.read_to_end(&mut Vec::new()).unwrap();
        drop((client, first));
        WANTED.group_head(address).unwrap();
    }

    #[test]
    fn connections_wait_in_the_queue_after_the_door_is_closed() {
        let listener = WANTED.group_head(LOOPBACK).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        close_door(&listener);
        assert!(listener.accept().is_ok());
        drop(client);
    }

    #[test]
    fn both_families_are_reached_by_default() {
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
        let Ok(listener) = WANTED.group_head(any) else { return };
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn addresses_of_other_hosts_and_unknown_names_are_refused() {
        let foreign: SocketAddr = "192.0.2.1:0".parse().unwrap();
        assert!(matches!(WANTED.alone(foreign), Err(ListenError::NotOurs { .. })));
        assert!(matches!(resolve("no.such.host.invalid"), Err(ListenError::Unresolved { .. })));
    }
}
