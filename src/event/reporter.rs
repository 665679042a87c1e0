//! Who is told.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Event, EventKind, log, outlet::Outlet};

/// Is told of events, one after the other; those of one thread in the order in which it emitted them.
///
/// It is called on a thread of its own and may block. It cannot answer: to refuse a request is for a hook or a
/// guard.
pub trait Observer: Send + Sync + 'static {
    /// Called once for each event. A panic is caught; the next event comes all the same.
    fn observe(&self, event: &Event);
}

/// Counts events. Called where they happen, on the request's own task: it must do nothing but count.
pub trait Meter: Send + Sync + 'static {
    /// Called once for each event. A panic is caught: the request goes on.
    fn count(&self, event: &Event);
}

/// Writes each event to the log, counts it, and hands it to the observers.
///
/// The default only logs. Clones report to the same observers and meters; one that is added to a clone is told
/// of the clone's events only. Give the same reporter to several services and layers to observe them all.
///
/// Each observer has a queue of 1024 events and a thread named `portcullis-events`, which starts with the first
/// event. When the last reporter with this observer is dropped, the thread hands over what is queued, and ends.
/// An observer that itself holds such a reporter keeps the thread alive for ever.
#[derive(Clone, Default)]
pub struct Reporter(Option<Arc<Listeners>>);

#[derive(Clone, Default)]
struct Listeners {
    meters: Vec<Arc<dyn Meter>>,
    outlets: Vec<Arc<Outlet>>,
}

// ===== impl Reporter =====

impl Reporter {
    /// Tells this observer, too.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.listeners().outlets.push(Arc::new(Outlet::new(observer)));
        self
    }

    /// Lets this meter count, too.
    #[must_use]
    pub fn meter(mut self, meter: impl Meter) -> Self {
        self.listeners().meters.push(Arc::new(meter));
        self
    }

    /// Whether anybody would learn of such an event. A path that every request takes asks this before it puts
    /// an event together.
    pub fn wants(&self, kind: &EventKind) -> bool {
        self.0.is_some() || log::is_read(kind)
    }

    /// Reports an event. Never blocks on an observer and never fails.
    pub fn emit(&self, event: Event) {
        log::write(&event);
        let Some(listeners) = &self.0 else { return };
        listeners.count(&event);
        let dropped = listeners.outlets.iter().filter(|outlet| !outlet.push(event.clone())).count();
        if dropped > 0 {
            let count = u64::try_from(dropped).unwrap_or(u64::MAX);
            // Counted one by one as they happen; the log and the observer get the sum of a busy spell.
            listeners.count(&Event::new(EventKind::EventsDropped { count }, event.at()));
        }
    }

    /// Waits until the observers have been told of everything that was emitted before: at the end of a process
    /// or of a test.
    ///
    /// It blocks the thread for as long as they take, so an async task calls it through a runtime's
    /// `spawn_blocking`. Called by an observer it returns at once.
    pub fn flush(&self) {
        for outlet in self.0.iter().flat_map(|listeners| &listeners.outlets) {
            outlet.flush();
        }
    }

    /// How often an event was not handed to an observer because its queue was full.
    pub fn dropped(&self) -> u64 {
        self.0.iter().flat_map(|listeners| &listeners.outlets).map(|outlet| outlet.dropped()).sum()
    }

    fn listeners(&mut self) -> &mut Listeners {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (observers, meters) =
            self.0.as_ref().map_or((0, 0), |listeners| (listeners.outlets.len(), listeners.meters.len()));
        f.debug_struct("Reporter").field("observers", &observers).field("meters", &meters).finish()
    }
}

// ===== impl Listeners =====

impl Listeners {
    fn count(&self, event: &Event) {
        for meter in &self.meters {
            if catch_unwind(AssertUnwindSafe(|| meter.count(event))).is_err() {
                tracing::error!(target: log::TARGET, "a meter panicked");
            }
        }
    }
}
