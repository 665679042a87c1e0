//! What is in force.

use std::{borrow::Cow, fmt, time::Duration};

/// The settings in force, one line each: `name = value`. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description(Vec<(Cow<'static, str>, String)>);

// ===== impl Description =====

impl Description {
    pub(crate) fn new(lines: Vec<(&'static str, String)>) -> Self {
        lines.into_iter().collect()
    }

    /// Name and value of each setting.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }

    /// These lines, and behind them those of a part, each name with the prefix before it.
    pub(crate) fn with_part(mut self, prefix: &str, part: &Self) -> Self {
        self.0.extend(part.lines().map(|(name, value)| (format!("{prefix}{name}").into(), value.to_owned())));
        self
    }
}

/// Values must hold no secret.
impl<N: Into<Cow<'static, str>>> FromIterator<(N, String)> for Description {
    fn from_iter<T: IntoIterator<Item = (N, String)>>(lines: T) -> Self {
        Self(lines.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name} = {value}")?;
        }
        Ok(())
    }
}

/// A duration in the largest unit that it is a whole number of.
pub(crate) fn span(span: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(7 * 24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m"), (1, "s")];
    let seconds = span.as_secs();
    if span == Duration::MAX {
        return "forever".to_owned();
    }
    if span.subsec_nanos() > 0 {
        return match span.as_millis() {
            // Nothing here is measured in less.
            millis if u128::from(seconds) * 1000 < millis => format!("{millis}ms"),
            _ => format!("{}ns", span.as_nanos()),
        };
    }
    // Days from a week on: "24h" says more than "1d".
    for (unit, name) in UNITS {
        let size = if name == "d" { 24 * 60 * 60 } else { unit };
        if seconds >= unit && seconds.is_multiple_of(size) {
            return format!("{}{name}", seconds / size);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_the_unit_that_fits() {
        for (seconds, text) in [
            (0, "0s"),
            (10, "10s"),
            (60, "1m"),
            (90, "90s"),
            (15 * 60, "15m"),
            (24 * 3600, "24h"),
            (36 * 3600, "36h"),
            (7 * 24 * 3600, "7d"),
            (8 * 24 * 3600, "8d"),
            (8 * 24 * 3600 + 3600, "193h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(span(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(span(Duration::MAX), "forever");
    }
}
