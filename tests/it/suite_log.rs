//! The log of the whole suite, in one file. The unit tests of the library have it, too.

use std::sync::Mutex;

use tracing::Level;

/// With `PORTCULLIS_TEST_LOG`, everything that a process of the suite logs is appended to that file, so that the
/// whole of it can be searched for secrets. Tests that listen themselves keep what they hear.
#[ctor::ctor]
fn log_the_whole_suite() {
    let Some(path) = std::env::var_os("PORTCULLIS_TEST_LOG") else { return };
    let file = std::fs::File::options().create(true).append(true).open(path).expect("a file for the log");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("no test was begun yet");
}
