//! Requests for files, which the loop answers itself.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use hurricane_files::{Answer, Asset, Content, Found, Mount, Refused, Search, Settled};
use hurricane_http::{Application, Head, RequestFacts, Response};

use crate::connection::{Connection, Ending};
use crate::disk;
use crate::response::Sent;
use crate::sink::Part;
use crate::source::ReadDone;
use crate::tally::Counted;
use crate::worker::Worker;

impl<A: Application, F: Future<Output = ReadDone>> Connection<A, F> {
    /// Answers a request below `mount`.
    pub(crate) async fn serve_file(
        &mut self,
        head: &Head,
        mount: Arc<Mount>,
        facts: RequestFacts<'_>,
    ) -> Result<Sent, Ending> {
        if !matches!(head.method(), "GET" | "HEAD") {
            let refusal = Response::text("Method Not Allowed\n").with_status(405);
            let mut refusal = refusal.with_header("Allow", "GET, HEAD");
            return self.respond(&mut refusal, facts, Counted::Status).await;
        }
        let worker = Rc::clone(&self.worker);
        let Some(files) = worker.files() else { return Err(Ending::Closed) };
        let settled = match files.find(&mount, head.path(), worker.now().as_nanos()) {
            Found::Asset(asset) => Settled::Asset(asset),
            Found::Refused(refused) => Settled::Refused(refused),
            // Rare, and large: not in every connection.
            Found::Search(search) => Box::pin(settle(&worker, search, head.path())).await,
        };
        match settled {
            Settled::Asset(asset) => self.send_asset(head, &asset, facts).await,
            Settled::IsDirectory => {
                let mut redirect = Response::empty(301).with_header("Location", with_slash(head));
                self.respond(&mut redirect, facts, Counted::Status).await
            }
            Settled::Refused(refused) => {
                if let Refused::Failed(cause) = &refused {
                    let path = String::from_utf8_lossy(head.path()).into_owned();
                    tracing::error!(path, cause, "a file cannot be served");
                }
                self.respond(&mut refusal(&refused), facts, Counted::Status).await
            }
        }
    }

    async fn send_asset(
        &mut self,
        head: &Head,
        asset: &Asset,
        facts: RequestFacts<'_>,
    ) -> Result<Sent, Ending> {
        let keep_alive = facts.keep_alive && self.may_live_on();
        let facts = RequestFacts { keep_alive, ..facts };
        let pending = &mut self.sink.pending;
        let Answer { status, content } =
            self.worker.with_date(|date| asset.answer(head, facts, date, pending));
        self.worker.answered(status);
        match content {
            Content::None => {}
            Content::Memory(bytes) => pending.extend_from_slice(&bytes),
            Content::File { file, offset, len } => {
                let part = Part { file, offset, len };
                self.sink.send_part(part, &self.worker, &self.entry).await?;
            }
        }
        Ok(Sent { status, keep_alive })
    }
}

/// Looks on the loop; what that would have to wait for is left to a thread.
async fn settle<A>(worker: &Worker<A>, search: Search, path: &[u8]) -> Settled {
    let began = worker.now().as_nanos();
    let search = Arc::new(search);
    let outcome = match search.look() {
        Ok(outcome) => outcome,
        Err(_) => {
            let waiting = Arc::clone(&search);
            match disk::wait_for(move || waiting.wait()).await {
                Ok(outcome) => outcome,
                Err(error) => return Settled::Refused(Refused::Failed(error.to_string())),
            }
        }
    };
    let Some(files) = worker.files() else { return Settled::Refused(Refused::Missing) };
    files.settle(&search, outcome, path, began)
}

/// Where an index is, of a directory that was asked for without its slash.
fn with_slash(head: &Head) -> Vec<u8> {
    let query = head.query();
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    [head.path(), b"/", mark, query].concat()
}

fn refusal(refused: &Refused) -> Response {
    let (status, text) = match refused {
        Refused::Malformed => (400, "Bad Request\n"),
        Refused::Forbidden => (403, "Forbidden\n"),
        Refused::Missing => (404, "Not Found\n"),
        Refused::Failed(_) => (500, "Internal Server Error\n"),
    };
    Response::text(text).with_status(status)
}
