//! A service on a Unix domain socket, its workers as processes and as threads.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hurricane_testkit::{Launch, until};
use nix::sys::signal::Signal;

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hurricane-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The answer to one request, with a connection of its own.
fn get(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn nothing_is_lost_while_workers_are_replaced() {
    for (io, threads) in [("epoll", false), ("auto", false), ("auto", true)] {
        let scratch = Scratch::new("unix");
        let path = scratch.0.join("socket");
        let mut launch = Launch::example("mishaps").args(["--workers", "2", "--io", io]);
        launch = launch.args(["--max-worker-requests", "100", "--uds", path.to_str().unwrap()]);
        if threads {
            launch = launch.env("AS_THREADS", "1");
        }
        let mut server = launch.start();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        assert!(get(&path).starts_with("HTTP/1.1 200 "));
                    }
                });
            }
            until("four replacements", || {
                (server.events("worker is replaced by a fresh one").len() >= 4).then_some(())
            });
            done.store(true, Ordering::Relaxed);
        });
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_end().unwrap(), 0);
        assert!(!path.exists());
    }
}
