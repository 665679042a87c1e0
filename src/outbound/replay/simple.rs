//! Bodies that are repeated as they are, or not at all.

use std::convert::Infallible;

use http_body::Body;

use super::Replay;

/// Repeats requests whose body is empty. The default.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyOnly;

/// Repeats every request, by cloning its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cloned;

/// Repeats nothing: a 401 still makes the provider get a new token, and is returned. Keeps nothing of a
/// request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Never;

impl<B: Body + Default> Replay<B> for EmptyOnly {
    type Saved = ();

    fn can_save(&self, body: &B) -> bool {
        body.is_end_stream()
    }

    fn save(&self, body: &mut B) -> Option<()> {
        body.is_end_stream().then_some(())
    }

    fn is_lost(&self, (): &()) -> bool {
        false
    }

    fn restore(&self, (): ()) -> Option<B> {
        Some(B::default())
    }
}

impl<B: Clone + Send + 'static> Replay<B> for Cloned {
    type Saved = B;

    fn can_save(&self, _body: &B) -> bool {
        true
    }

    fn save(&self, body: &mut B) -> Option<B> {
        Some(body.clone())
    }

    fn is_lost(&self, _saved: &B) -> bool {
        false
    }

    fn restore(&self, saved: B) -> Option<B> {
        Some(saved)
    }
}

impl<B: Send> Replay<B> for Never {
    type Saved = Infallible;

    fn can_save(&self, _body: &B) -> bool {
        false
    }

    fn save(&self, _body: &mut B) -> Option<Infallible> {
        None
    }

    fn is_lost(&self, saved: &Infallible) -> bool {
        match *saved {}
    }

    fn restore(&self, saved: Infallible) -> Option<B> {
        match saved {}
    }
}
