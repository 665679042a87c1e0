//! Settings from the environment of a real process.
#![cfg(feature = "config")]

use std::{env, process::Command};

use portcullis::{TokenPolicy, settings::Settings};

/// Set for the child alone.
const CHILD: &str = "PORTCULLIS_TEST_CHILD_TOKEN_";

/// The tests run themselves once more, as a process with an environment of its own.
#[test]
fn r053_a_process_reads_its_environment() {
    let child = |value: &str| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "environment::the_child_says_what_is_in_force", "--nocapture"])
            .env(format!("{CHILD}ACCESS_TTL"), value)
            .output()
            .unwrap()
    };
    let said = String::from_utf8(child("15m").stdout).unwrap();
    assert!(said.lines().any(|line| line.ends_with("access_ttl = 15m")), "{said}");
    let said = String::from_utf8(child("fifteen").stdout).unwrap();
    assert!(said.contains("access_ttl = \"fifteen\": must be a duration"), "{said}");
}

/// Where nobody has set anything, the defaults.
#[test]
fn the_child_says_what_is_in_force() {
    let read = TokenPolicy::builder().settings(Settings::from_env(CHILD)).build();
    if env::var_os(format!("{CHILD}ACCESS_TTL")).is_none() {
        assert_eq!(read.as_ref().unwrap().describe(), TokenPolicy::default().describe());
    }
    match read {
        Ok(policy) => println!("\n{}", policy.describe()),
        Err(error) => println!("\n{error}"),
    }
}
