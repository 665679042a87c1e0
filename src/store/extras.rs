//! What few logins have. Behind one pointer, so that the others do not pay for it.

use std::sync::{Arc, LazyLock};

use super::Data;
use crate::scope::Scope;

#[derive(Clone, Default)]
pub(crate) struct Extras {
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) client: Option<Arc<str>>,
    pub(crate) key_thumbprint: Option<Arc<str>>,
    pub(crate) scope: Option<Arc<Scope>>,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) data: Data,
    /// Counts the changes of `data`.
    pub(crate) version: u64,
}

/// The extras of a record, or none.
#[derive(Clone, Default)]
pub(crate) struct MaybeExtras(Option<Arc<Extras>>);

static NONE: LazyLock<Extras> = LazyLock::new(Extras::default);

impl Extras {
    fn is_empty(&self) -> bool {
        self.tenant.is_none()
            && self.client.is_none()
            && self.key_thumbprint.is_none()
            && self.scope.is_none()
            && self.label.is_none()
            && self.data.is_none()
            && self.version == 0
    }
}

impl MaybeExtras {
    pub(crate) fn get(&self) -> &Extras {
        self.0.as_deref().unwrap_or(&NONE)
    }

    pub(crate) fn get_mut(&mut self) -> &mut Extras {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl From<Extras> for MaybeExtras {
    fn from(extras: Extras) -> Self {
        Self((!extras.is_empty()).then(|| Arc::new(extras)))
    }
}
