//! One core of the server: a loop on a ring of its own, its listener and its connections.
//!
//! A worker reads, parses, frames and writes; it never runs application code that blocks. What
//! it does is told to others through its slot of the scoreboard, what it shall do comes over its
//! orders socket.
//!
//! Invariants:
//! - The loop never waits for the application: a request is handed over and the loop goes on.
//! - Every connection has a deadline in every state but one, while the application answers.
//! - A socket that is lent to the application stays open until the application has answered.
//! - The same code serves on io_uring and on epoll; only `engine` knows which.

mod body;
mod connection;
mod disk;
mod engine;
mod files;
mod ids;
mod life;
mod listener;
mod memory;
mod policy;
mod registry;
mod response;
mod running;
mod sink;
mod source;
mod tally;
mod tls;
mod turn;
mod unsent;
mod worker;

pub use engine::{IoChoice, RingError, prove_ring};
pub use life::{CLOSE_ORDER, DRAIN_ORDER, LEAVE_ORDER, RETIRE_ORDER, STOP_ORDER, WorkerError, run};
pub use policy::stand_back;
pub use tls::certificate::{Tls, TlsError};
pub use unsent::unsent_bytes;
pub use worker::{Logged, Proxies, Reserved, WorkerOptions};
