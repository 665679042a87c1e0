//! Judging a `Set-Cookie` that something else writes.

use std::fmt;

use super::{
    Finding, SameSite,
    parse::Parsed,
    write::{Line, PAIR_CAP, is_cookie_octet},
};
use crate::{secret::Secret, text::is_tchar};

/// The longest `Max-Age` without a finding, in seconds: 8 hours, the upper end of what OWASP's cheat sheet on
/// session management gives an office worker's day.
const LONGEST: u64 = 8 * 60 * 60;

/// What [`lint`] found. Neither `Debug` nor `Display` shows the cookie's value.
#[derive(Debug, Clone)]
pub struct Audit {
    name: String,
    findings: Vec<Finding>,
    fixed: Option<Secret>,
}

/// Judges a `Set-Cookie` value, with or without the header's name in front of it, as that of a cookie that
/// carries a login.
///
/// It is read as browsers read it: names of attributes in any case, the last of several counts, unknown ones
/// are kept and not judged. Advice about the life starts above 8 hours, for the cookie of a working day; only
/// you know whether the server ends an idle login earlier, and then a longer `Max-Age` can be a fair choice.
pub fn lint(set_cookie: &str) -> Audit {
    let text = match set_cookie.split_once(':') {
        Some((header, value)) if header.trim().eq_ignore_ascii_case("Set-Cookie") => value,
        _ => set_cookie,
    };
    let cookie = Parsed::new(text);
    let fixed_name = fixed_name(&cookie);
    let mut findings = Vec::new();
    if !is_well_formed(&cookie, text) {
        findings.push(Finding::Malformed);
    }
    if fixed_name.len() + cookie.value.len() > PAIR_CAP {
        findings.push(Finding::TooLong);
    }
    let fixed = findings.is_empty().then(|| fixed(&cookie, &fixed_name));
    judge_attributes(&cookie, &mut findings);
    judge_name(&cookie, &mut findings);
    Audit { name: cookie.name.to_owned(), findings, fixed }
}

// ===== impl Audit =====

impl Audit {
    /// The cookie's name as it came; empty if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong; empty if nothing is.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The `Set-Cookie` value without any of the faults. It holds the cookie's value, hence the [`Secret`].
    ///
    /// `None` where no attribute mends it: [`Finding::Malformed`], [`Finding::TooLong`]. A path is kept, with
    /// `__Secure-`, unless the name says `__Host-`; `Domain` is dropped; `SameSite=None` becomes `Lax`; a
    /// removal stays a removal. The application has to look for the new name.
    pub fn fixed(&self) -> Option<&Secret> {
        self.fixed.as_ref()
    }
}

/// One line for the name, one for each finding.
impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.findings.len() == 1 { "finding" } else { "findings" };
        write!(f, "{}: {} {many}", self.name.escape_debug(), self.findings.len())?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n- {finding}"))
    }
}

// ===== prefixes =====

/// What browsers check about a name (RFC 6265bis §4.1.3; those with `Http` are of its successor, layered
/// cookies).
struct Prefix {
    text: &'static str,
    host: bool,
    http: bool,
    /// What takes its place where `__Host-` is possible.
    bound: &'static str,
}

/// The longer of two that begin alike comes first.
const PREFIXES: [Prefix; 4] = [
    Prefix { text: "__Host-Http-", host: true, http: true, bound: "__Host-Http-" },
    Prefix { text: "__Host-", host: true, http: false, bound: "__Host-" },
    Prefix { text: "__Secure-", host: false, http: false, bound: "__Host-" },
    Prefix { text: "__Http-", host: false, http: true, bound: "__Host-Http-" },
];

/// The prefix, known in any case as browsers know it, and the name behind it.
fn prefix_of(name: &str) -> Option<(&'static Prefix, &str)> {
    PREFIXES.iter().find_map(|prefix| {
        let (start, bare) = name.split_at_checked(prefix.text.len())?;
        start.eq_ignore_ascii_case(prefix.text).then_some((prefix, bare))
    })
}

/// Whether a path keeps the cookie from being one for the whole host.
fn is_narrow(cookie: &Parsed<'_>) -> bool {
    cookie.path.is_some_and(|path| path != "/")
}

// ===== findings =====

fn is_well_formed(cookie: &Parsed<'_>, text: &str) -> bool {
    // The grammar allows a pair of quotes around the value (RFC 6265 §4.1.1).
    let quoted = cookie.value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = !cookie.name.is_empty() && cookie.name.bytes().all(is_tchar);
    let value = quoted.unwrap_or(cookie.value).bytes().all(is_cookie_octet);
    name && value && text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
}

fn judge_attributes(cookie: &Parsed<'_>, findings: &mut Vec<Finding>) {
    let mut find = |broken: bool, finding| {
        if broken {
            findings.push(finding);
        }
    };
    find(!cookie.http_only, Finding::MissingHttpOnly);
    find(!cookie.secure, Finding::MissingSecure);
    find(cookie.same_site.is_none(), Finding::MissingSameSite);
    let cross_site = cookie.same_site == Some(SameSite::None);
    find(cross_site, Finding::SameSiteNone);
    find(cross_site && !cookie.secure, Finding::SameSiteNoneWithoutSecure);
    find(cookie.max_age.is_some_and(|seconds| seconds > LONGEST), Finding::LongLife);
    let dated = cookie.max_age.is_none() && cookie.expires.is_some();
    find(dated && !is_removal(cookie), Finding::ExpiresOnly);
    find(cookie.domain, Finding::Domain);
    find(cookie.path.is_none(), Finding::MissingPath);
}

fn judge_name(cookie: &Parsed<'_>, findings: &mut Vec<Finding>) {
    let Some((prefix, _)) = prefix_of(cookie.name) else {
        findings.push(Finding::MissingPrefix);
        return;
    };
    let for_the_host = !cookie.domain && cookie.path == Some("/");
    if !cookie.name.starts_with(prefix.text) {
        findings.push(Finding::MiscasedPrefix);
    }
    if !prefix.host && for_the_host {
        findings.push(Finding::WeakPrefix);
    }
    if prefix.host && !(for_the_host && cookie.secure) {
        findings.push(Finding::BrokenHostPrefix);
    }
    if prefix.http && !(cookie.secure && cookie.http_only) {
        findings.push(Finding::BrokenHttpPrefix);
    }
    if !prefix.host && !prefix.http && !cookie.secure {
        findings.push(Finding::BrokenSecurePrefix);
    }
}

/// A removal is written with no value, or with a date at the beginning of computers' time.
fn is_removal(cookie: &Parsed<'_>) -> bool {
    cookie.value.is_empty() || cookie.expires.is_some_and(|date| date.contains("1970"))
}

// ===== the fixed cookie =====

fn fixed_name(cookie: &Parsed<'_>) -> String {
    let narrow = is_narrow(cookie);
    let name = match prefix_of(cookie.name) {
        Some((prefix, bare)) if narrow => format!("{}{bare}", prefix.text),
        Some((prefix, bare)) => format!("{}{bare}", prefix.bound),
        None if narrow => format!("__Secure-{}", cookie.name),
        None => format!("__Host-{}", cookie.name),
    };
    // A name that starts with `http-` has become a longer prefix.
    match prefix_of(&name) {
        Some((prefix, bare)) => format!("{}{bare}", prefix.text),
        None => name,
    }
}

fn fixed(cookie: &Parsed<'_>, name: &str) -> Secret {
    let host = prefix_of(name).is_some_and(|(prefix, _)| prefix.host);
    let life = match (cookie.max_age, cookie.expires) {
        (Some(seconds), _) => Some(seconds.min(LONGEST)),
        (None, Some(_)) if is_removal(cookie) => Some(0),
        (None, Some(_)) => Some(LONGEST),
        (None, None) => None,
    };
    let line = Line {
        name,
        value: cookie.value,
        max_age: life,
        path: cookie.path.filter(|_| !host).unwrap_or("/"),
        secure: true,
        same_site: cookie.same_site.filter(|same_site| *same_site != SameSite::None).unwrap_or(SameSite::Lax),
    };
    let mut text = line.text(cookie.others.iter().map(|other| other.len() + 2).sum());
    for other in &cookie.others {
        text.push_str("; ");
        text.push_str(other);
    }
    Secret::new(std::mem::take(&mut *text))
}
