//! A load generator: closed or open loop, on a ring or on epoll, one JSON object as the outcome.
//!
//! One thread, so that it costs the machine less per request than any server that it measures. It
//! reads every response to its last byte, waits for the requests that are under way when the time
//! is over, and loads nothing but loopback. Which engine `auto` is, and what both cost, is measured
//! in loadtest/README.md.

mod epoll;
mod exchange;
mod ledger;
mod plan;
mod response;
mod slow;
mod socket;
mod uring;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::json;

use crate::ledger::Ledger;
use crate::plan::Plan;

/// Loads a server on loopback for a while and prints what came back as JSON.
#[derive(Debug, Parser)]
#[command(name = "hurricane-loadtest")]
struct Args {
    /// Server on loopback, such as 127.0.0.1:8000
    #[arg(long)]
    address: SocketAddr,

    /// Target of the requests
    #[arg(long, default_value = "/")]
    path: String,

    /// Connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,

    /// Requests a second, whether or not they are answered (open loop); without it each connection
    /// asks again when it was answered (closed loop)
    #[arg(long)]
    rate: Option<f64>,

    /// Requests that are sent on a connection at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pipeline: u16,

    /// A connection for each request
    #[arg(long, conflicts_with = "pipeline")]
    churn: bool,

    /// Posts a body of so many bytes
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64 << 20))]
    body: u32,

    /// Clients beside the load that say their requests slowly
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    slow: u16,

    /// How many seconds a slow client takes for a request
    #[arg(long, default_value_t = 1.0)]
    slow_seconds: f64,

    /// Bytes a second that each connection reads of its answers; without it as fast as it can
    #[arg(long, value_parser = clap::value_parser!(u64).range(1024..=1 << 30))]
    read_rate: Option<u64>,

    /// How long requests are sent
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Stops earlier, after this many requests
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,

    /// How to talk to the kernel; auto is the cheaper one, epoll
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    engine: Engine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Auto,
    /// tokio-uring; epoll where no ring can be had
    TokioUring,
    Epoll,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let engine = args.engine;
    // It lives as long as the program; a ring keeps what it writes from.
    let plan: &'static Plan = Box::leak(Box::new(plan(&args)?));
    let slow = slow::Slow::start(plan);
    let mut ledger = Ledger::open(plan, Instant::now())?;
    let engine = match (engine, uring::runtime) {
        (Engine::TokioUring, runtime) => match runtime() {
            Ok(runtime) => {
                uring::run(&runtime, plan, &mut ledger)?;
                "tokio-uring".to_owned()
            }
            Err(refusal) => {
                epoll::run(plan, &mut ledger)?;
                format!("epoll, because there is no ring: {refusal}")
            }
        },
        _ => {
            epoll::run(plan, &mut ledger)?;
            "epoll".to_owned()
        }
    };
    let mut outcome = ledger.json(Instant::now())?;
    let used = getrusage(UsageWho::RUSAGE_SELF).context("cannot ask for our own usage")?;
    let used = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    outcome["engine"] = json!(engine);
    outcome["client_cpu_us"] = json!(used);
    outcome["slow"] = slow.map_or(json!(null), slow::Slow::finish);
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(())
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    ensure!(args.address.ip().is_loopback(), "--address {}: must be on loopback", args.address);
    ensure!(
        args.seconds > 0.0 && args.seconds <= 600.0,
        "--seconds {}: must be above 0 and at most 600",
        args.seconds
    );
    ensure!(
        args.slow_seconds > 0.0 && args.slow_seconds <= 60.0,
        "--slow-seconds {}: must be above 0 and at most 60",
        args.slow_seconds
    );
    ensure!(
        args.path.starts_with('/') && args.path.bytes().all(|byte| byte.is_ascii_graphic()),
        "--path {}: must start with / and hold visible ASCII characters only",
        args.path
    );
    ensure!(
        args.read_rate.is_none() || args.engine != Engine::TokioUring,
        "--read-rate: only epoll reads slowly; leave --engine out"
    );
    if let Some(rate) = args.rate {
        ensure!(
            (1.0..=1e6).contains(&rate),
            "--rate {rate}: must be between 1 and a million requests a second"
        );
    }
    let request = plan::request(&args.path, args.address, args.churn, usize::try_from(args.body)?);
    Ok(Plan {
        address: args.address,
        batch: request.repeat(args.pipeline.into()),
        request,
        connections: args.connections.into(),
        pipeline: args.pipeline.into(),
        churn: args.churn,
        interval: args.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        duration: Duration::from_secs_f64(args.seconds),
        requests_max: args.requests,
        read_rate: args.read_rate,
        slow: plan::Slow {
            clients: args.slow.into(),
            duration: Duration::from_secs_f64(args.slow_seconds),
        },
    })
}
