//! A subject as a key.

use sha2::{Digest as _, Sha256};

use crate::{identity::Subject, text::Canonical};

/// A subject in 32 bytes, for an index: the SHA-256 of its issuer and id, whose length nothing bounds.
///
/// No secret and no disguise: whoever has a subject can compute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectKey([u8; 32]);

impl SubjectKey {
    /// The key of this subject.
    pub fn of(subject: &Subject) -> Self {
        let issuer = subject.issuer().to_name();
        let encoded = Canonical::new("subject").bytes(issuer.as_bytes()).bytes(subject.id().as_bytes());
        Self(Sha256::digest(encoded.as_slice()).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
