//! Saving what a request has changed: never more than the data, never in a session that has ended.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use http::HeaderValue;

use super::{
    changes::{self, Entries},
    error::SessionError,
    sessions::Engine,
    state::State,
};
use crate::{identity::Subject, random, store::LoginRecord, token::IssueOptions};

/// How often a save meets the change of another request before it gives up: fifty tabs at once are honest.
const TRIES: usize = 100;

impl State {
    /// Saves the changes. Gives the cookie of a session that began with them.
    pub(super) async fn save(
        &mut self,
        engine: &Engine,
        may_begin: bool,
    ) -> Result<Option<HeaderValue>, SessionError> {
        if self.changes.is_empty() {
            return Ok(None);
        }
        match self.current.clone() {
            Some(record) => self.merge(engine, record).await.map(|()| None),
            None if may_begin && !self.fading => self.begin(engine).await,
            None => Ok(None),
        }
    }

    /// Writes our changes into the record where it has the version that we read, else into what it has become.
    async fn merge(&mut self, engine: &Engine, mut record: Arc<LoginRecord>) -> Result<(), SessionError> {
        for _ in 0..TRIES {
            let before = changes::entries(Some(&record))?;
            let mut after = before.clone();
            self.changes.apply(&mut after)?;
            if after == before || engine.tokens.save_data_of(&record, &after).await? {
                return Ok(());
            }
            let found = engine.tokens.reload_session(&record.id).await;
            match found.map_err(SessionError::unavailable)? {
                Some(newer) => record = newer,
                // It ended: what this request wanted to keep ends with it.
                None => return Ok(()),
            }
        }
        Err(SessionError::unavailable("the session was changed by others all the time"))
    }

    /// The first data of a browser whose user is not known.
    async fn begin(&mut self, engine: &Engine) -> Result<Option<HeaderValue>, SessionError> {
        let mut entries = Entries::new();
        self.changes.apply(&mut entries)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let id = random::bytes::<16>().map_err(SessionError::unavailable)?;
        let subject = Subject::anonymous(HEXLOWER.encode(&*id));
        let options = IssueOptions::default().data(&entries);
        let issued = engine.tokens.issue_for_cookie(subject, options).await?;
        Ok(Some(engine.settings.write(&issued)))
    }
}
