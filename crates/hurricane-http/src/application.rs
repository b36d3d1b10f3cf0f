//! The seam between the server and what it serves.

use std::future::Future;

use crate::{Reply, Request};

/// What a worker serves. The only trait of the workspace.
///
/// A worker calls it on its loop, once per request, and polls the future on that loop: it must
/// not block. An application that runs elsewhere (Python's threads) hands the request over and
/// resolves later.
///
/// Waking contract, for applications that write through [`crate::Outlet`] themselves: when such
/// an application has written its whole response and the connection stays open, it need not wake
/// the task that polls its future. The connection polls the future again whenever the peer sends
/// bytes or leaves; only a future that was polled more than once must wake its task.
///
/// It then marks the response as finished with [`crate::Outlet::settle`], and counts the response
/// in the scoreboard itself.
pub trait Application: 'static {
    /// Whether the application writes responses on the [`crate::Outlet`] itself, from threads of
    /// its own. Only then is an outlet lent with each request.
    const USES_OUTLET: bool = false;

    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Reply>;
}

/// An [`Application`] made of an async function; see [`service`].
#[derive(Clone, Debug)]
pub struct Service<F>(F);

/// Makes an [`Application`] of an async function that answers a request with something that
/// becomes a [`Reply`], such as a [`crate::Response`].
pub fn service<F, Fut, R>(function: F) -> Service<F>
where
    F: Fn(Request) -> Fut + 'static,
    Fut: Future<Output = R>,
    R: Into<Reply>,
{
    Service(function)
}

impl<F, Fut, R> Application for Service<F>
where
    F: Fn(Request) -> Fut + 'static,
    Fut: Future<Output = R>,
    R: Into<Reply>,
{
    async fn call(&self, request: Request) -> Reply {
        (self.0)(request).await.into()
    }
}
