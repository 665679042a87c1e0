//! tonic: bodies of gRPC requests and answers, and the status of a call that got no token.

mod body;
mod status;
