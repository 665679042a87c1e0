//! Noting that a login is in use: what is due is decided by `renew`, when it is written here.

use std::{sync::Arc, time::Duration};

use super::{
    background::{Job, NoSlot},
    policy::TouchMode,
    renew,
    service::{Parts, TokenService},
    verify::{Presented, Proven},
};
use crate::{
    clock::Timestamp,
    event::EventKind,
    maybe_ready::MaybeReady,
    store::{Found, LoginRecord, StoreError, Touch},
    text::{self, TokenId},
    verify::{CredentialState, Renewal},
};

/// What a touch made of a login.
pub(super) struct Touched {
    pub(super) record: Arc<LoginRecord>,
    /// Where an end moved.
    pub(super) renewal: Option<Renewal>,
}

impl<I> TokenService<I> {
    /// Waits until what earlier requests have left to be written is written or dropped. Call it before the
    /// process ends.
    ///
    /// # Cancel safety
    /// Nothing is lost when the call is dropped.
    pub async fn flush(&self) {
        self.parts.background.flush().await;
    }
}

impl Parts {
    /// Notes that a new pair is in use since `now`. A confirmation that is lost is written at the next use: no reason
    /// to refuse or delay this one.
    pub(super) fn confirm(self: &Arc<Self>, record: &Arc<LoginRecord>, now: Timestamp) {
        let slot = match self.background.reserve(Job::Confirm(record.id)) {
            Ok(slot) => slot,
            Err(NoSlot::UnderWay) => return,
            Err(NoSlot::Full) => return self.emit(EventKind::ConfirmationLost, record),
        };
        match self.store.confirm(&record.id, record.generation, now) {
            MaybeReady::Now(confirmed) => self.note_confirmation(record, confirmed),
            MaybeReady::Later(confirming) => {
                // Weak: what is under way shall not keep the service alive.
                let (parts, confirmed) = (Arc::downgrade(self), Arc::clone(record));
                let started = slot.run(Box::pin(async move {
                    let written = confirming.await;
                    if let Some(parts) = parts.upgrade() {
                        parts.note_confirmation(&confirmed, written);
                    }
                }));
                if !started {
                    self.emit(EventKind::ConfirmationLost, record);
                }
            }
        }
    }

    /// Writes the touch that is due, if any; `None` where nothing was, or where somebody else does it.
    pub(super) fn touch<I>(self: &Arc<Self>, proven: &Proven<I>) -> MaybeReady<Option<Touched>> {
        let record = &proven.record;
        let due =
            renew::due(record, &proven.presented.secret, proven.now, &self.policy, self.pepper.as_ref());
        let Some(touch) = due else {
            return MaybeReady::Now(None);
        };
        let id = record.id;
        let slot = match self.background.reserve(Job::Touch(id)) {
            Ok(slot) => slot,
            Err(NoSlot::UnderWay) => return MaybeReady::Now(None),
            Err(NoSlot::Full) => {
                self.emit(EventKind::TouchDropped, record);
                return MaybeReady::Now(None);
            }
        };
        let touched = self.touched(record, proven.presented, &touch);
        let inline = proven.inline || self.policy.touch_mode == TouchMode::Inline;
        match self.store.touch(&id, touch) {
            MaybeReady::Now(written) => {
                let renewed = touched.renewal.is_some();
                MaybeReady::Now(self.note_touch(&touched.record, renewed, &written).then_some(touched))
            }
            MaybeReady::Later(writing) if inline => {
                let parts = Arc::clone(self);
                MaybeReady::later(async move {
                    let written = writing.await;
                    drop(slot);
                    let renewed = touched.renewal.is_some();
                    parts.note_touch(&touched.record, renewed, &written).then_some(touched)
                })
            }
            MaybeReady::Later(writing) => {
                // Weak, and without the renewal, which can ask the service: what is under way shall not keep it
                // alive.
                let (parts, record) = (Arc::downgrade(self), Arc::clone(&touched.record));
                let renewed = touched.renewal.is_some();
                let started = slot.run(Box::pin(async move {
                    let written = writing.await;
                    if let Some(parts) = parts.upgrade() {
                        parts.note_touch(&record, renewed, &written);
                    }
                }));
                if !started {
                    self.emit(EventKind::TouchDropped, &touched.record);
                }
                MaybeReady::Now(started.then_some(touched))
            }
        }
    }

    fn touched(self: &Arc<Self>, record: &LoginRecord, presented: Presented, touch: &Touch) -> Touched {
        let moved = touch.access_expires.is_some() || touch.refresh_expires.is_some();
        let mut after = record.clone();
        after.touch(touch.clone());
        let renewal = moved.then(|| {
            let brand = &self.policy.brands[presented.brand];
            let text = text::compose_access(brand, record.id, &presented.secret);
            let expires = after.access_expires();
            let max_age = cookie_max_age(&after, touch.now);
            let state: Arc<dyn CredentialState> = Arc::clone(self) as _;
            Renewal::new(text, (record.id, record.generation), expires, max_age, state)
        });
        Touched { record: Arc::new(after), renewal }
    }

    /// While confirmations are lost, the predecessor stays answered: operators should know.
    fn note_confirmation(&self, record: &LoginRecord, confirmed: Result<(), StoreError>) {
        if confirmed.is_err() {
            self.emit(EventKind::ConfirmationLost, record);
        }
    }

    /// Whether the touch was written. Where it was not, the login was touched, changed or ended by another
    /// request, or the store did not answer: the next use tries again.
    fn note_touch(&self, record: &LoginRecord, renewed: bool, written: &Result<bool, StoreError>) -> bool {
        match written {
            // A key or a pair of tokens that lasts longer is no session: nothing is told of it, as of its other uses.
            Ok(true) if renewed && record.is_session() => self.emit(EventKind::SessionRenewed, record),
            Ok(_) => {}
            Err(_) => self.emit(EventKind::TouchLost, record),
        }
        matches!(written, Ok(true))
    }
}

/// The `Max-Age` of a cookie with the record's access token.
pub(super) fn cookie_max_age(record: &LoginRecord, now: Timestamp) -> Option<Duration> {
    // A token that never ends gets what browsers keep at most; the cookie room cuts it.
    (!record.browser_session).then(|| record.access_expires().since(now))
}

impl CredentialState for Parts {
    fn is_current(&self, record: &TokenId, generation: u32) -> MaybeReady<bool> {
        let is_current = move |found: Result<Option<Found>, StoreError>| {
            found.ok().flatten().is_some_and(|found| {
                let record = &found.record;
                record.generation == generation
                    && record.revoked.is_none()
                    && found.epoch == Some(record.epoch)
            })
        };
        match self.store.find(record) {
            MaybeReady::Now(found) => MaybeReady::Now(is_current(found)),
            MaybeReady::Later(found) => MaybeReady::later(async move { is_current(found.await) }),
        }
    }
}
