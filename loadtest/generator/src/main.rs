//! A closed-loop load generator: keep-alive connections, each with one request under way.
//!
//! One thread and one epoll set, so that it costs the machine less per request than any server
//! that it measures. It counts what was answered to the last byte, waits for the requests that are
//! under way when the time is over, and prints one JSON object. It loads nothing but loopback.

mod connection;
mod latency;
mod load;
mod response;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;

use crate::load::Plan;

/// Requests one path over keep-alive connections for a while and prints what came back as JSON.
#[derive(Debug, Parser)]
#[command(name = "hurricane-loadtest")]
struct Args {
    /// Server on loopback, such as 127.0.0.1:8000
    #[arg(long)]
    address: SocketAddr,

    /// Target of the requests
    #[arg(long, default_value = "/")]
    path: String,

    /// Connections, each with one request under way
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,

    /// How long requests are sent
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Stops earlier, after this many responses
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(args.address.ip().is_loopback(), "--address {}: must be on loopback", args.address);
    ensure!(
        args.seconds > 0.0 && args.seconds <= 600.0,
        "--seconds {}: must be above 0 and at most 600",
        args.seconds
    );
    ensure!(
        args.path.starts_with('/') && args.path.bytes().all(|byte| byte.is_ascii_graphic()),
        "--path {}: must start with / and hold visible ASCII characters only",
        args.path
    );
    let plan = Plan {
        address: args.address,
        request: request(&args.path, args.address),
        connections: args.connections.into(),
        duration: Duration::from_secs_f64(args.seconds),
        responses_max: args.requests,
    };
    let outcome = load::run(&plan)?;
    writeln!(std::io::stdout(), "{}", outcome.json())?;
    Ok(())
}

/// What a browser behind a proxy would send at least: a few fields that a server has to parse.
fn request(path: &str, address: SocketAddr) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: hurricane-loadtest\r\n\
         Accept: */*\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\r\n"
    )
    .into_bytes()
}
