//! What becomes of outgoing tokens, counted.

use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::meter::Metrics;
use crate::provider::{Recorder, TokenEvent};

const LEASES: &str = "portcullis_token_leases_total";
const FETCHES: &str = "portcullis_token_fetches_total";
const FETCH_SECONDS: &str = "portcullis_token_fetch_seconds";
const REJECTIONS: &str = "portcullis_token_rejections_total";
const OUTCOMES: &str = "portcullis_token_outcomes_total";

pub(super) fn describe() {
    describe_counter!(LEASES, "Requests for a token that was not simply fresh and at hand.");
    describe_counter!(FETCHES, "Exchanges with token endpoints.");
    describe_histogram!(FETCH_SECONDS, Unit::Seconds, "Time that an exchange with a token endpoint took.");
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
            TokenEvent::Fetched { pipeline, step, kind, took, .. } => {
                fetched(pipeline, step, kind.as_str());
                seconds(pipeline, step, took.as_secs_f64());
            }
            TokenEvent::Failed { pipeline, step, took, .. } => {
                fetched(pipeline, step, "error");
                seconds(pipeline, step, took.as_secs_f64());
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

fn seconds(pipeline: &str, step: &str, took: f64) {
    histogram!(FETCH_SECONDS, "pipeline" => pipeline.to_owned(), "step" => step.to_owned()).record(took);
}
