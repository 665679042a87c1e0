//! From text to values.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::Settings;
use crate::{clock::Timestamp, error::Faults};

/// Takes settings out one by one; what is left over nobody knows.
pub(crate) struct Reader<'a> {
    left: BTreeMap<String, String>,
    /// What whoever wrote the settings has before the names.
    prefix: String,
    faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(settings: Settings, faults: &'a mut Faults) -> Self {
        Self { left: settings.values, prefix: settings.prefix, faults }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.left.contains_key(field)
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Option<String> {
        self.left.remove(field)
    }

    /// Texts with commas between them; blanks around them do not count.
    pub(crate) fn list(&mut self, field: &'static str) -> Option<Vec<String>> {
        let text = self.text(field)?;
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Some(items.map(str::to_owned).collect())
    }

    pub(crate) fn span(&mut self, field: &'static str) -> Option<Duration> {
        self.parse(field, parse_span, "must be a duration, for instance 15m")
    }

    /// Sets a duration, or none.
    pub(crate) fn maybe_span(&mut self, field: &'static str, target: &mut Option<Duration>) {
        if self.choice_of_none(field) {
            *target = None;
        } else if let Some(span) =
            self.parse(field, parse_span, "must be a duration, for instance 15m, or never")
        {
            *target = Some(span);
        }
    }

    /// Takes the setting out if it is one of the words for none.
    pub(crate) fn choice_of_none(&mut self, field: &str) -> bool {
        let none = matches!(self.left.get(field).map(String::as_str), Some("never" | "none" | "off"));
        if none {
            self.left.remove(field);
        }
        none
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Option<bool> {
        self.choice(field, &[("true", true), ("false", false)], "must be true or false")
    }

    /// Milliseconds of Unix time.
    pub(crate) fn moment(&mut self, field: &'static str) -> Option<Timestamp> {
        let read = |text: &str| text.parse().ok().map(Timestamp::from_millis);
        self.parse(field, read, "must be milliseconds of Unix time")
    }

    pub(crate) fn choice<T: Copy>(
        &mut self,
        field: &'static str,
        choices: &[(&str, T)],
        rule: &'static str,
    ) -> Option<T> {
        let chosen = |text: &str| choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        self.parse(field, chosen, rule)
    }

    pub(crate) fn parse<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        rule: &'static str,
    ) -> Option<T> {
        let text = self.text(field)?;
        let value = parse(&text);
        if value.is_none() {
            self.faults.add_read(&self.prefix, field, &text, rule);
        }
        value
    }

    /// Takes these settings out for another reader.
    pub(crate) fn take(&mut self, fields: &[&str]) -> Settings {
        let values = fields.iter().filter_map(|field| self.left.remove_entry(*field)).collect();
        Settings { values, prefix: self.prefix.clone() }
    }

    /// Takes the settings whose names start with `prefix` out for another reader, which knows them without it
    /// and reports them with it.
    pub(crate) fn take_part(&mut self, prefix: &str) -> Settings {
        let part = |name: &String| name.starts_with(prefix);
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(name, _)| part(name));
        self.left = left;
        let taken: BTreeMap<String, String> = taken;
        let without = |(name, value): (String, String)| (name[prefix.len()..].to_owned(), value);
        let values = taken.into_iter().map(without).collect();
        Settings { values, prefix: format!("{}{prefix}", self.prefix) }
    }

    /// Every name that is left is one that nobody knows. Its value is not shown: who knows what it is.
    pub(crate) fn finish(self) {
        for name in self.left.into_keys() {
            let key = format!("{}{name}", self.prefix);
            self.faults.add("settings", key, "is no setting");
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("left", &self.left.keys()).finish_non_exhaustive()
    }
}

/// A duration as people write it.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    if text == "forever" {
        return Some(Duration::MAX);
    }
    humantime::parse_duration(text).ok()
}
