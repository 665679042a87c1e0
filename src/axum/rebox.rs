//! axum's body on the way out: for gateways, which send on what they were sent.

use axum_core::body::Body;

use crate::outbound::{Rebox, Teed};

impl Rebox for Body {
    fn rebox(body: Teed<Self>) -> Self {
        Self::new(body)
    }
}
