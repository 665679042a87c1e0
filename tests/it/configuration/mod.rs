//! What is in force where nothing was set, and settings that come as text.

mod defaults;
#[cfg(feature = "config")]
mod texts;

use portcullis::settings::Description;

fn lines(description: &Description) -> Vec<(String, String)> {
    description.lines().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
