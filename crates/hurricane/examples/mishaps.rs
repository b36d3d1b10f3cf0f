//! A service with routes and variables that go wrong on purpose; the tests drive it. Its workers
//! are processes, as a language runtime would have them, or threads with `AS_THREADS`.
#![expect(unsafe_code, reason = "this service forks itself")]

use std::time::Duration;

use hurricane::{
    ChildRole, Config, Exit, Forking, Request, Response, Server, WorkerContext, service,
};

fn main() -> Exit {
    let config = match Config::from_command_line() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let forking = Forking {
        fork: Box::new(|| {
            // SAFETY: this process has one thread, and its child goes on as a worker.
            match unsafe { libc::fork() } {
                -1 => Err(std::io::Error::last_os_error()),
                pid => Ok(pid),
            }
        }),
        in_child: Box::new(|role| tracing::debug!(?role, "forked")),
        // SAFETY: ends the process without running the supervisor's destructors.
        exit: Box::new(|code| unsafe { libc::_exit(code) }),
    };
    let make = |context: WorkerContext| {
        assert!(std::env::var_os("PANIC_AT_START").is_none(), "told to panic");
        let role = ChildRole::Worker(context.index);
        service(move |request| answer(role, request))
    };
    if std::env::var_os("AS_THREADS").is_some() {
        Server::new(config).run(make)
    } else {
        Server::new(config).run_forked(forking, Vec::new, make)
    }
}

async fn answer(role: ChildRole, request: Request) -> Response {
    match request.head.path() {
        b"/pid" => Response::text(std::process::id().to_string()),
        b"/role" => Response::text(format!("{role:?}")),
        b"/wait" => {
            monoio::time::sleep(Duration::from_millis(500)).await;
            Response::text("waited")
        }
        b"/hang" => std::future::pending().await,
        b"/stall" => loop {
            std::thread::park();
        },
        b"/crash" => std::process::abort(),
        _ => Response::text("hello\n"),
    }
}
