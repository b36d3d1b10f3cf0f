//! Counts a response that the worker encodes, once, before its last bytes are written: whoever has
//! them finds it counted.

use hurricane_http::Head;
use hurricane_scoreboard::{Answer, Monotonic, PathId, Paths};

use crate::worker::Worker;

/// How a response is counted.
#[derive(Debug)]
pub(crate) enum Counted {
    /// As the application's answer, with its time and size.
    Answer(Asked),
    /// As a request that was answered: what the application did not see.
    Status,
    /// Not at all. Probes: they would end a pod by themselves that is to serve so many requests.
    No,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    received: Monotonic,
    path: PathId,
    /// Method and path of what was never counted before.
    unknown: Option<(Box<str>, Box<[u8]>)>,
}

impl Asked {
    /// A request that has been received now.
    pub(crate) fn of(head: &Head, paths: &Paths) -> Self {
        let path = paths.find(head.method(), head.path(), false);
        let unknown = (path == PathId::OTHER).then(|| (head.method().into(), head.path().into()));
        Self { received: Monotonic::now(), path, unknown }
    }

    /// Where it is counted. A path is known once it has been answered with anything but 404.
    fn path(&self, paths: &Paths, status: u16) -> PathId {
        match &self.unknown {
            Some((method, path)) if status != 404 => paths.find(method, path, true),
            _ => self.path,
        }
    }
}

/// A response that is being written.
pub(crate) struct Tally<'a, A> {
    counted: Counted,
    status: u16,
    body_bytes: u64,
    worker: &'a Worker<A>,
}

impl<'a, A> Tally<'a, A> {
    pub(crate) fn new(counted: Counted, status: u16, worker: &'a Worker<A>) -> Self {
        Self { counted, status, body_bytes: 0, worker }
    }

    /// So many more bytes of the body are about to be written.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.body_bytes += bytes;
    }

    /// The last bytes are about to be written; later calls do nothing.
    pub(crate) fn count(&mut self) {
        let Self { status, body_bytes, worker, .. } = *self;
        match std::mem::replace(&mut self.counted, Counted::No) {
            Counted::Answer(asked) => worker.slot().count(&Answer {
                status,
                took: Monotonic::now().since(asked.received),
                body_bytes,
                path: asked.path(worker.paths(), status),
            }),
            Counted::Status => worker.slot().answered(status),
            Counted::No => {}
        }
    }
}
