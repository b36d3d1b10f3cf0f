//! hyper 1 on a single-threaded tokio, one service function.

use std::convert::Infallible;

use http_body_util::Full;
use hurricane_loadtest_native::{BODY, MEDIA_TYPE, address};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(address()).await?;
    LocalSet::new().run_until(serve(listener)).await
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // Its documentation advises this for pipelined requests.
            let mut http = http1::Builder::new();
            http.pipeline_flush(true);
            // A connection that breaks off is the client's business.
            let _ended = http.serve_connection(TokioIo::new(stream), service_fn(greet)).await;
        });
    }
}

async fn greet(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Ok(response)
}
