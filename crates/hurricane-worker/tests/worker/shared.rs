//! Workers that accept from one listening socket: it is shared fairly, and nothing is lost.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use hurricane_http::{Application, Limits, Request, Response, service};
use hurricane_scoreboard::{Scoreboard, WorkerState};
use hurricane_worker::{IoChoice, Proxies, RETIRE_ORDER, STOP_ORDER, WorkerOptions};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::{Client, Harness, on_both};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn peer() -> impl Application {
    service(|request: Request| async move {
        Response::text(format!("{:?} {:?}", request.peer.is_some(), request.local.is_some()))
    })
}

/// A Unix domain socket that several workers accept from.
struct Shared {
    _directory: tempfile::TempDir,
    address: SockAddr,
    listener: Socket,
    workers: Vec<Harness>,
}

impl Shared {
    fn start(count: usize, io: IoChoice) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = SockAddr::unix(directory.path().join("socket")).unwrap();
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(128).unwrap();
        let board = Scoreboard::new(count).unwrap();
        let workers = (0..count)
            .map(|slot| {
                let limits = Limits::default();
                let options = WorkerOptions {
                    limits,
                    io,
                    pin: None,
                    shares_listener: true,
                    reserved: None,
                    logged: None,
                    logs_reserved: false,
                    counts_reserved: false,
                    identifies: false,
                    mounts: Vec::new(),
                    proxies: Proxies::default(),
                    tls: None,
                };
                let own = listener.try_clone().unwrap();
                Harness::in_slot((board.clone(), slot), options, own, peer)
            })
            .collect();
        Self { _directory: directory, address, listener, workers }
    }

    fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.address.as_pathname().unwrap()).unwrap();
        // The client only reads and writes, which is the same for both.
        Client::of(TcpStream::from(OwnedFd::from(stream)))
    }

    fn stop(self) {
        drop(self.listener);
        for mut worker in self.workers {
            worker.order(STOP_ORDER);
            worker.join();
        }
    }
}

fn get(client: &mut Client) -> String {
    client.send(GET);
    String::from_utf8(client.response().1).unwrap()
}

#[test]
fn requests_over_a_unix_socket_have_no_addresses() {
    on_both(|io| {
        let server = Shared::start(1, io);
        let mut client = server.connect();
        assert_eq!(get(&mut client), "false false");
        assert_eq!(get(&mut client), "false false");
        drop(client);
        server.stop();
    });
}

#[test]
fn connections_are_spread_over_workers() {
    on_both(|io| {
        let server = Shared::start(2, io);
        let clients: Vec<_> = (0..32)
            .map(|_| {
                let mut client = server.connect();
                get(&mut client);
                client
            })
            .collect();
        let counts: Vec<_> =
            server.workers.iter().map(|worker| worker.reading().connections).collect();
        assert_eq!(counts.iter().sum::<u32>(), 32);
        assert!(counts.iter().all(|count| *count >= 8), "{counts:?}");
        drop(clients);
        server.stop();
    });
}

#[test]
fn a_burst_is_taken_by_whoever_comes() {
    on_both(|io| {
        let server = Shared::start(2, io);
        let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
        for client in &mut clients {
            get(client);
        }
        drop(clients);
        server.stop();
    });
}

#[test]
fn a_worker_that_retires_leaves_the_socket_to_the_others() {
    on_both(|io| {
        let mut server = Shared::start(2, io);
        let mut first = server.workers.remove(0);
        first.order(RETIRE_ORDER);
        first.until("it stops accepting", |worker| worker.state() == WorkerState::Stopping);
        let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for client in &mut clients {
            get(client);
        }
        assert_eq!(server.workers[0].reading().connections, 20);
        first.join();
        drop(clients);
        server.stop();
    });
}

#[test]
fn the_queue_of_a_shared_socket_is_served_at_the_end() {
    on_both(|io| {
        let mut server = Shared::start(2, io);
        let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        server.workers.iter_mut().for_each(|worker| worker.order(STOP_ORDER));
        for client in &mut clients {
            get(client);
        }
        drop(clients);
        for worker in server.workers {
            worker.join();
        }
    });
}
