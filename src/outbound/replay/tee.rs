//! The strategy that reads along while a body is sent.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{
    Rebox, Replay, TeeSaved,
    record::{Record, Recorded},
    teed::Teed,
};

/// Repeats streaming bodies of a boxed type: keeps what is sent of a body while it is sent, up to a limit.
///
/// 1. A body whose declared length is above the limit is sent as it is, and so is an empty one.
/// 2. Past the limit, what was kept is dropped and the body streams on.
/// 3. A body that was read in part when the 401 came is sent again from its beginning, the rest from where it
///    was; one that was not read is sent for the first time. Trailers are repeated, too.
/// 4. While the transport still holds the body there is nothing to send again, and if it does not let go of it within
///    250 ms, the 401 is the answer.
///
/// A body that is in memory whole, as reqwest's may be, is sent as it is and cloned ([`Rebox::twin`]).
///
/// What is kept is copied: a handle of a chunk would keep the whole buffer alive that it is a part of, which may be
/// a hundred times what was read of it. The second copy of the body comes in one piece, as far as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Tee {
    limit: usize,
}

pub(super) enum Saved<B> {
    Empty,
    Whole(B),
    Shared(Kept<B>),
}

/// What the body that is being sent, and whoever may send it again, have in common.
pub(super) struct Kept<B>(Arc<Mutex<State<B>>>);

pub(super) enum State<B> {
    /// The transport has the body, and somebody may wait for it.
    Sending(Option<Waker>),
    /// The body is back: what was read of it, and what was not.
    Back(Recorded, Option<B>),
    /// Too long, or its sender has failed.
    Lost,
}

// ===== impl Tee =====

impl Tee {
    /// Keeps up to 64 KiB of each body.
    pub const fn new() -> Self {
        Self { limit: 64 * 1024 }
    }

    /// Keeps up to this many bytes of each body, its trailers included.
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl Default for Tee {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Rebox> Replay<B> for Tee {
    type Saved = TeeSaved<B>;

    fn can_save(&self, body: &B) -> bool {
        body.size_hint().lower() <= self.limit as u64
    }

    fn save(&self, body: &mut B) -> Option<TeeSaved<B>> {
        if body.is_end_stream() {
            return Some(TeeSaved(Saved::Empty));
        }
        if !self.can_save(body) {
            return None;
        }
        if let Some(twin) = body.twin() {
            return Some(TeeSaved(Saved::Whole(twin)));
        }
        let kept = Kept(Arc::new(Mutex::new(State::Sending(None))));
        *body = B::rebox(Teed::first(mem::take(body), Record::new(self.limit), kept.clone()));
        Some(TeeSaved(Saved::Shared(kept)))
    }

    fn is_lost(&self, saved: &TeeSaved<B>) -> bool {
        match &saved.0 {
            Saved::Empty | Saved::Whole(_) => false,
            Saved::Shared(kept) => matches!(*kept.state(), State::Lost),
        }
    }

    fn poll_back(&self, saved: &mut TeeSaved<B>, cx: &mut Context<'_>) -> Poll<()> {
        if let Saved::Shared(kept) = &saved.0
            && let State::Sending(waiting) = &mut *kept.state()
        {
            *waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn restore(&self, saved: TeeSaved<B>) -> Option<B> {
        let kept = match saved.0 {
            Saved::Empty => return Some(B::default()),
            Saved::Whole(body) => return Some(body),
            Saved::Shared(kept) => kept,
        };
        let state = mem::replace(&mut *kept.state(), State::Lost);
        match state {
            State::Back(recorded, Some(rest)) if recorded.is_empty() => Some(rest),
            State::Back(recorded, rest) => Some(B::rebox(Teed::second(recorded, rest))),
            State::Sending(_) | State::Lost => None,
        }
    }
}

// ===== impl Kept =====

impl<B> Kept<B> {
    pub(super) fn set(&self, state: State<B>) {
        // What it replaces is dropped, and who waits is woken, behind the lock.
        let before = mem::replace(&mut *self.state(), state);
        if let State::Sending(Some(waiting)) = before {
            waiting.wake();
        }
    }

    /// A panic under the lock leaves the state whole: it is changed in one assignment.
    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Clone for Kept<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
