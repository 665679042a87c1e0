//! The body that is read along, and the one that is sent the second time.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    record::{Record, Recorded},
    tee::{Kept, State},
};

/// A body that [`Tee`](super::Tee) reads along with, or sends again: the same bytes and trailers as the body inside,
/// with the same size hint. To be boxed by [`Rebox`](super::Rebox).
pub struct Teed<B>(Pass<B>);

enum Pass<B> {
    First(First<B>),
    Second(Second<B>),
}

struct First<B> {
    /// `None` once it has ended.
    body: Option<B>,
    /// `None` once it is given back, or over the limit.
    record: Option<Record>,
    kept: Kept<B>,
    exact: bool,
}

struct Second<B> {
    recorded: Recorded,
    rest: Option<B>,
}

// ===== impl Teed =====

impl<B: Body<Data = Bytes>> Teed<B> {
    pub(super) fn first(body: B, record: Record, kept: Kept<B>) -> Self {
        let exact = body.size_hint().exact().is_some();
        Self(Pass::First(First { body: Some(body), record: Some(record), kept, exact }))
    }

    pub(super) fn second(recorded: Recorded, rest: Option<B>) -> Self {
        Self(Pass::Second(Second { recorded, rest }))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Teed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.0 {
            Pass::First(first) => first.poll_frame(cx),
            Pass::Second(second) => second.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Pass::First(first) => first.body.as_ref().is_none_or(Body::is_end_stream),
            Pass::Second(second) => {
                second.recorded.is_empty() && second.rest.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Pass::First(first) => first.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint),
            Pass::Second(second) => second.size_hint(),
        }
    }
}

impl<B> fmt::Debug for Teed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Pass::First(_) => "Teed(first)",
            Pass::Second(_) => "Teed(second)",
        })
    }
}

// ===== impl First =====

impl<B: Body<Data = Bytes> + Unpin> First<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let ended = match &frame {
            Some(Ok(frame)) => {
                let fits = self.record.as_mut().is_none_or(|record| record.frame(frame));
                if !fits {
                    self.lose();
                }
                // Nothing comes behind trailers.
                frame.is_trailers()
            }
            Some(Err(_)) => {
                self.lose();
                false
            }
            None => true,
        };
        // Given back at the end, not only when dropped: a transport may keep a body longer than it reads it.
        if ended || self.body.as_ref().is_some_and(Body::is_end_stream) {
            self.body = None;
            self.give_back();
        }
        Poll::Ready(frame)
    }
}

impl<B> First<B> {
    fn lose(&mut self) {
        if self.record.take().is_some() {
            self.kept.set(State::Lost);
        }
    }

    fn give_back(&mut self) {
        if let Some(record) = self.record.take() {
            self.kept.set(State::Back(record.finish(self.exact), self.body.take()));
        }
    }
}

impl<B> Drop for First<B> {
    fn drop(&mut self) {
        self.give_back();
    }
}

// ===== impl Second =====

impl<B: Body<Data = Bytes> + Unpin> Second<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(chunk) = self.recorded.next_chunk() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if let Some(rest) = &mut self.rest {
            return Pin::new(rest).poll_frame(cx);
        }
        Poll::Ready(self.recorded.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.recorded.length();
        let Some(rest) = &self.rest else {
            return if self.recorded.exact { SizeHint::with_exact(length) } else { at_least(length) };
        };
        let rest = rest.size_hint();
        let mut hint = at_least(rest.lower().saturating_add(length));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(length)) {
            hint.set_upper(upper);
        }
        hint
    }
}

fn at_least(length: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(length);
    hint
}
