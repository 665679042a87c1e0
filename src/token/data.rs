//! Data of the application that rests with a login and changes.

use std::{error::Error, fmt};

use serde::{Serialize, de::DeserializeOwned};

use super::service::TokenService;
use crate::{
    store::{Data, JsonError, LoginRecord, StoreError},
    text::TokenId,
};

/// How often a change is tried. Each failure is somebody else's success, so a crowd of any honest size gets through;
/// a store that loses every write does not hold a request for ever.
const TRIES: usize = 1024;

/// The data was not changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DataError {
    /// The value is not what was asked for, or cannot be kept.
    Json(JsonError),
    /// The store did not answer, or others changed the data all the time.
    Store(StoreError),
}

impl<I> TokenService<I> {
    /// Replaces the data of a login that lives, if its [version](crate::store::LoginRecord::version) is still the
    /// one that was read. Says whether it was; if not, somebody else has changed it, or the login has ended: it was
    /// revoked, or is past its access and its refresh life.
    ///
    /// # Errors
    /// [`DataError`].
    ///
    /// # Cancel safety
    /// The data was changed or not.
    pub async fn save_data(
        &self,
        login: &TokenId,
        version: u64,
        data: &impl Serialize,
    ) -> Result<bool, DataError> {
        let data = Data::new(data)?;
        match self.parts.store.find(login).wait().await? {
            Some(found) if self.parts.lives(&found) => {
                Ok(self.parts.store.save_data(login, version, data).await?)
            }
            _ => Ok(false),
        }
    }

    /// [`save_data`](Self::save_data) without another look at the login, for whoever has it before him.
    pub(crate) async fn save_data_of(
        &self,
        login: &LoginRecord,
        data: &impl Serialize,
    ) -> Result<bool, DataError> {
        let data = Data::new(data)?;
        if !login.is_live(self.parts.clock.now()) {
            return Ok(false);
        }
        Ok(self.parts.store.save_data(&login.id, login.version(), data).await?)
    }

    /// Changes the data of a login as often as it takes for the change to meet what it was made for: no parallel
    /// change is lost. Says whether the login lives.
    ///
    /// # Errors
    /// [`DataError`].
    ///
    /// # Cancel safety
    /// The data was changed or not.
    pub async fn update_data<T>(
        &self,
        login: &TokenId,
        mut change: impl FnMut(Option<T>) -> T,
    ) -> Result<bool, DataError>
    where
        T: Serialize + DeserializeOwned,
    {
        for _ in 0..TRIES {
            let Some(found) = self.parts.store.find(login).wait().await? else {
                return Ok(false);
            };
            if !self.parts.lives(&found) {
                return Ok(false);
            }
            let data = Data::new(&change(found.record.data().parse()?))?;
            if self.parts.store.save_data(login, found.record.version(), data).await? {
                return Ok(true);
            }
        }
        Err(DataError::Store(StoreError::unavailable("the data was changed by others all the time")))
    }
}

impl From<JsonError> for DataError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<StoreError> for DataError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of the login was not changed")
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Json(error) => error,
            Self::Store(error) => error,
        })
    }
}
