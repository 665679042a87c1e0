//! The tables: under which names they are, which version they have, and how they become those of this one.

use super::{connect::Opener, failure::Failure};

/// In order; a number once given stays.
const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/0001_tables.sql"), include_str!("migrations/0002_functions.sql")];

/// The oldest version of these migrations that can work with the tables as this one leaves them. A migration that older
/// processes cannot live with raises it; others can be applied while those run.
const WORKS_FROM: usize = 2;

/// The names and the version of the tables.
pub(super) struct Schema {
    prefix: String,
}

impl Schema {
    /// The longest prefix: names of 63 bytes are what the server takes, and it cuts longer ones off without a word.
    const PREFIX_MAX: usize = 32;

    /// `None` unless the prefix is 1–32 of `a`–`z`, `0`–`9` and `_`, and begins with a letter: it becomes a part of
    /// statements.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let begins = prefix.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = begins && prefix.len() <= Self::PREFIX_MAX && prefix.bytes().all(allowed);
        is_name.then(|| Self { prefix: prefix.to_owned() })
    }

    /// The text with the prefix in its place.
    pub(super) fn named(&self, text: &str) -> String {
        text.replace("{prefix}", &self.prefix)
    }

    /// Where changes are told.
    pub(super) fn channel(&self) -> String {
        self.named("{prefix}_changes")
    }

    /// Asks for the version, and for the oldest one that can work with it.
    pub(super) fn version_query(&self) -> String {
        self.named("select max(version), max(works_from) from {prefix}_schema")
    }

    /// Whether this version can work with tables of that one.
    pub(super) fn check(version: Option<usize>, works_from: Option<usize>) -> Result<(), Failure> {
        match (version, works_from) {
            (Some(_), Some(works_from)) if works_from > MIGRATIONS.len() => Err(Failure::NewerSchema),
            (Some(version), Some(_)) if version >= MIGRATIONS.len() => Ok(()),
            _ => Err(Failure::NoSchema),
        }
    }

    /// Applies what was not applied yet, all of it or nothing. Who comes meanwhile waits.
    pub(super) async fn migrate(&self, opener: &Opener) -> Result<(), Failure> {
        let failed = |error| Failure::of(&error);
        // Left behind half-way, the connection ends, and with it the transaction.
        let (mut client, _reading) = opener.open_unchecked().await?;
        let change = client.transaction().await.map_err(failed)?;
        let lock = self.named("select pg_advisory_xact_lock(hashtextextended('{prefix}_schema', 7))");
        change.batch_execute(&lock).await.map_err(failed)?;
        let table = "create table if not exists {prefix}_schema (version int primary key, \
                     works_from int not null, applied timestamptz not null default now())";
        change.batch_execute(&self.named(table)).await.map_err(failed)?;
        let query = self.named("select coalesce(max(version), 0) from {prefix}_schema");
        let version: i32 =
            change.query_one(&query, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
        let version = usize::try_from(version).map_err(|_negative| Failure::NewerSchema)?;
        if version > MIGRATIONS.len() {
            return Err(Failure::NewerSchema);
        }
        for (number, migration) in (1..).zip(MIGRATIONS).skip(version) {
            change.batch_execute(&self.named(migration)).await.map_err(failed)?;
            let noted = format!(
                "insert into {{prefix}}_schema (version, works_from) values ({number}, {WORKS_FROM})"
            );
            change.batch_execute(&self.named(&noted)).await.map_err(failed)?;
        }
        change.commit().await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r060_a_prefix_is_a_name() {
        for prefix in ["portcullis", "p", "a_1", &"p".repeat(32)] {
            assert!(Schema::new(prefix).is_some(), "{prefix}");
        }
        for prefix in
            ["", "1a", "_a", "A", "a-b", "a b", "a;b", "a\"", "a'", "\u{e9}", "a.b", &"p".repeat(33)]
        {
            assert!(Schema::new(prefix).is_none(), "{prefix}");
        }
    }

    #[test]
    fn r060_tables_are_those_of_this_version_or_ones_that_it_can_work_with() {
        let known = MIGRATIONS.len();
        assert_eq!(Schema::check(Some(known), Some(WORKS_FROM)), Ok(()));
        assert_eq!(Schema::check(Some(known + 1), Some(known)), Ok(()), "an addition");
        assert_eq!(Schema::check(Some(known + 1), Some(known + 1)), Err(Failure::NewerSchema));
        for (version, works_from) in [(None, None), (Some(known - 1), Some(1))] {
            assert_eq!(Schema::check(version, works_from), Err(Failure::NoSchema));
        }
    }

    /// No name is longer than what the server takes, with the longest prefix.
    #[test]
    fn r060_names_are_short_enough() {
        for text in MIGRATIONS {
            for part in text.split("{prefix}").skip(1) {
                let rest = part.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
                assert!(rest.count() + Schema::PREFIX_MAX + "_pkey".len() <= 63, "{part}");
            }
        }
    }
}
