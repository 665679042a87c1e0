//! What the token service reports, to observers and to the log.

use std::sync::Arc;

use portcullis::{
    event::{Event, EventKind, Reporter},
    identity::Subject,
    problem::Reason,
};

use crate::{
    log::Log,
    support::{START, fixture, refresh_text, secs},
};

/// A life of a login that ends in reuse: in what was told of it is no part of any of its tokens.
#[tokio::test]
async fn sec_d16_neither_events_nor_the_log_show_a_token() {
    let log = Log::default();
    let fixture = fixture();
    let mut texts = Vec::new();
    {
        let _guard = log.listen();
        let first = fixture.login("ada").await;
        let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
        fixture.refresh(&refresh_text(&first)).await.unwrap();
        fixture.verify(second.access().expose()).await.unwrap();
        fixture.time.advance(secs(60));
        assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
        for issued in [&first, &second] {
            texts.extend([issued.access().expose().to_owned(), refresh_text(issued)]);
        }
    }
    let events = fixture.events.all();
    assert!(events.iter().any(|event| matches!(event.kind(), EventKind::TokenReuse { .. })), "{events:?}");
    let log = log.text();
    assert!(log.contains("name=\"authn_token_reuse\"") && log.contains("subject=\"ada\""), "{log}");
    let shown = format!("{events:?}\n{log}");
    for text in texts {
        assert!(!shown.contains(&text));
        // Nor its secret part, nor its check or tag. The id before them may be shown.
        let parts = text.as_bytes()[text.len() - 40..].chunks(8);
        for part in parts {
            assert!(!shown.contains(std::str::from_utf8(part).unwrap()));
        }
    }
}

/// The default, where nobody reads the log.
#[test]
fn an_event_that_nobody_is_told_of_costs_no_memory() {
    // This thread's own: what another test's thread hears would be prepared for here, too.
    let _nobody = crate::log::silence();
    let reporter = Reporter::default();
    let subject = Arc::new(Subject::local("ada"));
    let emit = || {
        let event = Event::new(EventKind::AuthSuccess, START).with_subject(Arc::clone(&subject));
        reporter.emit(event.with_reason(Reason::Other).with_client_ip([192, 0, 2, 1].into()));
    };
    emit();
    assert_eq!(allocation_counter::measure(emit).count_total, 0);
    assert!(!reporter.wants(&EventKind::AuthSuccess));
}
