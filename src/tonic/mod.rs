//! tonic: bodies of gRPC requests, and the status of a call that was not sent.

mod body;
mod status;
