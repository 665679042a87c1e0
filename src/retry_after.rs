//! `Retry-After` (RFC 9110 §10.2.3): a number of seconds, or a date.

use std::time::Duration;

use http::HeaderValue;

use crate::clock::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const DAY: i64 = 24 * 60 * 60;
/// Fifty years of the Gregorian calendar's mean length.
const FIFTY_YEARS: Duration = Duration::from_secs(50 * 31_556_952);

/// How long to wait from `now` on: zero for a date that has passed, `None` for what is neither form. The span is
/// whatever the server wrote, centuries too: bound it before adding to it.
pub(crate) fn parse(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    if is_number(text) {
        // All are digits, so the only fault can be that there are too many.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    http_date(text, now).map(|at| at.since(now))
}

/// A moment in one of the three forms that recipients must accept (RFC 9110 §5.6.7). Whether the day of the week
/// is the date's own is not looked at.
fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let parts: Vec<&str> = text.split(' ').collect();
    match parts[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [name, day, month, year, time, "GMT"] if is_short_day(name.strip_suffix(',')?) => {
            moment(number(year, 4)?, month, number(day, 2)?, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [name, date, time, "GMT"] if DAYS.contains(&name.strip_suffix(',')?) => {
            let parts: Vec<&str> = date.split('-').collect();
            let [day, month, year] = parts[..] else { return None };
            nearest(number(year, 2)?, month, number(day, 2)?, time, now)
        }
        // Sun Nov  6 08:49:37 1994
        [name, month, "", day, time, year] if is_short_day(name) => {
            moment(number(year, 4)?, month, number(day, 1)?, time)
        }
        // Sun Nov 16 08:49:37 1994
        [name, month, day, time, year] if is_short_day(name) => {
            moment(number(year, 4)?, month, number(day, 2)?, time)
        }
        _ => None,
    }
}

/// A year of two digits is the one within fifty years of now: what appears to be farther ahead is past, as the RFC
/// has it, and shortly before a century's end the next one's years are ahead.
fn nearest(short_year: i64, month: &str, day: i64, time: &str, now: Timestamp) -> Option<Timestamp> {
    let century = year_of(now).div_euclid(100) * 100;
    [century + 100, century, century - 100]
        .into_iter()
        .filter_map(|century| moment(century + short_year, month, day, time))
        .find(|at| *at <= now.plus(FIFTY_YEARS))
}

fn moment(year: i64, month: &str, day: i64, time: &str) -> Option<Timestamp> {
    let month = MONTHS.iter().position(|name| *name == month)?;
    let parts: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = parts[..] else { return None };
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    // 60 is a leap second, and the same moment as the next minute's first.
    let valid = (1..=days_in(month, year)).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let days = days_before(year) + (0..month).map(|month| days_in(month, year)).sum::<i64>() + day - 1;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second;
    valid.then(|| Timestamp::from_millis(seconds * 1000))
}

/// Days from 1970-01-01 to the first of January of this year, in the calendar that has always been Gregorian.
fn days_before(year: i64) -> i64 {
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * (year - 1970) + leap_days(year - 1) - leap_days(1969)
}

fn days_in(month: usize, year: i64) -> i64 {
    match month {
        1 if days_before(year + 1) - days_before(year) == 366 => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

fn year_of(at: Timestamp) -> i64 {
    let days = at.as_millis().div_euclid(DAY * 1000);
    // 400 years have 146097 days, always; within them the mean year is off by a day or two.
    let guess = 1970 + (days * 400).div_euclid(146_097);
    (guess - 1..=guess + 1).rfind(|year| days_before(*year) <= days).unwrap_or(guess)
}

fn is_short_day(name: &str) -> bool {
    name.len() == 3 && DAYS.iter().any(|day| day.starts_with(name))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && is_number(text)).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOV_1994: i64 = 784_111_777;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[track_caller]
    fn date(text: &str, now: i64, expected: Option<i64>) {
        assert_eq!(http_date(text, at(now)), expected.map(at), "{text}");
    }

    #[track_caller]
    fn after(text: &str, expected: Option<u64>) {
        let value = HeaderValue::from_str(text).unwrap();
        assert_eq!(parse(&value, at(NOV_1994)), expected.map(Duration::from_secs), "{text:?}");
    }

    #[test]
    fn r123_seconds_are_digits_alone() {
        after("0", Some(0));
        after("120", Some(120));
        after(" 7\t", Some(7));
        after("99999999999999999999999", Some(u64::MAX));
        for junk in ["", "-1", "+1", "1.5", "1e3", "0x1", "1 2", "1, 2", "soon", "١"] {
            after(junk, None);
        }
        assert_eq!(parse(&HeaderValue::from_bytes(b"\xff1").unwrap(), at(0)), None);
    }

    #[test]
    fn r123_a_date_is_counted_from_now_and_never_negative() {
        after("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        after("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        after("Sun, 06 Nov 1994 08:49:36 GMT", Some(0));
        after("Sunday, 06-Nov-94 08:50:37 GMT", Some(60));
        after("Sun Nov  6 08:50:37 1994", Some(60));
    }

    #[test]
    fn r123_all_three_forms_are_read() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            date(text, NOV_1994, Some(NOV_1994));
        }
        date("Wed Nov 16 08:49:37 1994", 0, Some(NOV_1994 + 10 * DAY));
        date("Thu, 01 Jan 1970 00:00:00 GMT", 0, Some(0));
        date("Wed, 31 Dec 1969 23:59:59 GMT", 0, Some(-1));
        date("Thu, 29 Feb 2024 12:00:00 GMT", 0, Some(1_709_208_000));
        date("Tue, 29 Feb 2000 00:00:00 GMT", 0, Some(951_782_400));
        date("Sat, 31 Dec 2016 23:59:60 GMT", 0, Some(1_483_228_800));
        date("Fri, 31 Dec 9999 23:59:59 GMT", 0, Some(253_402_300_799));
    }

    #[test]
    fn r123_what_is_nearly_a_date_is_none() {
        for text in [
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 1995 08:49:37 GMT",
            "Thu, 29 Feb 1900 08:49:37 GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94-1 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06  08:49:37 1994",
            "1994-11-06T08:49:37Z",
            "",
        ] {
            date(text, NOV_1994, None);
        }
    }

    #[test]
    fn r123_a_year_of_two_digits_is_no_more_than_fifty_years_ahead() {
        let year = |year: i64| days_before(year) * DAY;
        let new_year = |short: &str| format!("Monday, 01-Jan-{short} 00:00:00 GMT");
        let may_2026 = year(2026) + 130 * DAY;
        date(&new_year("26"), may_2026, Some(year(2026)));
        date(&new_year("76"), may_2026, Some(year(2076)));
        date(&new_year("77"), may_2026, Some(year(1977)));
        date(&new_year("99"), may_2026, Some(year(1999)));
        date(&new_year("00"), may_2026, Some(year(2000)));
        date(&new_year("00"), year(2099) + 364 * DAY, Some(year(2100)));
        date("Tuesday, 29-Feb-00 00:00:00 GMT", year(2099), Some(year(2000) + 59 * DAY));
    }

    #[test]
    fn years_begin_where_they_begin() {
        for year in 1600..2800 {
            let first = at(days_before(year) * DAY);
            assert_eq!(year_of(first), year);
            assert_eq!(year_of(Timestamp::from_millis(first.as_millis() - 1)), year - 1);
        }
        assert_eq!(days_before(2026), 20_454);
    }
}
