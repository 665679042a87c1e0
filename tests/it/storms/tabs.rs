//! Fifty tabs that share their storage, on a bad network, with two nodes whose clocks differ, on every engine: the story
//! of the torture tests, told over a store that is elsewhere.

use super::sites::{Engine, Site, now};
use crate::torture::{Manners, Network};

fn nobody_is_logged_out(engine: Engine) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = runtime.block_on(Site::on(engine));
    let report = Network::over(site.stores, now(), Some(runtime), 1, 50, Manners::Shared).run(1_000);
    assert_eq!((report.logouts, report.reuse), (0, 0), "{report:?}");
    assert_eq!((report.logins_in_store, report.living_pairs), (1, 1), "one lineage");
    assert!(report.lost > 10 && report.late > 60 && report.repeats > 5, "the network was bad: {report:?}");
    assert_eq!(report.generation, report.rotations);
    assert_eq!(report.rotations + report.repeats + report.refused, report.refreshes);
}

#[test]
fn r202_torture_fifty_tabs_over_sqlite_and_nobody_is_logged_out() {
    nobody_is_logged_out(Engine::Sqlite);
}

#[test]
fn r202_torture_fifty_tabs_over_postgres_and_nobody_is_logged_out() {
    nobody_is_logged_out(Engine::Postgres);
}

#[test]
fn r202_torture_fifty_tabs_over_redis_and_nobody_is_logged_out() {
    nobody_is_logged_out(Engine::Redis);
}

#[test]
fn r202_torture_fifty_tabs_over_valkey_and_nobody_is_logged_out() {
    nobody_is_logged_out(Engine::Valkey);
}
