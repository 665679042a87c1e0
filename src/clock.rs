//! Time: one wall clock, one monotonic clock, and how to replace both in a test.
//!
//! 1. Lifetimes that are stored or sent are [`Timestamp`]s, milliseconds of Unix time.
//! 2. Deadlines inside this process are [`Monotonic`] and never go back.
//! 3. Nothing else in the crate reads a clock.
//!
//! ```
//! use std::time::Duration;
//! use portcullis::clock::{ManualClock, Timestamp};
//!
//! let time = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
//! let clock = time.clock(); // hand this to a service or a layer
//! time.advance(Duration::from_secs(60));
//! assert_eq!(clock.now().as_millis(), 1_700_000_060_000);
//! ```

mod system;

use std::{fmt, sync::Arc, time::Duration};

/// A moment of wall-clock time: milliseconds since the Unix epoch, or [`Timestamp::NEVER`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A reading of a clock that never goes back: nanoseconds since an origin that means nothing outside this
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(u64);

/// Where a [`Clock`] reads from. Implement it to drive time yourself.
pub trait TimeSource: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Monotonic time.
    fn monotonic(&self) -> Monotonic;
}

/// The clock of a service or a layer; cheap to clone.
///
/// The default is the system's coarse clock: a read costs a few nanoseconds and is within about a timer tick
/// (1–10 ms). A step of the system's wall clock is seen within a second. So is that the machine has slept: monotonic
/// time goes on by that span, and what has ended meanwhile has ended. A wall clock that is set ahead by more than
/// 30 s looks the same.
#[derive(Clone, Default)]
pub struct Clock(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    System,
    Custom(Arc<dyn TimeSource>),
}

// ===== impl Timestamp =====

impl Timestamp {
    /// Later than every moment: what never expires. It stays "never" whatever is added to it.
    pub const NEVER: Self = Self(i64::MAX);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment and `span` more; saturates at [`Timestamp::NEVER`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// `span` before this moment; saturates. "Never" stays never.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        if self == Self::NEVER {
            return self;
        }
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` to this moment; zero if that lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("never") } else { write!(f, "{} ms", self.0) }
    }
}

// ===== impl Monotonic =====

impl Monotonic {
    /// From nanoseconds since the source's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the source's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This reading and `span` more; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this reading; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

// ===== impl Clock =====

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// Whether readings of both can be compared.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::System, Kind::System) => true,
            (Kind::Custom(one), Kind::Custom(other)) => Arc::ptr_eq(one, other),
            (Kind::System, Kind::Custom(_)) | (Kind::Custom(_), Kind::System) => false,
        }
    }

    /// A clock that reads from `source`.
    pub fn from_source(source: impl TimeSource) -> Self {
        Self(Kind::Custom(Arc::new(source)))
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => system::now(),
            Kind::Custom(source) => source.now(),
        }
    }

    /// Monotonic time.
    pub fn monotonic(&self) -> Monotonic {
        match &self.0 {
            Kind::System => system::monotonic(),
            Kind::Custom(source) => source.monotonic(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::System => "Clock(system)",
            Kind::Custom(_) => "Clock(custom)",
        })
    }
}

#[cfg(feature = "test-util")]
pub use manual::{ManualClock, PausedClock};

#[cfg(feature = "test-util")]
mod manual {
    use std::{
        sync::{Arc, Mutex, PoisonError},
        time::Duration,
    };

    use super::{Clock, Monotonic, TimeSource, Timestamp};

    /// A clock that stands still until it is told to move. Clones share the time.
    #[derive(Debug, Clone)]
    pub struct ManualClock(Arc<Mutex<(Timestamp, Monotonic)>>);

    /// A clock that follows tokio's time, paused time included, from a given wall-clock moment on.
    #[derive(Debug)]
    pub struct PausedClock {
        start: Timestamp,
        origin: tokio::time::Instant,
    }

    impl ManualClock {
        /// Stands at `now`.
        pub fn new(now: Timestamp) -> Self {
            Self(Arc::new(Mutex::new((now, Monotonic::from_nanos(0)))))
        }

        /// The clock to hand to a service or a layer.
        pub fn clock(&self) -> Clock {
            Clock::from_source(self.clone())
        }

        /// The wall-clock time it stands at.
        pub fn now(&self) -> Timestamp {
            TimeSource::now(self)
        }

        /// Moves both clocks on.
        pub fn advance(&self, span: Duration) {
            let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *time = (time.0.plus(span), time.1.plus(span));
        }

        /// Sets the wall clock, backwards too; the monotonic clock stays.
        pub fn set(&self, now: Timestamp) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = now;
        }
    }

    impl TimeSource for ManualClock {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).0
        }

        fn monotonic(&self) -> Monotonic {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).1
        }
    }

    impl PausedClock {
        /// A clock that reads `start` now.
        #[allow(clippy::disallowed_methods)] // the one place
        pub fn starting_at(start: Timestamp) -> Clock {
            Clock::from_source(Self { start, origin: tokio::time::Instant::now() })
        }
    }

    impl TimeSource for PausedClock {
        fn now(&self) -> Timestamp {
            self.start.plus(self.origin.elapsed())
        }

        fn monotonic(&self) -> Monotonic {
            Monotonic::from_nanos(0).plus(self.origin.elapsed())
        }
    }
}
