//! What the files of other crates are made of here: loom's, and a clock that goes by steps.

use std::cell::Cell;
use std::time::Duration;

pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Notify};
pub(crate) use loom::sync::{Mutex, MutexGuard};

loom::thread_local! {
    static ITSELF: Thread = Thread(Arc::new(Notify::new()));
}

/// A thread as another wakes it. Loom's own would let a thread that is woken pass a lock that it
/// waits for.
#[derive(Clone, Debug)]
pub(crate) struct Thread(Arc<Notify>);

impl Thread {
    pub(crate) fn unpark(&self) {
        self.0.notify();
    }
}

pub(crate) fn current() -> Thread {
    ITSELF.with(Clone::clone)
}

/// Sleeps until it is woken, or for no reason.
pub(crate) fn park() {
    current().0.wait();
}

/// A time limit that may pass at any moment.
pub(crate) fn park_timeout(_: Duration) {
    loom::thread::yield_now();
}

thread_local! {
    // All threads of a model are coroutines of one thread.
    static CLOCK: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

/// Sets the clock to zero; each look at it finds it later by `step`.
pub(crate) fn start_clock(step: Duration) {
    CLOCK.set((Duration::ZERO, step));
}

/// A moment of the model's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Monotonic(Duration);

impl Monotonic {
    pub(crate) fn now() -> Self {
        let (now, step) = CLOCK.get();
        CLOCK.set((now + step, step));
        Self(now)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
