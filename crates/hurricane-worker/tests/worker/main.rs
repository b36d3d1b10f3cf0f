//! A worker with a native application, over real sockets, on both engines.

mod harness;
mod leave;
mod serve;
