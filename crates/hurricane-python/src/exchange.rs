//! Where loop and application thread meet for one request: the reply, and who must be woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hurricane_http::Written;

/// The thread's end.
#[derive(Debug)]
pub(crate) struct Exchange(Arc<Mutex<Meeting>>);

#[derive(Debug, Default)]
struct Meeting {
    reply: Option<Written>,
    waker: Option<Waker>,
    /// The loop has come back before the reply was there, and waits for it.
    asked: bool,
}

/// The loop's end: resolves with the reply.
///
/// The first poll is the dispatch; only a later one asks to be woken (see
/// [`hurricane_http::Application`]).
#[derive(Debug)]
pub(crate) struct Answer {
    meeting: Arc<Mutex<Meeting>>,
    dispatched: bool,
}

/// A pair for one request, made when the loop polls for the first time.
pub(crate) fn exchange(cx: &Context<'_>) -> (Exchange, Answer) {
    let meeting = Meeting { waker: Some(cx.waker().clone()), ..Meeting::default() };
    let meeting = Arc::new(Mutex::new(meeting));
    let answer = Answer { meeting: Arc::clone(&meeting), dispatched: false };
    (Exchange(meeting), answer)
}

fn lock(meeting: &Mutex<Meeting>) -> MutexGuard<'_, Meeting> {
    meeting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    /// Hands the reply over. `wake`: the loop has something to do now; else it is woken only if
    /// it has asked for it.
    pub(crate) fn complete(self, reply: Written, wake: bool) {
        let mut meeting = lock(&self.0);
        meeting.reply = Some(reply);
        let waker = if wake || meeting.asked { meeting.waker.take() } else { None };
        drop(meeting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Answer {
    type Output = Written;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Written> {
        let mut meeting = lock(&self.meeting);
        if let Some(reply) = meeting.reply.take() {
            return Poll::Ready(reply);
        }
        if self.dispatched {
            meeting.asked = true;
        }
        drop(meeting);
        self.dispatched = true;
        Poll::Pending
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // A task's last waker must not be dropped on another thread.
        lock(&self.meeting).waker = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use hurricane_http::Rest;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn written() -> Written {
        Written { status: 200, keep_alive: true, rest: Rest::default() }
    }

    #[test]
    fn a_settled_reply_wakes_nobody_unless_asked() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let (thread, mut answer) = exchange(&cx);
        assert!(Pin::new(&mut answer).poll(&mut cx).is_pending());
        thread.complete(written(), false);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(Pin::new(&mut answer).poll(&mut cx).is_ready());
    }

    #[test]
    fn a_second_poll_asks_to_be_woken() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let (thread, mut answer) = exchange(&cx);
        assert!(Pin::new(&mut answer).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut answer).poll(&mut cx).is_pending());
        thread.complete(written(), false);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn work_for_the_loop_always_wakes_it() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let (thread, mut answer) = exchange(&cx);
        assert!(Pin::new(&mut answer).poll(&mut cx).is_pending());
        thread.complete(written(), true);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
