//! What becomes of outgoing tokens, counted.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::meter::Metrics;
use crate::{
    clock::Timestamp,
    provider::{FetchKind, Recorder, TokenEvent},
};

const LEASES: &str = "portcullis_token_leases_total";
const FETCHES: &str = "portcullis_token_fetches_total";
const FETCH_SECONDS: &str = "portcullis_token_fetch_seconds";
const WAIT_SECONDS: &str = "portcullis_token_wait_seconds";
const ENDS: &str = "portcullis_token_end_timestamp_seconds";
const REJECTIONS: &str = "portcullis_token_rejections_total";
const OUTCOMES: &str = "portcullis_token_outcomes_total";

pub(super) fn describe() {
    describe_counter!(LEASES, "Requests for a token that was not simply fresh and at hand.");
    describe_counter!(FETCHES, "Exchanges with token endpoints.");
    describe_histogram!(FETCH_SECONDS, Unit::Seconds, "Time that an exchange with a token endpoint took.");
    describe_histogram!(
        WAIT_SECONDS,
        Unit::Seconds,
        "Time that a fetch waited for others that share the token."
    );
    describe_gauge!(ENDS, Unit::Seconds, "When the present token ends, in seconds of Unix time.");
    describe_counter!(REJECTIONS, "Tokens that were refused.");
    describe_counter!(OUTCOMES, "Answers that did not simply accept a token.");
}

impl Recorder for Metrics {
    fn record(&self, event: &TokenEvent<'_>) {
        match event {
            TokenEvent::Leased { pipeline, outcome } => {
                counter!(LEASES, "pipeline" => (*pipeline).to_owned(), "outcome" => outcome.as_str())
                    .increment(1);
            }
            TokenEvent::Fetched { pipeline, step, kind, took, waited, ends, .. } => {
                fetched(pipeline, step, kind.as_str());
                if *kind != FetchKind::Shared {
                    seconds(FETCH_SECONDS, pipeline, step, *took);
                }
                if !waited.is_zero() {
                    seconds(WAIT_SECONDS, pipeline, step, *waited);
                }
                let ends = ends.since(Timestamp::from_millis(0)).as_secs_f64();
                gauge!(ENDS, "pipeline" => (*pipeline).to_owned(), "step" => (*step).to_owned()).set(ends);
            }
            TokenEvent::Failed { pipeline, step, took, .. } => {
                fetched(pipeline, step, "error");
                seconds(FETCH_SECONDS, pipeline, step, *took);
            }
            TokenEvent::Rejected { pipeline, step, by, .. } => counter!(
                REJECTIONS,
                "pipeline" => (*pipeline).to_owned(),
                "step" => (*step).to_owned(),
                "by" => by.as_str()
            )
            .increment(1),
            TokenEvent::Answered { outcome, .. } => counter!(OUTCOMES, "outcome" => *outcome).increment(1),
        }
    }
}

fn fetched(pipeline: &str, step: &str, outcome: &'static str) {
    counter!(FETCHES, "pipeline" => pipeline.to_owned(), "step" => step.to_owned(), "outcome" => outcome)
        .increment(1);
}

fn seconds(name: &'static str, pipeline: &str, step: &str, span: Duration) {
    histogram!(name, "pipeline" => pipeline.to_owned(), "step" => step.to_owned()).record(span.as_secs_f64());
}
