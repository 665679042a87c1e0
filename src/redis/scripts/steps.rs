//! The steps on logins, API keys, one-time values and counters. What each takes and answers is said in its file.

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $flags:literal $(, $file:literal)+;)*) => {
        $(
            $(#[$doc])*
            pub(in crate::redis) static $name: LazyLock<Script> = LazyLock::new(|| {
                Script::new(concat!("#!lua", $flags, "\n" $(, include_str!(concat!("../lua/", $file)))+))
            });
        )*
    };
}

scripts! {
    FIND = " flags=no-writes", "find.lua";
    LIST = " flags=no-writes", "list.lua";
    INSERT = "", "logins.lua", "insert.lua";
    ROTATE = "", "logins.lua", "rotate.lua";
    GRACE_HIT = "", "grace_hit.lua";
    CONFIRM = "", "logins.lua", "confirm.lua";
    TOUCH = "", "logins.lua", "touch.lua";
    REKEY = "", "logins.lua", "rekeyed.lua", "rekey.lua";
    SAVE_DATA = "", "logins.lua", "save_data.lua";
    SET_LABEL = "", "logins.lua", "set_label.lua";
    REVOKE = " flags=allow-oom", "logins.lua", "revoke.lua";
    REVOKE_SUBJECT = " flags=allow-oom", "logins.lua", "rekeyed.lua", "revoke_subject.lua";
    NEW_ERA = " flags=allow-oom", "new_era.lua";
    MARK_DEAD = " flags=allow-oom", "logins.lua", "mark_dead.lua";
    PURGE = " flags=allow-oom", "logins.lua", "purge.lua";
    PURGE_SUBJECT = " flags=allow-oom", "logins.lua", "purge_subject.lua";
    WIPE_NONCES = " flags=allow-oom", "logins.lua", "wipe_nonces.lua";

    INSERT_KEY = "", "api_keys.lua", "insert_key.lua";
    NOTE_KEY_USE = "", "api_keys.lua", "note_key_use.lua";
    UPDATE_KEY = "", "api_keys.lua", "update_key.lua";
    REVOKE_KEY = " flags=allow-oom", "api_keys.lua", "revoke_key.lua";
    LIST_KEYS = " flags=no-writes", "list_keys.lua";
    PURGE_KEYS = " flags=allow-oom", "api_keys.lua", "purge_keys.lua";

    HIT = "", "counter.lua";
    PUT_ONCE = "", "put_once.lua";
}
