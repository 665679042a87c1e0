//! The end of an answer that nobody wants.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Buf;
use http_body::Body;
use tokio::{runtime::Handle, time::timeout};

/// Longer bodies cost more than a new connection.
const BYTES_MAX: u64 = 16 * 1024;
/// So do slow ones.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Reads what is left of a body, so that an HTTP/1 connection can be used again; gives up soon.
pub(super) async fn drain<B: Body>(body: B) {
    if body.is_end_stream() || body.size_hint().lower() > BYTES_MAX {
        return;
    }
    let mut body = pin!(body);
    let mut read = 0_u64;
    let to_the_end = poll_fn(|cx| {
        loop {
            let Some(Ok(frame)) = ready!(body.as_mut().poll_frame(cx)) else { return Poll::Ready(()) };
            read = read.saturating_add(frame.data_ref().map_or(0, |data| data.remaining() as u64));
            if read > BYTES_MAX {
                return Poll::Ready(());
            }
        }
    });
    // A timer needs a runtime, which a client of another kind may not have.
    if Handle::try_current().is_ok() {
        let _done_or_given_up = timeout(WAIT_MAX, to_the_end).await;
    }
}
