//! Every statement, with the names of the tables as they were configured.

/// What the names begin with unless something else was said, and in the texts below.
pub(super) const DEFAULT_PREFIX: &str = "portcullis";

/// The columns of a login, in the order in which they are read; the state of its subject comes last.
const LOGIN: &str = "l.format, l.id, s.issuer, s.id, l.channel, l.browser_session, l.tenant, l.client, \
     l.key_thumbprint, l.scope, l.label, l.context, l.data, l.version, l.access, l.refresh, l.previous, l.nonce, \
     l.lineage, l.generation, l.rotated_at, l.confirmed_at, l.grace_hits, l.created, l.last_seen, l.access_ttl, \
     l.refresh_ttl, l.access_expires, l.refresh_expires, l.absolute_expires, l.epoch, l.everyone, l.revoked_at, \
     l.revoked_for, s.epoch, (select everyone from portcullis_state)";

/// Where they are read from: the login first, then its subject, whatever the planner may think. Issuer and id are the
/// subject's, so a login without a subject could not be put together; foreign keys keep that from happening.
const FROM: &str = "portcullis_logins as l cross join portcullis_subjects as s on s.key = l.subject";

/// The columns of a key, in the order in which they are read.
const KEY: &str = "format, id, owner_issuer, owner_id, kind, tenant, scope, label, context, version, digest, created, \
     expires, last_used, revoked_at, revoked_for";

/// The login's epoch is its subject's.
const CURRENT: &str = "epoch = (select s.epoch from portcullis_subjects as s where s.key = subject) \
     and everyone = (select everyone from portcullis_state)";

macro_rules! statements {
    ($($name:ident: $text:expr;)*) => {
        /// The statements, ready to be prepared.
        pub(super) struct Sql {
            prefix: String,
            $(pub(super) $name: String,)*
        }

        impl Sql {
            pub(super) fn new(prefix: &str) -> Self {
                let prefix = format!("{prefix}_");
                Self { $($name: filled($text, &prefix),)* prefix }
            }
        }
    };
}

fn filled(text: &str, prefix: &str) -> String {
    let text = text.replace("{login}", LOGIN).replace("{from}", FROM);
    let text = text.replace("{key}", KEY).replace("{current}", CURRENT);
    text.replace("portcullis_", prefix)
}

impl Sql {
    /// This text with the names of the tables as they were configured.
    pub(super) fn prefixed(&self, text: &str) -> String {
        text.replace("portcullis_", &self.prefix)
    }
}

statements! {
    // ===== the tables =====
    make_versions: "create table if not exists portcullis_schema \
         (version integer not null primary key, applied_at integer not null) strict";
    add_version: "insert into portcullis_schema (version, applied_at) values (?1, ?2)";
    has_versions: "select 1 from sqlite_schema where type = 'table' and name = 'portcullis_schema'";
    version: "select coalesce(max(version), 0) from portcullis_schema";

    // ===== subjects =====
    everyone: "select everyone from portcullis_state";
    subject: "select epoch from portcullis_subjects where key = ?1";
    add_subject: "insert into portcullis_subjects (key, issuer, id, epoch) values (?1, ?2, ?3, ?4)";
    // The sum of the highest number and one would be no integer.
    raise_subject: "update portcullis_subjects set epoch = \
         case epoch when 9223372036854775807 then -9223372036854775808 else epoch + 1 end where key = ?1 \
         returning epoch";
    raise_everyone: "update portcullis_state set everyone = everyone + 1";
    forget_subject: "delete from portcullis_subjects where key = ?1 \
         and not exists (select 1 from portcullis_logins where subject = ?1)";

    // ===== logins =====
    find: "select {login} from {from} where l.id = ?1";
    list: "select {login} from {from} where l.id > ?1 order by l.id limit ?2";
    list_of: "select {login} from {from} where l.subject = ?3 and l.id > ?1 order by l.id limit ?2";
    is_taken: "select 1 from portcullis_logins where id = ?1";
    add: "insert into portcullis_logins (id, format, subject, channel, browser_session, tenant, client, \
         key_thumbprint, scope, label, context, data, version, access, refresh, previous, nonce, lineage, \
         generation, rotated_at, confirmed_at, grace_hits, created, last_seen, access_ttl, refresh_ttl, \
         access_expires, refresh_expires, absolute_expires, epoch, everyone, revoked_at, revoked_for) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
         ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)";
    live: "select id from portcullis_logins where subject = ?1 and revoked_at is null and purgeable > ?2 \
         and {current} and id is not ?3 order by created, id";
    over: "select {login} from {from} where l.subject = ?1 and l.purgeable <= ?2 \
         and not (l.revoked_at is null and l.purgeable > ?3 and l.epoch = s.epoch \
         and l.everyone = (select everyone from portcullis_state)) order by l.id";
    remove: "delete from portcullis_logins where id = ?1";
    rotate: "update portcullis_logins set generation = ?3, previous = refresh, refresh = ?4, access = ?5, \
         nonce = ?6, rotated_at = ?7, last_seen = max(last_seen, ?7), confirmed_at = 9223372036854775807, \
         grace_hits = 0, access_expires = ?8, refresh_expires = max(refresh_expires, ?9) \
         where id = ?1 and generation = ?2 and revoked_at is null and {current}";
    grace_hit: "update portcullis_logins set grace_hits = grace_hits + 1 \
         where id = ?1 and generation = ?2 and revoked_at is null and grace_hits < ?3";
    confirm: "update portcullis_logins set confirmed_at = ?3 \
         where id = ?1 and generation = ?2 and revoked_at is null and confirmed_at = 9223372036854775807";
    touch: "update portcullis_logins set last_seen = ?3, \
         access_expires = max(access_expires, coalesce(?5, access_expires)), \
         refresh_expires = max(refresh_expires, coalesce(?6, refresh_expires)), \
         access = coalesce(?7, access), nonce = case when ?8 then null else nonce end \
         where id = ?1 and generation = ?2 and revoked_at is null and last_seen <= ?4";
    rekey: "update portcullis_logins set generation = ?3, access = ?4, refresh = ?5, lineage = ?6, \
         previous = null, nonce = null, rotated_at = ?7, last_seen = max(last_seen, ?7), confirmed_at = ?7, \
         grace_hits = 0, access_expires = ?8, refresh_expires = ?9 \
         where id = ?1 and generation = ?2 and revoked_at is null and {current} \
         and subject = coalesce(?10, subject)";
    follow_epoch: "update portcullis_logins set epoch = ?2 where id = ?1";
    save_data: "update portcullis_logins set data = ?3, version = ?4 \
         where id = ?1 and version = ?2 and revoked_at is null";
    set_label: "update portcullis_logins set label = ?2 where id = ?1 and revoked_at is null";
    revoke: "update portcullis_logins set revoked_at = ?2, revoked_for = ?3 where id = ?1 and revoked_at is null";
    revoke_of: "update portcullis_logins set revoked_at = ?2, revoked_for = ?3 \
         where subject = ?1 and revoked_at is null and id is not ?4 returning id";
    end_of_page: "select id from portcullis_logins where id > ?1 order by id limit 1 offset ?2";
    mark_page: "update portcullis_logins set revoked_at = ?3, revoked_for = ?4 \
         where id > ?1 and id <= ?2 and revoked_at is null and not ({current})";
    purgeable: "select {login} from {from} where l.purgeable <= ?1 order by l.purgeable";
    purgeable_of: "select {login} from {from} where l.subject = ?2 and l.purgeable <= ?1 order by l.id";
    wipe: "update portcullis_logins set nonce = null where rowid in \
         (select rowid from portcullis_logins where nonce is not null and settled < ?1 limit ?2)";

    // ===== keys =====
    find_key: "select {key} from portcullis_keys where id = ?1";
    is_key_taken: "select 1 from portcullis_keys where id = ?1";
    add_key: "insert into portcullis_keys (format, id, owner_issuer, owner_id, kind, tenant, scope, label, context, \
         version, digest, created, expires, last_used, revoked_at, revoked_for, owner) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    note_key_use: "update portcullis_keys set last_used = ?3 \
         where id = ?1 and revoked_at is null and last_used <= ?2";
    update_key: "update portcullis_keys set version = ?3, label = ?4, scope = ?5, context = ?6, expires = ?7 \
         where id = ?1 and version = ?2 and revoked_at is null";
    revoke_key: "update portcullis_keys set revoked_at = ?2, revoked_for = ?3 where id = ?1 and revoked_at is null";
    list_keys: "select {key} from portcullis_keys where id > ?1 and created < ?3 order by id limit ?2";
    list_keys_of: "select {key} from portcullis_keys where owner = ?4 and id > ?1 and created < ?3 \
         order by id limit ?2";
    purgeable_keys: "select {key} from portcullis_keys \
         where purgeable <= ?1 and purgeable < 9223372036854775807 order by purgeable";
    remove_key: "delete from portcullis_keys where id = ?1";

    // ===== one-time values: never is no end =====
    put_once: "insert into portcullis_once (key, value, expires) values (?1, ?2, ?3) \
         on conflict (key) do update set value = excluded.value, expires = excluded.expires \
         where portcullis_once.expires <= ?4 and portcullis_once.expires < 9223372036854775807";
    is_once_there: "select 1 from portcullis_once \
         where key = ?1 and (expires > ?2 or expires = 9223372036854775807)";
    take_once: "delete from portcullis_once \
         where key = ?1 and (expires > ?2 or expires = 9223372036854775807) returning value";
    purge_once: "delete from portcullis_once where rowid in (select rowid from portcullis_once \
         where expires <= ?1 and expires < 9223372036854775807 order by expires limit ?2)";

    // ===== counters =====
    counter: "select state from portcullis_counters where key = ?1";
    set_counter: "insert into portcullis_counters (key, state) values (?1, ?2) \
         on conflict (key) do update set state = excluded.state";
    forget_counter: "delete from portcullis_counters where key = ?1";
    drop_idle: "delete from portcullis_counters where key in \
         (select key from portcullis_counters where state <= ?1 order by state limit ?2)";

    // ===== shared tokens =====
    lease: "select version, expires_at, value, ends_at, span from portcullis_leases where key = ?1 and ends_at > ?2";
    lease_version: "select version from portcullis_leases where key = ?1 and ends_at > ?2";
    is_lease_there: "select 1 from portcullis_leases where key = ?1";
    put_lease: "insert or replace into portcullis_leases (key, version, expires_at, value, ends_at, span) \
         values (?1, ?2, ?3, ?4, ?5, ?6)";
    remove_lease: "delete from portcullis_leases where key = ?1";
    // Between a colon and what follows it in order.
    clear_leases: "delete from portcullis_leases where key in \
         (select key from portcullis_leases where key >= ?1 || ':' and key < ?1 || ';' limit ?2)";
    sweep_leases: "delete from portcullis_leases where key in \
         (select key from portcullis_leases where ends_at <= ?1 order by ends_at limit ?2)";
    lock: "select owner, fence, ends_at, span from portcullis_locks where key = ?1 and ends_at > ?2";
    hold_lock: "insert or replace into portcullis_locks (key, owner, fence, ends_at, span) \
         values (?1, ?2, ?3, ?4, ?5)";
    renew_lock: "update portcullis_locks set ends_at = ?4, span = ?5 \
         where key = ?1 and owner = ?2 and fence = ?3 and ends_at > ?6";
    unlock: "delete from portcullis_locks where key = ?1 and owner = ?2 and fence = ?3 and ends_at > ?4";
    sweep_locks: "delete from portcullis_locks where key in \
         (select key from portcullis_locks where ends_at <= ?1 order by ends_at limit 2)";
    // Higher than the clock, too, so that it rises also where the file was put back from a copy.
    next_fence: "update portcullis_state set fence = max(fence + 1, ?1) returning fence";
}
