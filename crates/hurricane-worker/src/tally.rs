//! Counts a response that the worker encodes, once, before its last bytes are written: whoever has
//! them finds it counted.

use hurricane_http::Application;
use hurricane_scoreboard::{Answer, Monotonic, PathId};

use crate::worker::Worker;

/// How a response is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// As the application's answer, with its size, and the time since the request was whole.
    Answer(Monotonic),
    /// As a request that was answered: what the application did not see.
    Status,
    /// Not at all. Probes: they would end a pod by themselves that is to serve so many requests.
    No,
}

/// A response that is being written.
pub(crate) struct Tally {
    counted: Counted,
    pub(crate) status: u16,
    body_bytes: u64,
}

impl Tally {
    pub(crate) fn new(counted: Counted, status: u16) -> Self {
        Self { counted, status, body_bytes: 0 }
    }

    /// So many more bytes of the body are about to be written.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.body_bytes += bytes;
    }

    /// The last bytes are about to be written; later calls do nothing.
    pub(crate) fn count<A: Application>(&mut self, worker: &Worker<A>) {
        let Self { status, body_bytes, .. } = *self;
        match std::mem::replace(&mut self.counted, Counted::No) {
            Counted::Answer(received) => worker.count(&Answer {
                status,
                took_ns: Monotonic::now().nanos_since(received),
                body_bytes,
                // A service knows its routes and no names for them; paths have no end.
                path: PathId::OTHER,
            }),
            Counted::Status => worker.answered(status),
            Counted::No => {}
        }
    }
}
