//! The page of features and the tests name the same rows.

use std::{collections::BTreeSet, fs, path::Path};

/// `r036` of `r036_fifty_…`, `sec_a01` of `sec_a01_no_…`.
fn row(name: &str) -> Option<String> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match name.split('_').collect::<Vec<_>>()[..] {
        ["sec", id, ..] if id.len() == 3 && digits(&id[1..]) => Some(format!("sec_{id}")),
        [id, ..] if id.len() == 4 && id.starts_with('r') && digits(&id[1..]) => Some(id.to_owned()),
        _ => None,
    }
}

fn tested(folder: &Path, rows: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tested(&path, rows);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            rows.extend(names.filter_map(row));
        }
    }
}

#[test]
fn every_listed_row_has_a_test_and_every_tested_row_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rows = BTreeSet::new();
    tested(&root.join("src"), &mut rows);
    tested(&root.join("tests"), &mut rows);
    let page = fs::read_to_string(root.join("src/docs/features.md")).unwrap();
    let listed: BTreeSet<String> =
        page.lines().filter_map(|line| row(line.strip_prefix("| ")?.split(' ').next()?)).collect();
    assert_eq!(rows, listed);
    assert!(rows.len() > 50);
}
