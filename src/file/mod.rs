//! Stores in files, for the processes of one machine.
//!
//! 1. A step is taken under a lock of the operating system that lasts as long as the step, and ends with its
//!    process. What is to outlive a step, such as who renews a token, is written down with its end.
//! 2. A file is replaced, never changed: readers need no lock, and see the old or the new one whole.
//! 3. No step is taken on the runtime's own threads.

mod entry;
mod folder;
mod leases;

pub use leases::FileLeases;
