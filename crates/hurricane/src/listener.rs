//! The sockets that the server listens on, bound by the supervisor before anything is forked.
//!
//! Each worker has one of its own in a SO_REUSEPORT group on the application's port; the
//! supervisor keeps them, so that a worker that dies leaves its accept queue to its successor.
//! A Unix domain socket, and one that a service manager has opened, is one for all workers. The
//! probe port has a plain socket.
//!
//! Invariants:
//! - All sockets are non-blocking and closed on exec, and those of TCP that are bound here have
//!   TCP_NODELAY set, which accepted sockets inherit.
//! - A port on which another server listens is refused, although SO_REUSEPORT would let a second
//!   server of the same user take half of its connections without a word.

pub(crate) mod activation;
pub(crate) mod endpoint;
pub(crate) mod steer;
pub(crate) mod unix;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::lchown;

use nix::unistd::{Gid, Uid, fchown};
use socket2::{Domain, Protocol, Socket, Type};

use crate::cli::HOST_DEFAULT;
use crate::config::{Config, ProbePort};
use crate::listener::activation::{ActivationError, Passed};
use crate::listener::endpoint::Endpoint;
use crate::listener::unix::{SocketFile, UnixError};
use crate::reload::handover::Listening;

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
    /// The Unix domain socket cannot be made.
    #[error(transparent)]
    Unix(#[from] UnixError),
    /// A service manager has passed what we cannot use.
    #[error(transparent)]
    Activation(#[from] ActivationError),
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
    /// One for each worker, in order; of a shared one so many copies.
    pub(crate) workers: Vec<Socket>,
    /// The probe port's, unless probes are off or answered on the application's port.
    pub(crate) probe: Option<Socket>,
}

/// Where the server listens.
#[derive(Debug)]
pub(crate) struct Listeners {
    backlog: usize,
    /// Where the application listens.
    pub(crate) app: Endpoint,
    /// Where probes are answered.
    pub(crate) probes: Option<Endpoint>,
    /// Whether IPv6 was asked for by default and cannot be had.
    pub(crate) without_ipv6: bool,
    door: Door,
    /// Whether connections are refused until [`Listeners::open_late`].
    opens_late: bool,
}

/// How new connections are kept out when the server stops accepting.
#[derive(Debug)]
enum Door {
    /// A group of our own: by refusing handshakes.
    Group,
    /// A Unix domain socket of our own: by removing its file, if it is still there.
    File(Option<SocketFile>),
    /// The service manager keeps the socket, and what comes is for the next server: not at all.
    Inherited,
    /// There is none.
    None,
}

impl Listeners {
    /// Binds everything that `config` asks for, but for what a service manager has `passed`.
    pub(crate) fn bind(config: &Config, passed: Passed) -> Result<(Self, Bound), ListenError> {
        if config.consumer.is_some() {
            return Self::without_application(config, passed);
        }
        let mut without_ipv6 = false;
        let (first, door) = match (passed.app, &config.uds) {
            (Some(_), Some(_)) => return Err(ActivationError::Twice.into()),
            (Some(socket), None) => (socket, Door::Inherited),
            (None, Some(path)) => {
                let (socket, file) = unix::listen(path, config.uds_mode, config.backlog)?;
                (socket, Door::File(Some(file)))
            }
            (None, None) => {
                let (socket, alone_in_ipv4) = group_head(config)?;
                without_ipv6 = alone_in_ipv4;
                (socket, Door::Group)
            }
        };
        let app = Endpoint::of(&first).map_err(nowhere)?;
        let mut listeners = Self {
            backlog: config.backlog,
            app,
            probes: None,
            without_ipv6,
            opens_late: config.behaviour.opens_late && matches!(door, Door::Group),
            door,
        };
        let mut workers = vec![first];
        for _ in 1..config.workers.get() {
            workers.push(listeners.another(&workers[0])?);
        }
        let probe = listeners.bind_probe(config, passed.probe)?;
        Ok((listeners, Bound { workers, probe }))
    }

    /// For a consumer: the probe port is all.
    fn without_application(config: &Config, passed: Passed) -> Result<(Self, Bound), ListenError> {
        if passed.app.is_some() {
            tracing::warn!("a consumer leaves the socket of the service manager unused");
        }
        let (app, backlog) = (Endpoint::Nowhere, config.backlog);
        let mut listeners = Self {
            backlog,
            app,
            probes: None,
            without_ipv6: false,
            door: Door::None,
            opens_late: false,
        };
        let probe = listeners.bind_probe(config, passed.probe)?;
        Ok((listeners, Bound { workers: Vec::new(), probe }))
    }

    /// What an earlier image of this process listens on.
    pub(crate) fn adopt(config: &Config, listening: &Listening) -> Self {
        let Listening { app, probes, is_inherited, .. } = listening.clone();
        let door = match &app {
            Endpoint::Tcp(_) if !is_inherited => Door::Group,
            Endpoint::Nowhere => Door::None,
            Endpoint::Unix(path) if !is_inherited => Door::File(SocketFile::at(path).ok()),
            _ => Door::Inherited,
        };
        let (backlog, without_ipv6) = (config.backlog, false);
        Self { backlog, app, probes, without_ipv6, door, opens_late: false }
    }

    /// Makes what is bound somebody else's: the kernel lets only their owner add a socket to a group
    /// of them, and only the owner of a socket's file may remove it.
    pub(crate) fn give_to(&mut self, uid: Uid, gid: Gid, bound: &Bound) -> io::Result<()> {
        if let (Endpoint::Unix(path), Door::File(file)) = (&self.app, &mut self.door) {
            // Whatever has been put in its place meanwhile, no link is followed.
            lchown(path, Some(uid.as_raw()), Some(gid.as_raw()))?;
            // That was a change of it.
            *file = Some(SocketFile::at(path)?);
        }
        for socket in bound.workers.iter().chain(&bound.probe) {
            fchown(socket, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    fn bind_probe(
        &mut self,
        config: &Config,
        passed: Option<Socket>,
    ) -> Result<Option<Socket>, ListenError> {
        let probe = match (passed, config.probe_port) {
            (Some(_), ProbePort::Off) => {
                tracing::warn!("--no-probe leaves the socket named probe unused");
                None
            }
            (Some(socket), _) => Some(socket),
            (None, ProbePort::Own(port)) => {
                let wanted = Wanted { backlog: config.backlog.min(128), flag: "--probe-port" };
                let ip = match self.app.tcp() {
                    Some(address) => address.ip(),
                    None => resolve(&config.host)?,
                };
                match wanted.alone(SocketAddr::new(ip, port)) {
                    Err(error) if may_lack_ipv6(config, &error) => {
                        self.without_ipv6 = true;
                        Some(wanted.alone(SocketAddr::new(ANY_IPV4, port))?)
                    }
                    other => Some(other?),
                }
            }
            (None, ProbePort::Off | ProbePort::Integrated) => None,
        };
        self.probes = match (&probe, config.probe_port) {
            (Some(socket), _) => Some(Endpoint::of(socket).map_err(nowhere)?),
            (None, ProbePort::Integrated) => Some(self.app.clone()),
            (None, _) => None,
        };
        Ok(probe)
    }

    /// Begins to take connections, where they were refused until now.
    pub(crate) fn open_late<'a>(
        &self,
        sockets: impl Iterator<Item = &'a Socket>,
    ) -> io::Result<()> {
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        sockets.filter(|_| self.opens_late).try_for_each(|socket| socket.listen(backlog))
    }

    /// Where the application is served and probes are answered.
    pub(crate) fn addresses(&self) -> (&Endpoint, Option<&Endpoint>) {
        (&self.app, self.probes.as_ref())
    }

    /// A listener for one more worker. `other`: any of those that are there.
    pub(crate) fn another(&self, other: &Socket) -> Result<Socket, ListenError> {
        match self.app {
            Endpoint::Tcp(address) if !self.is_shared() => {
                Wanted::app(self.backlog).group_member(address)
            }
            _ => other.try_clone().map_err(nowhere),
        }
    }

    /// Whether a service manager has opened the application's socket, and keeps it.
    pub(crate) fn is_inherited(&self) -> bool {
        matches!(self.door, Door::Inherited)
    }

    /// Whether workers have sockets to accept from at all.
    pub(crate) fn has_application(&self) -> bool {
        !matches!(self.door, Door::None)
    }

    /// Whether all workers accept from the same socket.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self.door, Door::Group)
    }

    /// From now on nobody new gets in; who is in the accept queue, or on the way there, does. To be
    /// called for each listener.
    pub(crate) fn close_door(&self, listener: &Socket) {
        match &self.door {
            Door::Group => close_door(listener),
            Door::File(file) => file.iter().for_each(SocketFile::remove),
            Door::Inherited | Door::None => {}
        }
    }
}

/// Refuses new handshakes at once while those under way may still end: from now on only the
/// loopback interface reaches the socket. Connections over loopback are whole when they arrive,
/// and wait in the accept queue. Without the right to do so nothing changes.
fn close_door(listener: &Socket) {
    if let Err(error) = listener.bind_device(Some(b"lo")) {
        tracing::debug!(%error, "could not refuse new handshakes before closing a listener");
    }
}

const ANY_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The first listener of the application's group, and whether it has to do without IPv6.
fn group_head(config: &Config) -> Result<(Socket, bool), ListenError> {
    let wanted = Wanted::app(config.backlog);
    let bind = |address| match config.behaviour.opens_late {
        true => wanted.closed_group_head(address),
        false => wanted.group_head(address),
    };
    let host = resolve(&config.host)?;
    match bind(SocketAddr::new(host, config.port)) {
        Err(error) if may_lack_ipv6(config, &error) => {
            Ok((bind(SocketAddr::new(ANY_IPV4, config.port))?, true))
        }
        other => Ok((other?, false)),
    }
}

fn may_lack_ipv6(config: &Config, error: &ListenError) -> bool {
    config.host == HOST_DEFAULT && is_ipv6_missing(error)
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
    fn group_head(&self, address: SocketAddr) -> Result<Socket, ListenError> {
        self.find_free(address)?;
        self.group_member(address)
    }

    /// The same, which takes no connections yet.
    fn closed_group_head(&self, address: SocketAddr) -> Result<Socket, ListenError> {
        self.find_free(address)?;
        self.bind(address, true).map_err(|source| self.explain(address, source))
    }

    /// Without SO_REUSEPORT the kernel says whether anyone listens there.
    fn find_free(&self, address: SocketAddr) -> Result<(), ListenError> {
        if address.port() != 0 {
            drop(self.alone(address)?);
        }
        Ok(())
    }

    fn group_member(&self, address: SocketAddr) -> Result<Socket, ListenError> {
        self.listen(address, true).map_err(|source| self.explain(address, source))
    }

    fn alone(&self, address: SocketAddr) -> Result<Socket, ListenError> {
        self.listen(address, false).map_err(|source| self.explain(address, source))
    }

    fn listen(&self, address: SocketAddr, in_group: bool) -> io::Result<Socket> {
        let socket = self.bind(address, in_group)?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket)
    }

    fn bind(&self, address: SocketAddr, in_group: bool) -> io::Result<Socket> {
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
        Ok(socket)
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

fn nowhere(source: io::Error) -> ListenError {
    ListenError::Other { address: SocketAddr::new(ANY_IPV4, 0), source }
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
    use std::net::{TcpListener, TcpStream};

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    const WANTED: Wanted = Wanted { backlog: 16, flag: "--port" };

    fn address_of(listener: &Socket) -> SocketAddr {
        Endpoint::of(listener).unwrap().tcp().unwrap()
    }

    #[test]
    fn a_group_of_our_own_user_on_the_port_is_noticed() {
        let first = WANTED.group_head(LOOPBACK).unwrap();
        let address = address_of(&first);
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
        let address = address_of(&first);
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
        let client = TcpStream::connect(address_of(&listener)).unwrap();
        close_door(&listener);
        assert!(listener.accept().is_ok());
        drop(client);
    }

    #[test]
    fn both_families_are_reached_by_default() {
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
        let Ok(listener) = WANTED.group_head(any) else { return };
        let port = address_of(&listener).port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn addresses_of_other_hosts_and_unknown_names_are_refused() {
        let foreign: SocketAddr = "192.0.2.1:0".parse().unwrap();
        assert!(matches!(WANTED.alone(foreign), Err(ListenError::NotOurs { .. })));
        assert!(matches!(resolve("no.such.host.invalid"), Err(ListenError::Unresolved { .. })));
    }
}
