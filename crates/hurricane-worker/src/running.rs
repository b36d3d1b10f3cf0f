//! An application at work on the loop: it is counted, and its panics are caught.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use hurricane_http::{Application, Reply, Response};

use crate::worker::Worker;

/// Counts a request as running on the loop while it lives. Its moments are as old as the last
/// heartbeat: what is to be seen from them takes seconds.
pub(crate) struct Running<'a, A: Application>(&'a Worker<A>);

impl<'a, A: Application> Running<'a, A> {
    pub(crate) fn begin(worker: &'a Worker<A>) -> Self {
        worker.request_began();
        Self(worker)
    }
}

impl<A: Application> Drop for Running<'_, A> {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// Polls the application; a panic of its becomes an answer.
pub(crate) fn poll_guarded(
    call: Pin<&mut impl Future<Output = Reply>>,
    cx: &mut Context<'_>,
) -> Poll<Reply> {
    catch_unwind(AssertUnwindSafe(|| call.poll(cx))).unwrap_or_else(|_| {
        tracing::error!("the application panicked; the request is answered 500");
        let response = Response::text("Internal Server Error\n").with_status(500);
        Poll::Ready(response.with_header("Connection", "close").into())
    })
}
