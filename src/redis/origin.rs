//! Whether a server still has the data that it had.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use data_encoding::HEXLOWER;

use crate::{
    clock::Clock,
    event::{Event, EventKind, Reporter},
    random,
    store::StoreError,
};

/// Notices that a server has come back without what it had held, and tells of it once.
///
/// Every era of one set of data begins with the same random text. It is read with each login anyway.
pub(super) struct Origin {
    known: Mutex<Option<Box<[u8]>>>,
    reporter: Reporter,
}

impl Origin {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self { known: Mutex::default(), reporter }
    }

    /// What the era of an answer says. The first one that is seen says nothing, and nor does none that follows none.
    pub(super) fn note(&self, era: Option<&[u8]>) {
        let seen = era.map(origin_of);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() == seen {
            return;
        }
        let is_lost = known.is_some();
        *known = seen.map(Into::into);
        drop(known);
        if is_lost {
            self.reporter.emit(Event::new(EventKind::StoreLost, Clock::system().now()));
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

fn origin_of(era: &[u8]) -> &[u8] {
    era.split(|byte| *byte == b'.').next().unwrap_or(era)
}

/// The first era of data that never were.
pub(super) fn first_era() -> Result<String, StoreError> {
    let origin = random::bytes::<16>().map_err(StoreError::unavailable)?;
    Ok(format!("{}.0", HEXLOWER.encode(origin.as_slice())))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::event::Meter;

    struct Lost(Arc<AtomicUsize>);

    impl Meter for Lost {
        fn count(&self, event: &Event) {
            assert_eq!(*event.kind(), EventKind::StoreLost);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn r203_a_loss_is_told_once_and_a_new_era_is_none() {
        let told = Arc::new(AtomicUsize::new(0));
        let origin = Origin::new(Reporter::default().meter(Lost(Arc::clone(&told))));
        let expect = |era: Option<&str>, count| {
            origin.note(era.map(str::as_bytes));
            assert_eq!(told.load(Ordering::Relaxed), count, "{era:?}");
        };
        expect(None, 0);
        expect(Some("a.1"), 0);
        expect(Some("a.2"), 0);
        expect(None, 1);
        expect(None, 1);
        expect(Some("b.1"), 1);
        expect(Some("c.1"), 2);
    }

    #[test]
    fn no_two_sets_of_data_have_one_origin() {
        let (one, two) = (first_era().unwrap(), first_era().unwrap());
        assert_ne!(origin_of(one.as_bytes()), origin_of(two.as_bytes()));
        assert_eq!(origin_of(one.as_bytes()).len(), 32);
    }
}
