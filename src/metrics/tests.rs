use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use ::metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

use super::Metrics;
use crate::{
    clock::Timestamp,
    credential::Channel,
    event::{Event, EventKind, Meter, RepeatedBy, Reporter, ReuseKind, RevokeReason},
    identity::Subject,
    problem::Reason,
    text::TokenId,
};

/// Keeps what was counted, as an exporter would show it.
#[derive(Default)]
struct Page {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    histograms: Mutex<BTreeMap<String, Arc<Values>>>,
    described: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

fn series(key: &Key) -> String {
    let labels: Vec<String> =
        key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    if labels.is_empty() { key.name().to_owned() } else { format!("{}{{{}}}", key.name(), labels.join(",")) }
}

impl Recorder for Page {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        assert_eq!(unit, Some(Unit::Seconds));
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        assert_eq!(unit, Some(Unit::Seconds));
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(self.counters.lock().unwrap().entry(series(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(self.gauges.lock().unwrap().entry(series(key)).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(self.histograms.lock().unwrap().entry(series(key)).or_default()))
    }
}

fn count(events: impl IntoIterator<Item = Event>) -> Page {
    let page = Page::default();
    with_local_recorder(&page, || {
        let reporter = Reporter::default().meter(Metrics::new());
        events.into_iter().for_each(|event| reporter.emit(event));
    });
    page
}

impl Page {
    fn lines(&self) -> Vec<String> {
        let counters = self.counters.lock().unwrap();
        let load = |count: &Arc<AtomicU64>| count.load(std::sync::atomic::Ordering::SeqCst);
        let counters = counters.iter().map(|(series, count)| format!("{series} {}", load(count)));
        let gauges = self.gauges.lock().unwrap();
        let gauges = gauges.iter().map(|(series, value)| format!("{series} {}", f64::from_bits(load(value))));
        let histograms = self.histograms.lock().unwrap();
        let histograms =
            histograms.iter().map(|(series, values)| format!("{series} {:?}", values.0.lock().unwrap()));
        counters.chain(gauges).chain(histograms).collect()
    }
}

fn event(kind: EventKind) -> Event {
    Event::new(kind, Timestamp::from_millis(0))
}

#[test]
fn r212_each_event_is_counted_where_operators_look_for_it() {
    let since_rotation = Duration::from_millis(1_500);
    let page = count([
        event(EventKind::AuthSuccess).with_channel(Channel::Header),
        event(EventKind::AuthSuccess).with_channel(Channel::Header),
        event(EventKind::AuthSuccess).with_channel(Channel::Cookie),
        event(EventKind::AuthSuccess),
        event(EventKind::AuthFail).with_channel(Channel::Cookie).with_reason(Reason::Expired),
        event(EventKind::AuthFail).with_channel(Channel::Header).with_reason(Reason::WrongSecret),
        event(EventKind::AuthMissing),
        event(EventKind::CouldNotCheck).with_channel(Channel::Header),
        event(EventKind::AuthzFail),
        event(EventKind::CsrfRefused),
        event(EventKind::LoginSuccess),
        event(EventKind::LoginFail),
        event(EventKind::LoginThrottled),
        event(EventKind::TokenCreated).with_channel(Channel::Cookie),
        event(EventKind::TokenRefreshed),
        event(EventKind::ReuseAllowed { since_rotation, by: RepeatedBy::OtherAgent }),
        event(EventKind::TokenReuse { kind: ReuseKind::StaleAncestor, since_rotation }),
        event(EventKind::GraceCap),
        event(EventKind::StoreRegressed),
        event(EventKind::Inconsistent),
        event(EventKind::TokenRevoked { reason: RevokeReason::Reuse }),
        event(EventKind::TokensRevoked { count: 4 }),
        event(EventKind::Purged { count: 7 }),
        event(EventKind::SessionCreated),
        event(EventKind::SessionRenewed),
        event(EventKind::SessionExpired),
        event(EventKind::SessionUseAfterExpire),
        event(EventKind::EventsDropped { count: 9 }),
        event(EventKind::StoreFull),
        event(EventKind::NewDevice),
    ]);
    assert_eq!(
        page.lines(),
        [
            "portcullis_authentications_total{outcome=failure,channel=cookie} 1",
            "portcullis_authentications_total{outcome=failure,channel=header} 1",
            "portcullis_authentications_total{outcome=missing,channel=none} 1",
            "portcullis_authentications_total{outcome=success,channel=cookie} 1",
            "portcullis_authentications_total{outcome=success,channel=header} 2",
            "portcullis_authentications_total{outcome=success,channel=none} 1",
            "portcullis_authentications_total{outcome=unavailable,channel=header} 1",
            "portcullis_events_dropped_total 9",
            "portcullis_events_total{name=new_device} 1",
            "portcullis_events_total{name=store_full} 1",
            "portcullis_forbidden_total{cause=csrf} 1",
            "portcullis_forbidden_total{cause=right} 1",
            "portcullis_logins_total{outcome=failure} 1",
            "portcullis_logins_total{outcome=success} 1",
            "portcullis_logins_total{outcome=throttled} 1",
            "portcullis_purged_total 7",
            "portcullis_refreshes_total{outcome=ahead} 1",
            "portcullis_refreshes_total{outcome=capped} 1",
            "portcullis_refreshes_total{outcome=inconsistent} 1",
            "portcullis_refreshes_total{outcome=repeated} 1",
            "portcullis_refreshes_total{outcome=reuse} 1",
            "portcullis_refreshes_total{outcome=rotated} 1",
            "portcullis_refusals_total{reason=expired} 1",
            "portcullis_refusals_total{reason=wrong_secret} 1",
            "portcullis_revocations_total{reason=reuse} 1",
            "portcullis_revocations_total{reason=subject} 4",
            "portcullis_sessions_total{event=created} 1",
            "portcullis_sessions_total{event=expired} 1",
            "portcullis_sessions_total{event=renewed} 1",
            "portcullis_sessions_total{event=used_after_expiry} 1",
            "portcullis_tokens_issued_total{channel=cookie} 1",
            "portcullis_reuse_allowed_seconds{by=other_agent} [1.5]",
            "portcullis_reuse_rejected_seconds{age=stale_ancestor} [1.5]",
        ]
    );
    let described = page.described.lock().unwrap();
    for line in page.lines() {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(described.iter().any(|described| described == name), "{name}");
    }
}

#[test]
fn r212_traffic_makes_no_new_series() {
    let events = (0..100_u8).map(|number| {
        event(EventKind::AuthFail)
            .with_channel(Channel::Header)
            .with_reason(Reason::Revoked)
            .with_record(TokenId::from_random(&[number; 12]))
            .with_subject(Subject::local(format!("user-{number}")).into())
            .with_client_ip([192, 0, 2, number].into())
    });
    let expected = [
        "portcullis_authentications_total{outcome=failure,channel=header} 100",
        "portcullis_refusals_total{reason=revoked} 100",
    ];
    assert_eq!(count(events).lines(), expected);
}

/// Through a recorder that costs nothing itself, as none does.
#[test]
fn r212_a_success_is_counted_without_an_allocation() {
    let metrics = Metrics::new();
    for event in [
        event(EventKind::AuthSuccess).with_channel(Channel::Header),
        event(EventKind::AuthSuccess).with_channel(Channel::Cookie),
    ] {
        metrics.count(&event);
        assert_eq!(allocation_counter::measure(|| metrics.count(&event)).count_total, 0);
    }
}

#[test]
fn r212_what_becomes_of_outgoing_tokens_is_counted_by_pipeline_and_step() {
    use crate::provider::{
        FetchKind, LeaseOutcome, Recorder, RejectedBy, TokenError, TokenErrorKind, TokenEvent,
    };

    let (pipeline, step, took) = ("crm", "user", Duration::from_millis(250));
    let (waited, ends) = (Duration::from_millis(500), Timestamp::from_millis(1_700_000_000_500));
    let fetched = |kind, waited| TokenEvent::Fetched {
        pipeline,
        step,
        generation: 7,
        kind,
        took,
        waited,
        life: took,
        ends,
    };
    let error = TokenError::new(TokenErrorKind::Timeout);
    let page = Page::default();
    with_local_recorder(&page, || {
        let metrics = Metrics::new();
        for outcome in [LeaseOutcome::Stale, LeaseOutcome::Waited, LeaseOutcome::Waited, LeaseOutcome::Failed]
        {
            metrics.record(&TokenEvent::Leased { pipeline, outcome });
        }
        metrics.record(&fetched(FetchKind::Fetch, Duration::ZERO));
        metrics.record(&fetched(FetchKind::Refresh, waited));
        metrics.record(&fetched(FetchKind::Shared, waited));
        metrics.record(&TokenEvent::Failed { pipeline, step, error: &error, took });
        metrics.record(&TokenEvent::Rejected { pipeline, step, generation: 7, by: RejectedBy::Api });
        metrics.record(&TokenEvent::Answered { outcome: "repeated", status: http::StatusCode::OK });
        assert!(!metrics.wants_hits());
    });
    assert_eq!(
        page.lines(),
        [
            "portcullis_token_fetches_total{pipeline=crm,step=user,outcome=error} 1",
            "portcullis_token_fetches_total{pipeline=crm,step=user,outcome=fetch} 1",
            "portcullis_token_fetches_total{pipeline=crm,step=user,outcome=refresh} 1",
            "portcullis_token_fetches_total{pipeline=crm,step=user,outcome=shared} 1",
            "portcullis_token_leases_total{pipeline=crm,outcome=error} 1",
            "portcullis_token_leases_total{pipeline=crm,outcome=stale} 1",
            "portcullis_token_leases_total{pipeline=crm,outcome=wait} 2",
            "portcullis_token_outcomes_total{outcome=repeated} 1",
            "portcullis_token_rejections_total{pipeline=crm,step=user,by=api} 1",
            "portcullis_token_end_timestamp_seconds{pipeline=crm,step=user} 1700000000.5",
            "portcullis_token_fetch_seconds{pipeline=crm,step=user} [0.25, 0.25, 0.25]",
            "portcullis_token_wait_seconds{pipeline=crm,step=user} [0.5, 0.5]",
        ]
    );
    let described = page.described.lock().unwrap();
    for line in page.lines() {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(described.iter().any(|described| described == name), "{name}");
    }
}
