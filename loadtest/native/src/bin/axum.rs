//! axum on a single-threaded tokio, one route.

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use hurricane_loadtest_native::{BODY, address};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(address()).await?.tap_io(|stream| {
        // Without it the only loss is latency.
        let _set = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/", get(greet))).await
}

/// axum answers a string as `text/plain; charset=utf-8`.
async fn greet() -> &'static str {
    std::str::from_utf8(BODY).unwrap_or_default()
}
