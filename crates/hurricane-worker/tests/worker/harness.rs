//! A worker to test, and a client that sends bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hurricane_http::{Application, Body, Limits, Request, Response, service};
use hurricane_scoreboard::{Scoreboard, SlotReading, WorkerState};
use hurricane_worker::{
    IoChoice, Proxies, STOP_ORDER, WorkerError, WorkerOptions, prove_ring, run,
};
use socket2::Socket;

/// A worker on a thread of its own.
pub(crate) struct Harness {
    /// None of a Unix domain socket.
    address: Option<SocketAddr>,
    pub(crate) board: Scoreboard,
    slot: usize,
    pub(crate) orders: UnixStream,
    pub(crate) thread: Option<JoinHandle<Result<(), WorkerError>>>,
}

impl Harness {
    pub(crate) fn start<A: Application>(io: IoChoice, limits: Limits, make: fn() -> A) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), io, limits, make)
    }

    /// On a socket that others may hold too.
    pub(crate) fn on<A: Application>(
        listener: TcpListener,
        io: IoChoice,
        limits: Limits,
        make: fn() -> A,
    ) -> Self {
        let board = Scoreboard::new(1).unwrap();
        let options = WorkerOptions {
            limits,
            io,
            pin: None,
            shares_listener: false,
            reserved: None,
            logged: None,
            logs_reserved: false,
            counts_reserved: false,
            identifies: false,
            mounts: Vec::new(),
            proxies: Proxies::default(),
            tls: None,
        };
        Self::in_slot((board, 0), options, listener.into(), make)
    }

    pub(crate) fn in_slot<A: Application>(
        (board, slot): (Scoreboard, usize),
        options: WorkerOptions,
        listener: Socket,
        make: fn() -> A,
    ) -> Self {
        let address = listener.local_addr().unwrap().as_socket();
        let (orders, theirs) = UnixStream::pair().unwrap();
        let shared = board.clone();
        let thread =
            std::thread::spawn(move || run(options, listener, &shared, slot, theirs, make));
        let harness = Self { address, board, slot, orders, thread: Some(thread) };
        harness.until("the worker serves", |harness| harness.state() == WorkerState::Serving);
        harness
    }

    pub(crate) fn reading(&self) -> SlotReading {
        self.board.slot(self.slot).unwrap().read()
    }

    pub(crate) fn state(&self) -> WorkerState {
        self.reading().state
    }

    pub(crate) fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !condition(self) {
            assert!(Instant::now() < end, "never happened: {what}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::of(TcpStream::connect(self.address()).unwrap())
    }

    pub(crate) fn order(&mut self, order: u8) {
        self.orders.write_all(&[order]).unwrap();
    }

    pub(crate) fn join(mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }

    pub(crate) fn stop(mut self) {
        self.order(STOP_ORDER);
        self.join();
    }
}

/// A raw client.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Ends our side; the other goes on.
    pub(crate) fn finish(&mut self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// The socket itself.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "closed within a head: {head:?}");
            head.push_str(&line);
            if line == "\r\n" {
                return head;
            }
        }
    }

    pub(crate) fn response(&mut self) -> (String, Vec<u8>) {
        let head = self.head();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
            })
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }

    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

pub(crate) fn echo() -> impl Application {
    service(|request: Request| async move {
        match request.head.path() {
            b"/panic" => panic!("the application is broken"),
            b"/never" => std::future::pending::<()>().await,
            _ => {}
        }
        let body = match request.body {
            Body::Empty => b"empty".to_vec(),
            Body::Memory(bytes) => bytes,
            Body::File { mut file, .. } => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                [b"file:".to_vec(), bytes].concat()
            }
        };
        Response::text(body)
    })
}

/// Runs a test on each engine that this host gives us; epoll always.
pub(crate) fn on_both(test: impl Fn(IoChoice)) {
    match prove_ring() {
        Ok(()) => test(IoChoice::IoUring),
        Err(error) => tracing::warn!(%error, "only on epoll"),
    }
    test(IoChoice::Epoll);
}
