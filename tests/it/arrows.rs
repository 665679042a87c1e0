//! Which room may use which: read from the source, so that the picture in `src/docs/architecture.md` stays
//! true.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The rooms from the ground up. A room may use every room on a lower level, and itself.
const LEVELS: [&[&str]; 6] = [
    &[
        "challenge",
        "client_ip",
        "clock",
        "cookie",
        "credential",
        "csrf",
        "date",
        "error",
        "event",
        "identity",
        "keyring",
        "maybe_ready",
        "oauth_error",
        "origin",
        "path",
        "problem",
        "random",
        "redact",
        "redirect",
        "retry_after",
        "scope",
        "seal",
        "secret",
        "settings",
        "text",
    ],
    &["http_client", "provider", "store", "verify"],
    &[
        "circuit",
        "correlation",
        "pipeline",
        "rate_info",
        "request_log",
        "retry",
        "session",
        "throttle",
        "token",
    ],
    &["flow"],
    &["inbound", "outbound"],
    &["axum", "conformance", "file", "metrics", "postgres", "redis", "reqwest", "sqlite", "tonic"],
];

/// What may be used beside the rule: words use words.
const SIDEWAYS_LEVEL: usize = 0;

/// And these arrows on one level.
const SIDEWAYS: [(&str, &str); 1] = [("session", "token")];

/// Names at the crate's root that are no rooms.
const ROOT: [&str; 2] = ["docs", "lib"];

/// Macros are at the crate's root, too, wherever they are written: these are `conformance`'s own.
const MACRO: &str = "__portcullis_";

const LINES_MAX: usize = 500;

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

fn allowed(from: &str, to: &str) -> bool {
    let (Some(low), Some(high)) = (level(to), level(from)) else { return false };
    let sideways = low == SIDEWAYS_LEVEL || SIDEWAYS.contains(&(from, to));
    from == to || low < high || (low == high && sideways)
}

/// The rooms that a source uses. `module` is its path in the crate: `["inbound", "layer"]`.
fn uses(source: &str, module: &[String]) -> BTreeSet<String> {
    let tokens: TokenStream = source.parse().expect("Rust source");
    let mut found = BTreeSet::new();
    scan(tokens, module, &mut found);
    found
}

fn scan(tokens: TokenStream, module: &[String], found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(&tokens, at + 2);
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(word) if *word == "mod" && is_group(tokens.get(at + 2), Delimiter::Brace) => {
                let mut inner = module.to_vec();
                inner.push(tokens[at + 1].to_string());
                if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                    scan(body.stream(), &inner, found);
                }
                at += 3;
            }
            TokenTree::Ident(word) if *word == "crate" || *word == "super" || *word == "self" => {
                path(&tokens, at, module.to_vec(), found);
                at += 1;
                // The rest of the path was read: it is not the start of another one.
                while colons(&tokens, at) {
                    at += 3;
                }
            }
            TokenTree::Group(group) => {
                scan(group.stream(), module, found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Follows one path from `crate`, `super` or `self`, into its groups.
fn path(tokens: &[TokenTree], mut at: usize, mut place: Vec<String>, found: &mut BTreeSet<String>) {
    match tokens[at].to_string().as_str() {
        "crate" => place.clear(),
        "super" => drop(place.pop()),
        _ => {}
    }
    if !colons(tokens, at + 1) {
        return;
    }
    at += 3;
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) if *word == "super" => path(tokens, at, place, found),
        Some(TokenTree::Ident(word)) => {
            place.push(word.to_string());
            found.insert(place[0].clone());
        }
        Some(TokenTree::Group(group)) => {
            let items: Vec<TokenTree> = group.stream().into_iter().collect();
            let starts = items
                .iter()
                .enumerate()
                .filter(|(index, _)| *index == 0 || items[index - 1].to_string() == ",");
            for (index, item) in starts {
                if item.to_string() == "super" {
                    path(&items, index, place.clone(), found);
                } else if let Some(first) = place.first() {
                    found.insert(first.clone());
                } else if item.to_string() != "self" {
                    found.insert(item.to_string());
                }
            }
        }
        _ => {}
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(tokens.get(at)) && colon(tokens.get(at + 1))
}

fn is_group(token: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(hash), TokenTree::Group(body), ..]
        if hash.as_char() == '#' && body.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// The position after an item: behind its `;` or its braces.
fn end_of_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while at < tokens.len() {
        let ends = matches!(&tokens[at], TokenTree::Punct(punct) if punct.as_char() == ';')
            || is_group(tokens.get(at), Delimiter::Brace);
        at += 1;
        // A `use` ends with its semicolon, not with the braces of its list.
        let list = matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ';');
        if ends && !list {
            break;
        }
    }
    at
}

fn sources() -> Vec<(PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().with_extension("");
                let mut module: Vec<String> =
                    relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if module.last().is_some_and(|last| last == "mod") {
                    module.pop();
                }
                found.push((path, module));
            }
        }
    }
    assert!(found.len() > 40, "the sources were found");
    found
}

fn is_test(module: &[String]) -> bool {
    module.iter().any(|part| part == "tests")
}

#[test]
fn every_arrow_points_down() {
    let mut wrong = Vec::new();
    for (path, module) in sources() {
        let room = &module[0];
        if is_test(&module) || ROOT.contains(&room.as_str()) {
            continue;
        }
        assert!(level(room).is_some(), "{room} is on no level: add it here and to the architecture notes");
        for used in uses(&fs::read_to_string(&path).unwrap(), &module) {
            if !used.starts_with(MACRO) && !allowed(room, &used) {
                wrong.push(format!("{}: {room} -> {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_longer_than_five_hundred_lines_without_its_tests() {
    for (path, module) in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]" || is_test(&module)).count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// The check itself: each planted arrow is seen, and what only looks like one is not.
#[test]
fn planted_arrows_are_found() {
    #[track_caller]
    fn check(source: &str, module: &[&str], expected: &[&str]) {
        let module: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
        let found: Vec<String> = uses(source, &module).into_iter().collect();
        assert_eq!(found, expected, "{source}");
    }

    let token = ["token", "verify"];
    check("use crate::inbound::AuthLayer;", &token, &["inbound"]);
    check("use crate::{store::{Found, X}, inbound, outbound::*};", &token, &["inbound", "outbound", "store"]);
    check("use super::super::inbound::X;", &token, &["inbound"]);
    check("use super::{issue::X, super::{outbound, store::Y}};", &token, &["outbound", "store", "token"]);
    check("fn f() -> crate::inbound::X { crate::outbound::f() }", &token, &["inbound", "outbound"]);
    check("pin_project! { struct S { #[pin] f: crate::inbound::F } }", &token, &["inbound"]);
    check("mod inner { use super::super::super::inbound::X; }", &token, &["inbound"]);
    check("pub(crate) fn f(self: &Self) { self::g::h() }", &token, &["token"]);
    check("/// [x](crate::inbound)\n// crate::inbound\nconst X: &str = \"crate::inbound\";", &token, &[]);
    check("#[cfg(test)]\nmod tests { use crate::inbound::X; }\nuse crate::store::Y;", &token, &["store"]);
    check("#[cfg(test)]\nuse crate::{inbound::X, axum};\nuse crate::store::Y;", &token, &["store"]);
    check("#[cfg(feature = \"axum\")]\nuse crate::axum::X;", &token, &["axum"]);

    assert!(!allowed("token", "inbound") && !allowed("inbound", "outbound") && !allowed("store", "verify"));
    assert!(!allowed("clock", "store") && !allowed("token", "unheard_of"));
    assert!(allowed("session", "token") && !allowed("token", "session") && !allowed("throttle", "token"));
    assert!(allowed("inbound", "token") && allowed("token", "token") && allowed("identity", "problem"));
}
