//! All, any and not, of rights that are types.

use std::{fmt, marker::PhantomData};

use super::{Denied, Permission};
use crate::identity::Auth;

/// The right to at least one of a tuple of two to four permissions: `Any<(Owner, Admin)>`. They are asked in
/// order until one is granted.
///
/// If none is, the 403 names the scope of the first that has one: the challenge's scope is a list of what is
/// needed together (RFC 6750 §3), so only one of the ways in can stand there.
pub struct Any<T>(PhantomData<fn() -> T>);

/// The right of those who do not have `P`. No scope helps whoever has it, so the 403 names none.
///
/// A credential that is limited to a scope must not gain by the limit: negate what a user is, not what a token
/// may be used for.
pub struct Not<P>(PhantomData<fn() -> P>);

impl<P: Permission> Permission for Not<P> {
    type Identity = P::Identity;

    fn granted(auth: &Auth<P::Identity>) -> bool {
        P::check(auth).is_err()
    }
}

impl<T> fmt::Debug for Any<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Any")
    }
}

impl<P> fmt::Debug for Not<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Not")
    }
}

macro_rules! combine {
    ($first:ident, $($next:ident),+) => {
        /// All of them, asked in order until one is denied; the 403 names the scope of that one.
        impl<$first, $($next),+> Permission for ($first, $($next),+)
        where
            $first: Permission,
            $($next: Permission<Identity = $first::Identity>),+
        {
            type Identity = $first::Identity;

            fn granted(auth: &Auth<Self::Identity>) -> bool {
                Self::check(auth).is_ok()
            }

            fn check(auth: &Auth<Self::Identity>) -> Result<(), Denied> {
                $first::check(auth)?;
                $($next::check(auth)?;)+
                Ok(())
            }
        }

        impl<$first, $($next),+> Permission for Any<($first, $($next),+)>
        where
            $first: Permission,
            $($next: Permission<Identity = $first::Identity>),+
        {
            type Identity = $first::Identity;

            fn granted(auth: &Auth<Self::Identity>) -> bool {
                Self::check(auth).is_ok()
            }

            fn check(auth: &Auth<Self::Identity>) -> Result<(), Denied> {
                $first::check(auth)$(.or_else(|denied| $next::check(auth).map_err(|next| denied.or(next))))+
            }
        }
    };
}

combine!(A, B);
combine!(A, B, C);
combine!(A, B, C, D);
