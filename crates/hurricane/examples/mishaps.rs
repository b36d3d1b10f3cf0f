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
        flush: Box::new(|| ()),
        // SAFETY: ends the process without running the supervisor's destructors.
        exit: Box::new(|code| unsafe { libc::_exit(code) }),
    };
    let make = |context: WorkerContext| {
        let is_first = context.board.slot(context.slot).is_some_and(|it| it.read().generation == 1);
        let is_successor = context.slot >= context.board.workers();
        let spoilt = std::env::var_os("PANIC_AS_SUCCESSOR").is_some();
        assert!(!(spoilt && is_first && is_successor), "told to panic as a successor");
        assert!(std::env::var_os("PANIC_AT_START").is_none(), "told to panic");
        let role = ChildRole::Worker { worker: context.index, slot: context.slot };
        service(move |request| answer(role, request))
    };
    if std::env::var_os("AS_THREADS").is_some() {
        Server::new(config).run(make)
    } else {
        Server::new(config).run_forked(forking, None, Vec::new, make)
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
        b"/leak" => {
            // Touched, so that it is there.
            let block: Vec<u8> = std::iter::repeat_n(1, 8 << 20).collect();
            std::mem::forget(block);
            Response::text("leaked\n")
        }
        b"/crash" => std::process::abort(),
        _ => Response::text("hello\n"),
    }
}
