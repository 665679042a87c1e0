use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{ClientIpPolicy, ForwardedHeader, IpBucket, PeerAddr};
use crate::error::Faults;

const PROXY: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    headers
}

fn peer(text: &str) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(PeerAddr(SocketAddr::new(ip(text), 4711)));
    extensions
}

fn behind_proxies() -> ClientIpPolicy {
    ClientIpPolicy::peer().trust("10.0.0.0/8").trust("192.168.7.7").trust("fd00::/8")
}

#[track_caller]
fn check(name: &'static str, lines: &[&str], expected: &str) {
    let header =
        if name == "forwarded" { ForwardedHeader::Forwarded } else { ForwardedHeader::XForwardedFor };
    let found = behind_proxies().header(header).client_ip(&headers(name, lines), &peer(PROXY));
    assert_eq!(found, Some(ip(expected)), "{lines:?}");
}

#[test]
fn sec_j04_by_default_the_peer_is_the_client_whatever_the_headers_say() {
    let mut headers = headers("x-forwarded-for", &["1.1.1.1"]);
    headers.insert("forwarded", HeaderValue::from_static("for=1.1.1.1"));
    headers.insert("x-real-ip", HeaderValue::from_static("1.1.1.1"));
    let found = ClientIpPolicy::default().client_ip(&headers, &peer("203.0.113.9"));
    assert_eq!(found, Some(ip("203.0.113.9")));
    let mapped = ClientIpPolicy::peer().client_ip(&headers, &peer("::ffff:203.0.113.9"));
    assert_eq!(mapped, Some(ip("203.0.113.9")));
    assert_eq!(behind_proxies().client_ip(&headers, &peer("203.0.113.9")), Some(ip("203.0.113.9")));
    assert_eq!(behind_proxies().client_ip(&headers, &Extensions::new()), None);
}

#[test]
fn sec_j04_x_forwarded_for_is_read_from_the_right_while_the_hop_is_trusted() {
    for (lines, expected) in [
        (&["203.0.113.9"][..], "203.0.113.9"),
        (&["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        (&["1.1.1.1,203.0.113.9 , 10.2.3.4,\t192.168.7.7"], "203.0.113.9"),
        (&["1.1.1.1", "203.0.113.9", "10.2.3.4"], "203.0.113.9"),
        (&["\t2001:db8::9 , 10.2.3.4"], "2001:db8::9"),
        (&["1.1.1.1, 2.2.2.2", "10.2.3.4"], "2.2.2.2"),
        // A client cannot push itself behind our proxies by naming them.
        (&["10.9.9.9, 203.0.113.9"], "203.0.113.9"),
        // Nothing but our own machines: the one that began.
        (&["10.2.3.4, 10.2.3.5"], "10.2.3.4"),
        (&[], PROXY),
        // The neighbour of a trusted address is not trusted.
        (&["1.1.1.1, 192.168.7.8"], "192.168.7.8"),
        (&["1.1.1.1, 11.0.0.1"], "11.0.0.1"),
    ] {
        check("x-forwarded-for", lines, expected);
    }
}

#[test]
fn sec_j04_a_malformed_entry_ends_the_walk_at_the_last_good_hop() {
    for junk in [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        "1.1.1",
        "1.1.1.1.1",
        "01.1.1.1",
        "256.1.1.1",
        "0x7f.1",
        "1.1.1.1:",
        "1.1.1.1:x",
        "1.1.1.1:99999",
        "1.1.1.1:+80",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:",
        "[1.1.1.1]",
        "[]",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "\"1.1.1.1\"",
        "1.1.1.1;x",
        "1.1.1.1 2.2.2.2",
        "\u{e9}",
        "for=1.1.1.1",
    ] {
        let line = format!("6.6.6.6, {junk}, 10.2.3.4");
        check("x-forwarded-for", &[&line], "10.2.3.4");
        check("x-forwarded-for", &["6.6.6.6", junk], PROXY);
    }
    check("x-forwarded-for", &["6.6.6.6", "", "10.2.3.4"], "10.2.3.4");
}

#[test]
fn sec_j04_ports_brackets_and_mapped_addresses_are_understood() {
    for (entry, expected) in [
        ("203.0.113.9:80", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8::1]:4711", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
    ] {
        check("x-forwarded-for", &["6.6.6.6", entry], expected);
    }
    // Trusted although it came in the other form.
    check("x-forwarded-for", &["6.6.6.6, 203.0.113.9, ::ffff:10.1.1.1, [fd00::7]:80"], "203.0.113.9");
    let mapped =
        behind_proxies().client_ip(&headers("x-forwarded-for", &["203.0.113.9"]), &peer("::ffff:10.0.0.1"));
    assert_eq!(mapped, Some(ip("203.0.113.9")));
}

#[test]
fn sec_j04_forwarded_follows_rfc_7239() {
    for (lines, expected) in [
        (&["for=203.0.113.9"][..], "203.0.113.9"),
        (&["For=\"203.0.113.9:80\""], "203.0.113.9"),
        (&["for=203.0.113.9:80"], "203.0.113.9"),
        (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
        (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
        (&["for=\"203.0.113.9:_port-1\""], "203.0.113.9"),
        (&["by=10.0.0.1;for=203.0.113.9;proto=https;host=a.test"], "203.0.113.9"),
        (&["proto=https; for=203.0.113.9 ;"], "203.0.113.9"),
        (&["for=6.6.6.6, for=203.0.113.9, for=10.2.3.4"], "203.0.113.9"),
        (&["for=6.6.6.6", "for=203.0.113.9", "for=10.2.3.4;by=10.0.0.1"], "203.0.113.9"),
        // Commas and quotes inside a quoted string are text.
        (&["for=203.0.113.9;host=\"a, for=6.6.6.6\""], "203.0.113.9"),
        (&["for=203.0.113.9;host=\"a\\\", for=6.6.6.6, \\\"\""], "203.0.113.9"),
        (&["for=203.0.113.9;host=\"a\\\\\\\", for=6.6.6.6, \""], "203.0.113.9"),
        (&["host=\"for=6.6.6.6;\";for=203.0.113.9"], "203.0.113.9"),
        (&["for=\"203.0.113.9\" ;proto=https"], "203.0.113.9"),
        // A client's half quote swallows nothing that a proxy adds.
        (&["for=\"6.6.6.6, for=203.0.113.9"], "203.0.113.9"),
        (&["for=\"6.6.6.6\\, for=203.0.113.9;proto=\"https\""], "203.0.113.9"),
        (&["\"", "for=203.0.113.9"], "203.0.113.9"),
    ] {
        check("forwarded", lines, expected);
    }
    for junk in [
        "",
        "for=unknown",
        "for=_hidden",
        "for=\"_hidden:80\"",
        "for=\"unknown:80\"",
        "proto=https",
        "for",
        "for=",
        "for=\"\"",
        "for=\"2001:db8::1\"",
        "for=2001:db8::1",
        "for=\"[2001:db8::1\"",
        "for=\"[2001:db8::1]x\"",
        "for=\"1.1.1.1:99999\"",
        "for=\"1.1.1.1:_\"",
        "for=\"1.1.1.1:_a b\"",
        "for=\"1.1.1.1:_%\"",
        "for=1.1.1.1;for=2.2.2.2",
        "for=1.1.1.1;FOR=1.1.1.1",
        "for=\"1.1.1.1\"x",
        "for=\"\\1.1.1.1\"",
        "for=1.1.1.1;proto",
        "1.1.1.1",
        "for=\"1.1.1.1",
        "xfor=1.1.1.1",
        "for =",
    ] {
        check("forwarded", &["for=6.6.6.6", junk, "for=10.2.3.4"], "10.2.3.4");
    }
}

#[test]
fn sec_j04_only_the_configured_header_is_read() {
    let mut both = headers("x-forwarded-for", &["203.0.113.9"]);
    both.insert("forwarded", HeaderValue::from_static("for=203.0.113.10"));
    assert_eq!(behind_proxies().client_ip(&both, &peer(PROXY)), Some(ip("203.0.113.9")));
    let other = behind_proxies().header(ForwardedHeader::Forwarded);
    assert_eq!(other.client_ip(&both, &peer(PROXY)), Some(ip("203.0.113.10")));
}

#[test]
fn the_host_may_keep_the_peer_elsewhere() {
    let policy = behind_proxies().peer_from(|extensions| extensions.get::<IpAddr>().copied());
    let mut extensions = peer("203.0.113.1");
    assert_eq!(policy.client_ip(&HeaderMap::new(), &extensions), None);
    extensions.insert(ip("203.0.113.9"));
    assert_eq!(policy.client_ip(&HeaderMap::new(), &extensions), Some(ip("203.0.113.9")));
}

#[test]
fn sec_j04_networks_that_are_none_or_everybody_are_faults_and_trust_nobody() {
    let wrong = [
        "",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.1/8",
        "10.0.0",
        "::/129",
        "fd00::1/8",
        "0.0.0.0/0",
        "::/0",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.0/104",
        "localhost",
        " 10.0.0.1",
        "10.0.0.0/99999999999",
    ];
    let policy = wrong.into_iter().fold(ClientIpPolicy::peer(), ClientIpPolicy::trust);
    let mut faults = Faults::default();
    policy.check(&mut faults);
    let fault = faults.finish().unwrap_err();
    let named: Vec<&str> = fault.faults().iter().map(|fault| fault.value()).collect();
    assert_eq!(named, wrong.map(|text| format!("{text:?}")));
    let lines = headers("x-forwarded-for", &["203.0.113.9"]);
    assert_eq!(policy.client_ip(&lines, &peer(PROXY)), Some(ip(PROXY)));

    let mut faults = Faults::default();
    behind_proxies().trust("::1/128").trust("::1").trust("128.0.0.0/1").check(&mut faults);
    assert!(faults.finish().is_ok());
}

/// `10.0.0.0/8` and `a00::/8` begin with the same bits.
#[test]
fn sec_j04_a_network_of_one_family_holds_no_address_of_the_other() {
    let lines = headers("x-forwarded-for", &["6.6.6.6"]);
    assert_eq!(behind_proxies().client_ip(&lines, &peer("a00::1")), Some(ip("a00::1")));
    let six = ClientIpPolicy::peer().trust("a00::/8");
    assert_eq!(six.client_ip(&lines, &peer(PROXY)), Some(ip(PROXY)));
}

#[test]
fn sec_j04_a_bucket_is_an_ipv4_address_or_an_ipv6_64() {
    for (address, shown) in [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ] {
        assert_eq!(IpBucket::of(ip(address)).to_string(), shown);
    }
    assert_eq!(IpBucket::of(ip("2001:db8:1:2::1")), IpBucket::of(ip("2001:db8:1:2:ffff::")));
    assert_ne!(IpBucket::of(ip("2001:db8:1:2::1")), IpBucket::of(ip("2001:db8:1:3::1")));
    assert_ne!(IpBucket::of(ip("192.0.2.7")), IpBucket::of(ip("192.0.2.8")));
}

proptest! {
    /// Whatever a client sends in front of what the proxy appends, the proxy's entry decides.
    #[test]
    fn sec_j04_no_text_of_a_client_moves_the_address(spoofed in prop::collection::vec("[\\x20-\\x7e]{0,24}|(for=|\"|\\\\|,|10\\.0\\.0\\.1| ){0,8}", 0..3)) {
        let spoofed: Vec<&str> = spoofed.iter().map(String::as_str).collect();
        for (name, appended) in [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9;host=\"a, b\"")] {
            let own_line: Vec<&str> = spoofed.iter().copied().chain([appended]).collect();
            check(name, &own_line, "203.0.113.9");
            if let Some((last, before)) = spoofed.split_last() {
                let joined = format!("{last}, {appended}");
                let same_line: Vec<&str> = before.iter().copied().chain([joined.as_str()]).collect();
                check(name, &same_line, "203.0.113.9");
            }
        }
    }
}
