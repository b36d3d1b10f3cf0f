//! Threads that wait for a disk in the loop's place.
//!
//! The loop looks first at what the kernel has in memory, so on most workers they never start. They
//! are the same on either engine: the kernel's own workers would do no better for a ring, and what
//! is read goes out by `sendfile`, from memory that is warm then.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use monoio::blocking::{BlockingTask, ThreadPool, spawn_blocking};

/// Few: they wait for the same disk.
const THREADS: usize = 4;
/// They open files and read them.
const STACK_BYTES: usize = 256 * 1024;

/// Starts its threads when there is first something to wait for.
#[derive(Default)]
pub(crate) struct Disk(OnceLock<Sender<BlockingTask>>);

impl ThreadPool for Disk {
    fn schedule_task(&self, task: BlockingTask) {
        if let Err(back) = self.0.get_or_init(start).send(task) {
            // No thread could be started: then the loop waits itself.
            back.0.run();
        }
    }
}

fn start() -> Sender<BlockingTask> {
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for index in 0..THREADS {
        let receiver = Arc::clone(&receiver);
        let builder = std::thread::Builder::new();
        let named = builder.name(format!("disk-{index}")).stack_size(STACK_BYTES);
        if let Err(error) = named.spawn(move || work(&receiver)) {
            tracing::warn!(%error, "a thread that waits for the disk cannot be started");
        }
    }
    sender
}

/// Until the loop has ended.
fn work(receiver: &Mutex<Receiver<BlockingTask>>) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(task) => task.run(),
            Err(_) => return,
        }
    }
}

/// Runs on one of the threads; the loop goes on meanwhile.
pub(crate) async fn wait_for<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(|_| io::Error::other("a thread that waits has ended"))
}
