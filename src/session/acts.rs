//! What handlers do with a session: logging in, renewing the cookie, logging out.

use super::{
    error::{SessionError, SessionErrorKind},
    sessions::{self, Engine},
    state::State,
};
use crate::{
    identity::Subject,
    text::TokenId,
    token::{IssueOptions, Issued},
    verify::Refusal,
};

/// What of the old data goes along into a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carry {
    Nothing,
    Data,
}

/// Which new cookie a login gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    PrivilegeChange,
    CredentialChange,
}

impl State {
    pub(super) async fn enter(
        &mut self,
        engine: &Engine,
        subject: Subject,
        mut options: IssueOptions,
        carry: Carry,
    ) -> Result<TokenId, SessionError> {
        let anothers = |before: &Subject| !before.is_anonymous() && *before != subject;
        let foreign = self.current.as_ref().is_some_and(|record| anothers(record.subject()));
        if carry == Carry::Data && !foreign {
            options = options.data(self.entries()?);
        }
        if let Some(before) = self.to_end(engine).await? {
            options = options.replaces(before);
        }
        let (issued, cookie) = sessions::issue(&engine.tokens, &engine.settings, subject, options).await?;
        self.forget_changes();
        self.replace(issued.record().clone(), cookie);
        Ok(issued.record().id())
    }

    pub(super) async fn renew_cookie(&mut self, engine: &Engine, after: After) -> Result<(), SessionError> {
        let somebody = self.current.as_ref().filter(|record| !record.subject().is_anonymous());
        let Some(id) = somebody.map(|record| record.id()) else {
            return Err(engine.refuse(SessionErrorKind::NoLogin));
        };
        let issued: Result<Issued, Refusal> = match after {
            After::PrivilegeChange => engine.tokens.rekey(&id).await,
            After::CredentialChange => engine.tokens.change_credentials(&id).await,
        };
        let issued = issued.map_err(|refusal| match refusal {
            Refusal::Invalid(_) => engine.refuse(SessionErrorKind::Ended),
            unavailable @ Refusal::Unavailable(_) => unavailable.into(),
        })?;
        let cookie = engine.settings.write(&issued);
        self.replace(issued.record().clone(), cookie);
        Ok(())
    }

    pub(super) async fn log_out(&mut self, engine: &Engine) -> Result<(), SessionError> {
        if let Some(id) = self.to_end(engine).await? {
            engine.tokens.revoke(&id).await.map_err(SessionError::unavailable)?;
        }
        self.end(engine.settings.clear());
        Ok(())
    }
}
