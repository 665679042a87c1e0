//! What a record's value is: a token's fields in plain, or sealed for the record's place.

use zeroize::Zeroizing;

#[cfg(feature = "seal")]
use crate::seal::{OpenError, Sealer};
use crate::{
    clock::Timestamp,
    random::RandomError,
    store::{LeaseKey, LeaseRecord, LeaseVersion},
    text::Canonical,
};

pub(super) enum Sealing {
    /// In the memory of this process.
    Plain,
    #[cfg(feature = "seal")]
    Ring(Box<Sealer>),
}

/// Why a record cannot be read.
#[cfg_attr(not(feature = "seal"), allow(dead_code))] // what is plain can always be read
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It was never meant for this place and version, or its key was retired. It is as good as absent.
    Invalid(&'static str),
    /// Sealed under a key that this process has not been given yet. It may well be valid.
    UnknownKey,
}

#[cfg_attr(not(feature = "seal"), allow(unused_variables))] // a plain value is bound to no place
impl Sealing {
    pub(super) fn seal(
        &self,
        key: &LeaseKey,
        version: LeaseVersion,
        expires_at: Timestamp,
        fields: &[u8],
    ) -> Result<LeaseRecord, RandomError> {
        let value = match self {
            Self::Plain => fields.to_vec(),
            #[cfg(feature = "seal")]
            Self::Ring(sealer) => sealer.seal(address(key, version, expires_at).as_slice(), fields)?,
        };
        Ok(LeaseRecord::new(version, expires_at, value))
    }

    pub(super) fn open(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
    ) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        match self {
            Self::Plain => Ok(Zeroizing::new(record.value().to_vec())),
            #[cfg(feature = "seal")]
            Self::Ring(sealer) => {
                let address = address(key, record.version(), record.expires_at());
                sealer.open(address.as_slice(), record.value()).map_err(|error| match error {
                    OpenError::Invalid => Unreadable::Invalid("altered, or from another place"),
                    OpenError::Retired => Unreadable::Invalid("its key was retired"),
                    OpenError::UnknownKey => Unreadable::UnknownKey,
                })
            }
        }
    }
}

/// Everything of a record that is not sealed.
#[cfg_attr(not(feature = "seal"), allow(dead_code))] // nothing is bound where nothing is sealed
fn address(key: &LeaseKey, version: LeaseVersion, expires_at: Timestamp) -> Canonical {
    Canonical::new("shared token")
        .bytes(key.as_str().as_bytes())
        .number(version.get())
        .bytes(&expires_at.as_millis().to_be_bytes())
}
