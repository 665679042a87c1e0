//! Bodies of every shape, read by hand.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio_test::{assert_pending, assert_ready, task};

use super::{Replay, Tee};

type Boxed = UnsyncBoxBody<Bytes, &'static str>;

/// Says what it was told, and how long it is if it is told so.
struct Script {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    exact: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, _>| {
            frame.as_ref().ok().and_then(|frame| frame.data_ref()).map_or(0, |data| data.len() as u64)
        };
        let length = self.frames.iter().map(data).sum();
        if self.exact { SizeHint::with_exact(length) } else { SizeHint::new() }
    }

    fn is_end_stream(&self) -> bool {
        self.exact && self.frames.is_empty()
    }
}

fn script(chunks: &[&'static str], exact: bool) -> Script {
    let frames = chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))).collect();
    Script { frames, exact }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("x-end"), http::HeaderValue::from_static("yes"))])
}

fn next(body: &mut Boxed) -> Option<Result<Frame<Bytes>, &'static str>> {
    body.frame().now_or_never().expect("never waits")
}

fn text(body: Boxed) -> (String, Option<HeaderMap>) {
    let all = body.collect().now_or_never().expect("never waits").unwrap();
    let trailers = all.trailers().cloned();
    (String::from_utf8(all.to_bytes().to_vec()).unwrap(), trailers)
}

/// Reads `frames` of the first copy, drops it, and returns the second.
fn second(body: Script, frames: usize) -> Option<Boxed> {
    let mut body = Boxed::new(body);
    let saved = Tee::new().limit(10).save(&mut body)?;
    for _ in 0..frames {
        let _read = next(&mut body);
    }
    drop(body);
    Tee::new().restore(saved)
}

#[test]
fn r117_a_body_is_repeated_whole_wherever_the_first_reading_stopped() {
    for exact in [true, false] {
        for frames in 0..5 {
            let body = second(script(&["ab", "", "cdef", "g"], exact), frames).unwrap();
            let expected = if exact { Some(7) } else { None };
            assert_eq!(body.size_hint().exact(), expected, "{exact} {frames}");
            assert_eq!(text(body), ("abcdefg".to_owned(), None), "{exact} {frames}");
        }
    }
}

#[test]
fn r117_the_first_copy_is_the_body_itself() {
    for exact in [true, false] {
        let mut body = Boxed::new(script(&["ab", "cdef"], exact));
        let bare = body.size_hint();
        let _saved = Tee::new().save(&mut body).unwrap();
        assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (bare.lower(), bare.upper()));
        assert_eq!(next(&mut body).unwrap().unwrap().into_data().unwrap(), "ab");
        assert_eq!(body.size_hint().exact(), exact.then_some(4));
        assert_eq!(next(&mut body).unwrap().unwrap().into_data().unwrap(), "cdef");
        assert_eq!(body.is_end_stream(), exact);
        assert!(next(&mut body).is_none() && next(&mut body).is_none());
        assert!(body.is_end_stream());
    }
}

#[test]
fn r117_trailers_are_repeated() {
    for frames in 0..5 {
        let mut body = script(&["ab", "cd"], false);
        body.frames.push_back(Ok(Frame::trailers(trailers())));
        let mut body = Boxed::new(body);
        let saved = Tee::new().save(&mut body).unwrap();
        for _ in 0..frames {
            let _read = next(&mut body);
        }
        drop(body);
        let body = Tee::new().restore(saved).unwrap();
        assert_eq!(body.size_hint().exact(), None, "HTTP/1 has no room for trailers beside a length");
        assert!(!body.is_end_stream());
        assert_eq!(text(body), ("abcd".to_owned(), Some(trailers())), "{frames}");
    }
}

#[test]
fn r117_while_the_transport_has_the_body_there_is_nothing_to_repeat() {
    let mut body = Boxed::new(script(&["ab", "cd"], false));
    let saved = Tee::new().save(&mut body).unwrap();
    let _read = next(&mut body);
    assert!(!<Tee as Replay<Boxed>>::is_lost(&Tee::new(), &saved), "it may come back");
    assert!(Tee::new().restore(saved).is_none());

    // Read to its end, it is back, although the transport holds it still.
    for exact in [true, false] {
        let mut body = Boxed::new(script(&["ab", "cd"], exact));
        let saved = Tee::new().save(&mut body).unwrap();
        for _ in 0..if exact { 2 } else { 3 } {
            let _read = next(&mut body);
        }
        assert_eq!(text(Tee::new().restore(saved).unwrap()).0, "abcd");
        assert!(next(&mut body).is_none());
    }
}

#[test]
fn r117_who_waits_for_a_body_is_woken_when_it_is_back_or_lost() {
    let tee = Tee::new().limit(5);
    for (chunks, frames) in [(&["abc"][..], 0), (&["abc"], 1), (&["abc"], 2), (&["abc", "def"], 2)] {
        let mut body = Boxed::new(script(chunks, false));
        let mut saved = tee.save(&mut body).unwrap();
        let mut back = task::spawn(poll_fn(|cx| tee.poll_back(&mut saved, cx)));
        assert_pending!(back.poll());
        (0..frames).for_each(|_| drop(next(&mut body)));
        if frames < 2 {
            assert!(!back.is_woken(), "{chunks:?} {frames}");
            drop(body);
        }
        assert!(back.is_woken(), "{chunks:?} {frames}");
        assert_ready!(back.poll());
    }
    let mut saved = tee.save(&mut Boxed::default()).unwrap();
    assert_ready!(task::spawn(poll_fn(|cx| tee.poll_back(&mut saved, cx))).poll());
}

#[test]
fn r117_past_the_limit_the_body_streams_on_and_is_not_repeated() {
    for (chunks, fits) in [(&["abcde", "fghij"], true), (&["abcde", "fghijk"], false)] {
        let mut body = Boxed::new(script(chunks, false));
        let saved = Tee::new().limit(10).save(&mut body).unwrap();
        assert_eq!(text(body).0, chunks.concat());
        assert_eq!(<Tee as Replay<Boxed>>::is_lost(&Tee::new(), &saved), !fits);
        assert_eq!(Tee::new().restore(saved).is_some(), fits);
    }
    // Trailers count, too.
    let mut body = script(&["abcd"], false);
    body.frames.push_back(Ok(Frame::trailers(trailers())));
    let mut body = Boxed::new(body);
    let saved = Tee::new().limit(11).save(&mut body).unwrap();
    assert_eq!(text(body), ("abcd".to_owned(), Some(trailers())));
    assert!(Tee::new().restore(saved).is_none());
}

#[test]
fn r117_a_declared_length_above_the_limit_is_not_wrapped() {
    let tee = Tee::new().limit(3);
    let mut body = Boxed::new(script(&["ab", "cd"], true));
    assert!(!tee.can_save(&body) && tee.save(&mut body).is_none());
    assert_eq!(text(body).0, "abcd");
    let mut empty = Boxed::default();
    assert!(tee.can_save(&empty));
    let saved = tee.save(&mut empty).unwrap();
    assert!(<Tee as Replay<Boxed>>::restore(&tee, saved).unwrap().is_end_stream());
}

#[test]
fn r117_a_body_that_failed_is_not_repeated() {
    let mut body = script(&["ab"], false);
    body.frames.push_back(Err("broken"));
    let mut body = Boxed::new(body);
    let saved = Tee::new().save(&mut body).unwrap();
    let _read = next(&mut body);
    assert_eq!(next(&mut body).unwrap().unwrap_err(), "broken");
    assert!(<Tee as Replay<Boxed>>::is_lost(&Tee::new(), &saved));
    drop(body);
    assert!(Tee::new().restore(saved).is_none());
}

/// Makes each chunk when it is asked for, so that only what is kept of them is memory.
struct Made {
    chunks: usize,
    size: usize,
}

impl Body for Made {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let left = self.chunks.checked_sub(1);
        self.chunks = left.unwrap_or(0);
        Poll::Ready(left.map(|_| Ok(Frame::data(vec![b'x'; self.size].into()))))
    }
}

/// Says when it is dropped.
struct Owner(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

/// As a server cuts requests out of the buffer that it reads into: a megabyte would hang on a few kilobytes.
#[test]
fn r117_what_is_kept_does_not_hold_the_buffer_that_it_was_cut_from() {
    for size in [10, 1023, 1024, 1025, 4000] {
        let gone = Arc::new(AtomicBool::new(false));
        let buffer = Bytes::from_owner(Owner(vec![b'x'; 1 << 20], Arc::clone(&gone)));
        let frames =
            (0..3).map(|number| Ok(Frame::data(buffer.slice(number * 5000..number * 5000 + size)))).collect();
        drop(buffer);
        let mut body = Boxed::new(Script { frames, exact: false });
        let saved = Tee::new().save(&mut body).unwrap();
        while next(&mut body).is_some() {}
        drop(body);
        assert!(gone.load(Ordering::SeqCst), "{size}");
        assert_eq!(text(Tee::new().restore(saved).unwrap()).0.len(), 3 * size);
    }
}

/// A byte at a time, the handles would weigh thirty times what they hold.
#[test]
fn r117_what_is_kept_is_bounded_by_the_limit_whatever_the_chunks() {
    for size in [1, 7, 1023, 1024, 4000] {
        let chunks = 60_000 / size;
        let mut body = Boxed::new(Made { chunks, size });
        let saved = Tee::new().save(&mut body).unwrap();
        let kept = allocation_counter::measure(|| while next(&mut body).is_some() {});
        let bytes = usize::try_from(kept.bytes_current).unwrap();
        // Growing doubles, but for the limit. The first copy of the chunks is gone; what they come back in is small.
        assert!((chunks * size - 1024..64 * 1024 + 200).contains(&bytes), "{size}: {bytes}");
        drop(body);
        assert_eq!(text(Tee::new().restore(saved).unwrap()).0.len(), chunks * size);
    }
}
