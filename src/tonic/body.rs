//! tonic's body on the way out.

use tonic::body::Body;

use crate::outbound::{Rebox, Teed};

impl Rebox for Body {
    fn rebox(body: Teed<Self>) -> Self {
        Self::new(body)
    }
}
