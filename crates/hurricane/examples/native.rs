//! A service in Rust: a handler and a check; everything else comes from Hurricane.

use std::path::Path;
use std::sync::Arc;

use hurricane::{Check, CheckOutcome, Config, Exit, Purpose, Request, Response, Server, service};

fn main() -> Exit {
    let config = match Config::from_command_line() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let maintenance = Check {
        name: "maintenance".into(),
        purpose: Purpose::Readiness,
        interval: config.check_interval,
        timeout: config.check_timeout,
        run: Arc::new(|| match std::env::var_os("MAINTENANCE_FILE") {
            Some(file) if Path::new(&file).exists() => CheckOutcome::Failed("closed".into()),
            _ => CheckOutcome::Passed,
        }),
    };
    Server::new(config).check(maintenance).run(|_context| service(greet))
}

async fn greet(request: Request) -> Response {
    match request.head.path() {
        b"/" => Response::text("hello\n"),
        _ => Response::text("there is nothing here\n").with_status(404),
    }
}
