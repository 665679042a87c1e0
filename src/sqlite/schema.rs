//! The tables, and how they are brought up to date.

use std::{sync::Arc, thread, time::Duration};

use rusqlite::OptionalExtension;

use super::{
    failure::Failure,
    file,
    link::{Access, Db, Settings},
};

/// In the order in which they are applied, each once: the first is version 1.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_tables.sql")];

const LATEST: i64 = MIGRATIONS.len() as i64;

/// How often the switch to WAL mode is tried again while somebody else has the file.
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Whether the tables are those that the statements are for.
pub(super) fn check(db: &Db) -> Result<(), Failure> {
    match version(db)? {
        None | Some(0) => Err(Failure::NoTables),
        Some(LATEST) => Ok(()),
        Some(version) if version > LATEST => Err(Failure::NewerTables),
        Some(_) => Err(Failure::OlderTables),
    }
}

/// Makes the file and its tables, or brings them up to date, in one transaction.
pub(super) fn migrate(settings: &Arc<Settings>) -> Result<(), Failure> {
    // Why not is for the log of whoever runs the service; the engine would say less.
    file::make(&settings.path).map_err(|error| Failure::Engine(error.raw_os_error().unwrap_or(0)))?;
    let db = Db::open(settings, Access::Write)?;
    enter_wal(&db, settings.busy_timeout)?;
    db.execute_batch("begin immediate")?;
    match apply(&db) {
        Ok(()) => Ok(db.execute_batch("commit")?),
        Err(failure) => {
            let _not_begun_any_more = db.execute_batch("rollback");
            Err(failure)
        }
    }
}

fn apply(db: &Db) -> Result<(), Failure> {
    db.execute_batch(&db.sql().make_versions)?;
    let known = version(db)?.unwrap_or(0);
    if known > LATEST {
        return Err(Failure::NewerTables);
    }
    for (script, version) in MIGRATIONS.iter().zip(1..).filter(|(_, version)| *version > known) {
        db.execute_batch(&db.sql().prefixed(script))?;
        db.execute(&db.sql().add_version, (version, db.now().as_millis()))?;
    }
    Ok(())
}

/// The mode stays with the file. The engine does not wait by itself for who has it in another one.
fn enter_wal(db: &Db, patience: Duration) -> Result<(), Failure> {
    let mut tries = patience.as_millis() / BETWEEN_TRIES.as_millis();
    loop {
        let mode = db.query_row("pragma journal_mode = wal", [], |row| row.get::<_, String>(0));
        match mode.map_err(Failure::from) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_refused) => return Err(Failure::NoWal),
            Err(Failure::Busy) if tries > 0 => tries -= 1,
            Err(failure) => return Err(failure),
        }
        thread::sleep(BETWEEN_TRIES);
    }
}

/// `None` if there is not even the table that says so.
fn version(db: &Db) -> Result<Option<i64>, Failure> {
    let there = db.query_row(&db.sql().has_versions, [], |_row| Ok(())).optional()?;
    if there.is_none() {
        return Ok(None);
    }
    Ok(Some(db.query_row(&db.sql().version, [], |row| row.get(0))?))
}
