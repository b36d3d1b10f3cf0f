//! How children are started: as threads of this process, or forked from it.

use std::convert::Infallible;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hurricane_http::Limits;
use hurricane_scoreboard::Scoreboard;
use socket2::Socket;

use crate::access::AccessLog;
use crate::child::{Body, Failure, run_and_report};
use crate::config::Config;
use crate::page::Scrape;
use crate::process;

/// What a forked process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildRole {
    /// A worker.
    Worker {
        /// Which one, from 0.
        worker: usize,
        /// Its slot of the scoreboard.
        slot: usize,
    },
    /// Probes and checks.
    Control,
    /// What is done before the first worker starts.
    Preparation,
    /// Static files, while code is developed.
    Collection,
}

impl ChildRole {
    /// Name of its process in `ps` and `top`, which show 15 bytes.
    fn process_name(self) -> String {
        match self {
            Self::Worker { worker, .. } => format!("hurricane-w{worker}"),
            Self::Control => "hurricane-ctl".to_owned(),
            Self::Preparation => "hurricane-prep".to_owned(),
            Self::Collection => "hurricane-coll".to_owned(),
        }
    }

    /// Name of its thread.
    fn name(self) -> String {
        match self {
            Self::Worker { worker, .. } => format!("worker-{worker}"),
            Self::Control => "control".to_owned(),
            Self::Preparation => "preparation".to_owned(),
            Self::Collection => "collection".to_owned(),
        }
    }
}

/// How to fork a process whose language runtime wants to know of it.
pub struct Forking {
    /// Forks: 0 in the child, its id in the parent.
    pub fork: Box<dyn Fn() -> io::Result<i32>>,
    /// Called first in the child, once descriptors of other children are closed.
    pub in_child: Box<dyn Fn(ChildRole)>,
    /// Writes out what the runtime holds back, before the process is given another program.
    pub flush: Box<dyn Fn()>,
    /// Ends the child: flushes what the runtime holds back, then `_exit`s. Never returns.
    pub exit: Box<dyn Fn(i32) -> Infallible>,
}

/// What an application is made from, on the worker that will call it.
#[derive(Clone)]
pub struct WorkerContext {
    /// Which worker this is, from 0.
    pub index: usize,
    /// The scoreboard.
    pub board: Scoreboard,
    /// The worker's slot of it.
    pub slot: usize,
    /// Of a worker process: the file that the stacks of its threads go to on [`crate::stack_signal`]
    /// (and when it crashes). A handler that writes them ends by calling the one that was
    /// there before it. Open as long as the process lives.
    pub stacks: Option<RawFd>,
    /// Limits of connections and requests.
    pub limits: Limits,
    /// Application threads that the worker may have.
    pub threads: usize,
    /// Where lines about answers go: those of an application that writes itself are its own to
    /// write.
    pub access: AccessLog,
    /// To be asked before the application where it is there, on a thread that may wait: probes
    /// share the application's port, and the service has metrics of its own.
    pub scrape: Option<Scrape>,
    /// Everything else.
    pub config: Arc<Config>,
}

/// What a service does before its first worker starts.
pub struct Preparation {
    /// Runs in a process of its own, while probes are answered already. It says what it waits for
    /// in the scoreboard's `awaited`, and why the server must not start in one sentence.
    pub run: Box<Prepare>,
    /// Runs after it in the process that workers are forked from: loads what they share.
    pub load: Load,
}

/// The first half of a [`Preparation`].
pub type Prepare = dyn Fn(&Scoreboard) -> Result<(), String>;

/// The second half of a [`Preparation`].
pub type Load = Box<dyn FnOnce() -> Result<(), String>>;

/// What one child is given.
pub(crate) struct Station {
    /// A worker's own listener; the control process's, if the probes have a port.
    pub(crate) listener: Option<Socket>,
    pub(crate) orders: UnixStream,
    /// The CPU that it is pinned to.
    pub(crate) pin: Option<usize>,
    /// Where a worker process writes its stacks when it is asked.
    pub(crate) stacks: Option<OwnedFd>,
}

/// A child's work, from its start to its end.
pub(crate) type Work = dyn Fn(ChildRole, Station) -> Result<(), Failure>;

/// Starts children.
pub(crate) enum Launcher {
    /// As threads, of the same work each time.
    Threads(Arc<dyn Fn(ChildRole, Station) -> Result<(), Failure> + Send + Sync>),
    /// As processes.
    Processes(Forking, Box<Work>),
    /// Not at all: no application is loaded. Those that are there are processes.
    Nothing,
}

/// What a start has led to.
pub(crate) enum Launched {
    /// This is the supervisor, and the child runs.
    Started(Body),
    /// This is the child: it has to let go of what is the supervisor's and call [`Launcher::live`].
    InChild(Station),
}

impl Launcher {
    pub(crate) fn forks(&self) -> bool {
        !matches!(self, Self::Threads(_))
    }

    /// Whether there is anything to start.
    pub(crate) fn has_application(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Readies this process to be given another program.
    pub(crate) fn flush(&self) {
        if let Self::Processes(forking, _) = self {
            (forking.flush)();
        }
    }

    /// Starts a child. In a forked child this returns too.
    pub(crate) fn start(&self, role: ChildRole, station: Station) -> io::Result<Launched> {
        match self {
            Self::Threads(work) => {
                let work = Arc::clone(work);
                let builder = std::thread::Builder::new().name(role.name());
                let (life, theirs) = UnixStream::pair()?;
                let thread = builder.spawn(move || {
                    let _hangs_up_last = theirs;
                    let Station { listener, orders, pin, stacks } = station;
                    let ended = run_and_report(orders, |orders| {
                        work(role, Station { listener, orders, pin, stacks })
                    });
                    if let Err(error) = ended {
                        tracing::error!(%error, "could not start a thread of the server");
                    }
                })?;
                Ok(Launched::Started(Body::Thread { thread, life }))
            }
            Self::Processes(forking, _) => match (forking.fork)()? {
                0 => Ok(Launched::InChild(station)),
                pid => Ok(Launched::Started(Body::Process(pid))),
            },
            Self::Nothing => Err(io::Error::other("no application is loaded")),
        }
    }

    /// The whole life of a forked child, after it has let go of what is not its own.
    pub(crate) fn live(&self, role: ChildRole, station: Station) -> ! {
        let Self::Processes(forking, work) = self else {
            unreachable!("only processes are forked");
        };
        process::set_name(&role.process_name());
        let Station { listener, orders, pin, stacks } = station;
        let ended = run_and_report(orders, |orders| {
            (forking.in_child)(role);
            work(role, Station { listener, orders, pin, stacks })
        });
        match (forking.exit)(ended.unwrap_or(1)) {}
    }
}
