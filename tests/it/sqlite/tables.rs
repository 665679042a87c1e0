//! The file, its rights, and its tables.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::{SqliteStore, store::TokenStore};

use super::{Folder, check_unavailable, login, service, stranger};

fn names(folder: &Folder) -> Vec<String> {
    let connection = stranger(&folder.file());
    let mut tables = connection
        .prepare(
            "select name from sqlite_schema where type = 'table' and name not like 'sqlite%' order by name",
        )
        .unwrap();
    let names = tables.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

#[tokio::test]
async fn r213_nothing_is_made_unless_it_is_asked_for() {
    let folder = Folder::new();
    let store = folder.store();
    let id = portcullis::text::TokenId::parse("0123456789abcdefg").unwrap();
    check_unavailable(&store.find(&id).wait().await.unwrap_err(), "`migrate` makes them");
    check_unavailable(&store.set_label(&id, None).await.unwrap_err(), "`migrate` makes them");
    assert!(folder.files().is_empty());
    // A database of somebody else's has none either, and gets none.
    stranger(&folder.file()).execute_batch("create table theirs (id integer)").unwrap();
    check_unavailable(&store.find(&id).wait().await.unwrap_err(), "`migrate` makes them");
    check_unavailable(&store.set_label(&id, None).await.unwrap_err(), "`migrate` makes them");
    assert_eq!(names(&folder), ["theirs"]);
    // The same handle works as soon as they are there.
    folder.store().migrate().await.unwrap();
    assert!(store.find(&id).wait().await.unwrap().is_none());
    assert!(!store.set_label(&id, None).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn r213_the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let store = folder.open().await;
    login(&service(&store), "ada").await;
    assert_eq!(folder.files().len(), 3, "the log and its index, too");
    for file in folder.files() {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn r213_tables_are_made_once_whoever_asks() {
    let folder = Folder::new();
    let handles: Vec<SqliteStore> = (0..8).map(|_| folder.store()).collect();
    for made in join_all(handles.iter().map(SqliteStore::migrate)).await {
        made.unwrap();
    }
    let issued = login(&service(&handles[0]), "ada").await;
    handles[1].migrate().await.unwrap();
    assert!(service(&handles[2]).verify(issued.access().expose(), None).await.is_ok(), "nothing was emptied");
    let versions: i64 = stranger(&folder.file())
        .query_row("select count(*) from portcullis_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(versions, 1);
}

#[tokio::test]
async fn r213_tables_of_another_version_are_left_alone() {
    let folder = Folder::new();
    let store = folder.open().await;
    let id = login(&service(&store), "ada").await.record().id();
    let set = |version: i64| {
        let sql = "update portcullis_schema set version = ?1";
        stranger(&folder.file()).execute(sql, [version]).unwrap();
    };
    set(99);
    let late = folder.store();
    check_unavailable(&late.migrate().await.unwrap_err(), "later version");
    check_unavailable(&late.find(&id).wait().await.unwrap_err(), "later version");
    check_unavailable(&late.set_label(&id, None).await.unwrap_err(), "later version");
    set(1);
    assert!(late.find(&id).wait().await.unwrap().is_some());
}

#[tokio::test]
async fn r213_a_migration_that_fails_leaves_nothing() {
    let folder = Folder::new();
    // The name of one of the last tables is taken.
    stranger(&folder.file()).execute_batch("create table portcullis_locks (id integer)").unwrap();
    let error = folder.store().migrate().await.unwrap_err();
    check_unavailable(&error, "the engine failed (1)");
    assert_eq!(names(&folder), ["portcullis_locks"]);
}

#[tokio::test]
async fn r213_stores_of_two_prefixes_share_a_file_and_nothing_else() {
    let folder = Folder::new();
    let store = |prefix: &str| SqliteStore::builder(folder.file()).prefix(prefix).build().unwrap();
    let (one, two) = (store("a"), store("portcullis_b2"));
    one.migrate().await.unwrap();
    let issued = login(&service(&one), "ada").await;
    let id = issued.record().id();
    check_unavailable(&two.find(&id).wait().await.unwrap_err(), "`migrate` makes them");
    two.migrate().await.unwrap();
    assert!(two.find(&id).wait().await.unwrap().is_none() && one.find(&id).wait().await.unwrap().is_some());
    let names = names(&folder);
    let of = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((of("a_"), of("portcullis_b2_"), names.len()), (9, 9, 18), "{names:?}");
}

#[test]
fn r213_every_fault_of_the_settings_is_found() {
    let builder = SqliteStore::builder("").prefix("Sessions'--").busy_timeout(Duration::from_secs(1));
    let error = builder.step_timeout(Duration::ZERO).readers(0).max_size(1).build().unwrap_err();
    let fields: Vec<&str> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(fields, ["path", "prefix", "step_timeout", "busy_timeout", "readers", "max_size"]);
    for prefix in ["", "_a", "1a", "a-b", "a\0", "sqlite", "sqlite_x", "\u{e9}", &"a".repeat(33)] {
        assert!(SqliteStore::builder("kept.db").prefix(prefix).build().is_err(), "{prefix}");
    }
    for prefix in ["a", "sqlitex", "shop_2", &"a".repeat(32)] {
        assert!(SqliteStore::builder("kept.db").prefix(prefix).build().is_ok(), "{prefix}");
    }
}

/// The engine would take both for something else.
#[tokio::test]
async fn r213_a_path_is_a_path() {
    let folder = Folder::new();
    for name in [":memory:", "file:kept.db?mode=memory"] {
        let path = folder.file().with_file_name(name);
        let store = SqliteStore::builder(&path).build().unwrap();
        store.migrate().await.unwrap();
        assert!(path.exists(), "{name}");
    }
}
