//! What clients were told, line by line, in a file that none but its owner reads; and what must hold of it later.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use portcullis::{text::TokenId, token::Issued};

use crate::support::refresh_text;

/// A file that only grows. Each line is one write, so that a process that is killed leaves whole lines.
pub(super) struct Journal(File);

/// What a client knew of one login when its process ended.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Every pair that it was given, the newest last.
    pub(super) pairs: Vec<Pair>,
    /// Up to which generation it has used, or was about to use, an access token.
    pub(super) used: Option<u32>,
    /// It was about to log out.
    pub(super) ends: bool,
    /// It was told that it is logged out.
    pub(super) ended: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) generation: u32,
    pub(super) access: String,
    pub(super) refresh: String,
}

// ===== impl Pair =====

impl Pair {
    pub(super) fn of(issued: &Issued) -> Self {
        Self {
            generation: issued.record().generation(),
            access: issued.access().expose().to_owned(),
            refresh: refresh_text(issued),
        }
    }
}

// ===== impl Journal =====

impl Journal {
    pub(super) fn append_to(path: &Path) -> Self {
        Self(File::options().create(true).append(true).mode(0o600).open(path).unwrap())
    }

    pub(super) fn pair(&self, id: &TokenId, pair: &Pair) {
        self.line(&format!("pair {id} {} {} {}", pair.generation, pair.access, pair.refresh));
    }

    pub(super) fn used(&self, id: &TokenId, generation: u32) {
        self.line(&format!("used {id} {generation}"));
    }

    pub(super) fn ends(&self, id: &TokenId) {
        self.line(&format!("ends {id}"));
    }

    pub(super) fn ended(&self, id: &TokenId) {
        self.line(&format!("ended {id}"));
    }

    fn line(&self, line: &str) {
        (&self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// How many lines of that kind there are.
pub(super) fn count(path: &Path, kind: &str) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.split(' ').next() == Some(kind)).count()
}

/// By login.
pub(super) fn read(path: &Path) -> HashMap<TokenId, Known> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut all = HashMap::<TokenId, Known>::new();
    for line in whole.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let known = all.entry(TokenId::parse(words[1]).unwrap()).or_default();
        match words[..] {
            ["pair", _, generation, access, refresh] => {
                let generation = generation.parse().unwrap();
                let pair = Pair { generation, access: access.to_owned(), refresh: refresh.to_owned() };
                known.pairs.push(pair);
            }
            ["used", _, generation] => known.used = Some(generation.parse().unwrap()),
            ["ends", _] => known.ends = true,
            ["ended", _] => known.ended = true,
            _ => panic!("{} words", words.len()),
        }
    }
    all
}
