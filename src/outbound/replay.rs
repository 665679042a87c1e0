//! How a request body can be sent a second time, without changing its type.

use http_body::Body;

/// Decides whether and how a request can be repeated after a 401.
pub trait Replay<B>: Clone + Send + Sync + 'static {
    /// What is kept of the body.
    type Saved: Send + 'static;

    /// What to keep, before the body is sent; `None` if this request cannot be repeated.
    fn save(&self, body: &mut B) -> Option<Self::Saved>;

    /// The body once more.
    fn restore(&self, saved: Self::Saved) -> B;
}

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

    fn save(&self, body: &mut B) -> Option<()> {
        body.is_end_stream().then_some(())
    }

    fn restore(&self, (): ()) -> B {
        B::default()
    }
}

impl<B: Clone + Send + 'static> Replay<B> for Cloned {
    type Saved = B;

    fn save(&self, body: &mut B) -> Option<B> {
        Some(body.clone())
    }

    fn restore(&self, saved: B) -> B {
        saved
    }
}

impl<B: Send> Replay<B> for Never {
    type Saved = std::convert::Infallible;

    fn save(&self, _body: &mut B) -> Option<Self::Saved> {
        None
    }

    fn restore(&self, saved: Self::Saved) -> B {
        match saved {}
    }
}
