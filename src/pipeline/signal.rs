//! How all who wait for a flight learn of its end, at once.
//!
//! The result is there before the first of them is woken, so nobody looks in vain; and nobody is woken under a
//! lock that the woken need. It is looked at where it is: ten thousand who count themselves in and out of it would
//! stand in each other's way.

use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
};

/// The result of one flight, for any number of waiters.
pub(super) struct Signal<T> {
    result: OnceLock<T>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    /// The places in `wakers` that are free again.
    free: Vec<usize>,
}

/// Waits for the result. Dropping it gives up one place and disturbs nobody.
pub(super) struct Wait<T> {
    /// `None` once it is handed on.
    signal: Option<Arc<Signal<T>>>,
    place: Option<usize>,
}

/// A result that is there.
pub(super) struct Sent<T>(Arc<Signal<T>>);

/// The duty to send: whoever drops it has sent at least this.
pub(super) struct Sender<T> {
    signal: Arc<Signal<T>>,
    otherwise: Option<T>,
}

// ===== impl Signal =====

impl<T> Signal<T> {
    /// A signal, and the duty to send it; if nothing else is sent, `otherwise` is.
    pub(super) fn new(otherwise: T) -> (Arc<Self>, Sender<T>) {
        let signal = Arc::new(Self { result: OnceLock::new(), waiting: Mutex::default() });
        (Arc::clone(&signal), Sender { signal, otherwise: Some(otherwise) })
    }

    pub(super) fn is_sent(&self) -> bool {
        self.result.get().is_some()
    }

    pub(super) fn wait(self: &Arc<Self>) -> Wait<T> {
        Wait { signal: Some(Arc::clone(self)), place: None }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ===== impl Sender =====

impl<T> Sender<T> {
    pub(super) fn send(mut self, result: T) {
        self.otherwise = Some(result);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(result) = self.otherwise.take() {
            // There is one sender, so nothing was sent before.
            let _first = self.signal.result.set(result);
        }
        let wakers = std::mem::take(&mut self.signal.waiting().wakers);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

// ===== impl Wait =====

impl<T> Future for Wait<T> {
    type Output = Sent<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent<T>> {
        let this = &mut *self;
        let signal = this.signal.take().expect("polled after completion");
        if signal.is_sent() {
            return Poll::Ready(Sent(signal));
        }
        let signal = this.signal.insert(signal);
        let mut waiting = signal.waiting();
        // The wakers are taken after the result is set: who registers too late sees it here.
        if signal.is_sent() {
            drop(waiting);
            return Poll::Ready(Sent(this.signal.take().expect("it was put there")));
        }
        let waker = cx.waker().clone();
        this.place = Some(match this.place {
            Some(place) => {
                waiting.wakers[place] = Some(waker);
                place
            }
            None => waiting.add(waker),
        });
        Poll::Pending
    }
}

impl<T> Drop for Wait<T> {
    fn drop(&mut self) {
        let open = self.signal.as_ref().filter(|signal| !signal.is_sent());
        if let (Some(signal), Some(place)) = (open, self.place) {
            signal.waiting().remove(place);
        }
    }
}

// ===== impl Sent =====

impl<T> Deref for Sent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.result.get().expect("it was sent")
    }
}

// ===== impl Waiting =====

impl Waiting {
    fn add(&mut self, waker: Waker) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.wakers[place] = Some(waker);
                place
            }
            None => {
                self.wakers.push(Some(waker));
                self.wakers.len() - 1
            }
        }
    }

    fn remove(&mut self, place: usize) {
        // The wakers may have been taken meanwhile.
        if let Some(waker) = self.wakers.get_mut(place) {
            *waker = None;
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio_test::{assert_ready, task};

    use super::*;

    #[test]
    fn all_who_wait_get_the_result_and_so_does_who_comes_later() {
        let (signal, sender) = Signal::new(0);
        let mut waiting: Vec<_> = (0..3).map(|_| task::spawn(signal.wait())).collect();
        for wait in &mut waiting {
            assert!(wait.poll().is_pending());
        }
        assert!(!signal.is_sent());
        sender.send(7);
        for wait in &mut waiting {
            assert!(wait.is_woken());
            assert_eq!(*assert_ready!(wait.poll()), 7);
        }
        assert_eq!(*signal.wait().now_or_never().unwrap(), 7);
    }

    #[test]
    fn a_sender_that_is_dropped_sends_what_it_has() {
        let (signal, sender) = Signal::new(1);
        let mut wait = task::spawn(signal.wait());
        assert!(wait.poll().is_pending());
        drop(sender);
        assert!(wait.is_woken());
        assert_eq!(*assert_ready!(wait.poll()), 1);
    }

    #[test]
    fn who_gives_up_leaves_a_place_for_others() {
        let (signal, _sender) = Signal::new(0);
        for _ in 0..100 {
            let mut one = task::spawn(signal.wait());
            let mut two = task::spawn(signal.wait());
            assert!(one.poll().is_pending());
            assert!(two.poll().is_pending());
            assert!(one.poll().is_pending());
        }
        assert_eq!(signal.waiting().wakers.len(), 2);
    }

    /// A waiter is woken through the waker that it was polled with last.
    #[test]
    fn a_waiter_that_moves_to_another_task_is_woken_there() {
        let (signal, sender) = Signal::new(0);
        let mut wait = Box::pin(signal.wait());
        let (mut first, mut second) = (task::spawn(()), task::spawn(()));
        assert!(first.enter(|cx, _| wait.as_mut().poll(cx)).is_pending());
        assert!(second.enter(|cx, _| wait.as_mut().poll(cx)).is_pending());
        sender.send(1);
        assert!(second.is_woken() && !first.is_woken());
    }

    #[test]
    fn threads_that_come_while_it_is_sent_all_get_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..200 {
            let (signal, sender) = Signal::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    let (wait, runtime) = (signal.wait(), runtime.handle());
                    scope.spawn(move || assert_eq!(*runtime.block_on(wait), 5));
                }
                scope.spawn(move || sender.send(5));
            });
        }
    }
}
