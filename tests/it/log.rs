//! A log that its test reads.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::fmt::MakeWriter;

/// What was said, of every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Writes what this thread says until the guard is dropped.
    pub(crate) fn listen(&self) -> (DefaultGuard, Dispatch) {
        // With one subscriber alone, `tracing` asks the thread that meets a line first whether anybody reads it;
        // another test's thread would say no for all.
        let second = Dispatch::new(NoSubscriber::default());
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(self.clone());
        (tracing::subscriber::set_default(subscriber.finish()), second)
    }

    /// A log that listens already.
    pub(crate) fn capture() -> (Self, (DefaultGuard, Dispatch)) {
        let log = Self::default();
        let guard = log.listen();
        (log, guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Nobody listens on this thread until the guard is dropped, not even where the whole suite is logged.
pub(crate) fn silence() -> DefaultGuard {
    tracing::subscriber::set_default(NoSubscriber::default())
}
