//! A worker with a native application, over real sockets, on both engines.

mod age;
mod harness;
mod leave;
mod serve;
mod shared;
mod states;
