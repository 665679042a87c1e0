//! What a million logins cost in memory: `cargo bench --bench store_memory`
//!
//! Each variant fills a store in a process of its own, because a process gives little back; printed is what its
//! resident memory grew by, for each login. The differences between the variants are the breakdown.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a bench that meets an error has failed

use std::{env, fs, process::Command};

use futures_util::FutureExt;
use portcullis::{MemoryStore, TokenPolicy, TokenService, identity::Subject, token::IssueOptions};

const LOGINS: usize = 1_000_000;
/// 32 bytes of JSON.
const CONTEXT: &str = r#"{"device":"phone","os":"android"}"#;

/// What differs between two variants is what they are named for.
const VARIANTS: [&str; 4] = ["shared subject", "own subjects", "own subjects and context", "refreshed once"];

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn fill(variant: &str) {
    let store = MemoryStore::with_capacity(2 * LOGINS);
    let tokens = TokenService::new(store.clone(), TokenPolicy::default());
    let context: serde_json::Map<_, _> = serde_json::from_str(CONTEXT).unwrap();
    let before = resident();
    for number in 0..LOGINS {
        let subject = if variant == "shared subject" { 0 } else { number };
        let mut options = IssueOptions::default();
        if variant == "own subjects and context" {
            options = options.context(context.clone());
        }
        // Sixteen bytes.
        let subject = Subject::local(format!("user-{subject:011}"));
        let issued = tokens.issue_for_header(subject, options).now_or_never().unwrap().unwrap();
        if variant == "refreshed once" {
            let text = issued.refresh().unwrap().expose().to_owned();
            let request =
                portcullis::token::RefreshRequest::new(&text, portcullis::credential::Channel::Header);
            tokens.refresh(request).now_or_never().unwrap().unwrap();
        }
    }
    println!("{}", (resident() - before) / store.len());
}

fn main() {
    if let Some(variant) = env::args().skip_while(|argument| argument != "--fill").nth(1) {
        return fill(&variant);
    }
    println!("bytes resident for each of {LOGINS} logins");
    let [shared, own, with_context, _] = VARIANTS.map(|variant| {
        let child = Command::new(env::current_exe().unwrap()).args(["--fill", variant]).output().unwrap();
        let bytes: usize = String::from_utf8_lossy(&child.stdout).trim().parse().unwrap();
        println!("{variant:>28} {bytes:>6}");
        bytes
    });
    println!("{:>28} {:>6}", "of that, an epoch row", own - shared);
    println!("{:>28} {:>6}", "a context of 32 bytes", with_context - own);
    println!("{:>28} {:>6}", "a login without its epoch row", with_context + shared - own);
}
