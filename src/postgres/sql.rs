//! The statements. They are static: a prefix that is a name, and lists of columns, are all that is put into them.

use super::{
    row::{KEY_COLUMNS, LOGIN_COLUMNS},
    schema::Schema,
};

/// Whether changes are told to who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PostgresNotify {
    /// They are, in the same step.
    #[default]
    Changes,
    /// They are not: [`PostgresStore::changes`](super::PostgresStore::changes) has nothing to tell.
    Nothing,
}

/// The text of each statement, for one prefix.
pub(super) struct Texts(Vec<String>);

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        /// Names a statement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Sql { $($name,)* }

        impl Sql {
            pub(super) const COUNT: usize = [$(Self::$name,)*].len();
        }

        const TEMPLATES: [&str; Sql::COUNT] = [$($text,)*];
    };
}

statements! {
    Find = "select {logins}, s.epoch from {prefix}_logins l left join {prefix}_subjects s on s.key = l.subject_key \
        where l.id = $1";
    Insert = "with admitted as materialized (
            select * from {prefix}_admit($1::text, $33::bytea, $34::bigint, $35::bigint, $36::bigint, $37::boolean, $38::text,
                $39::text, {channel})
        ), added as (
            insert into {prefix}_logins (id, format, issuer, subject, channel, browser_session, tenant, client,
                key_thumbprint, scope, label, context, data, version, access, refresh, previous, nonce, lineage,
                generation, rotated_at, confirmed_at, grace_hits, created, last_seen, access_ttl, refresh_ttl,
                access_expires, refresh_expires, absolute_expires, revoked_at, revoked_reason, subject_key, epoch)
            select $1::text, $2::smallint, $3::bytea, $4::bytea, $5::text, $6::boolean, $7::bytea, $8::bytea,
                $9::bytea, $10::text, $11::bytea, $12::text, $13::text, $14::bigint, $15::bytea, $16::bytea,
                $17::bytea, $18::bytea, $19::bytea, $20::bigint, $21::bigint, $22::bigint, $23::bigint, $24::bigint,
                $25::bigint, $26::bigint, $27::bigint, $28::bigint, $29::bigint, $30::bigint, $31::bigint, $32::text,
                $33::bytea, admitted.o_epoch from admitted
        )
        select o_epoch, o_ended, o_replaced from admitted";
    // The subject's row is locked against a raise of its epoch: without that the comparison is with the epoch of before,
    // and a pair could be answered that is dead before it is used.
    Rotate = "with changed as (
            update {prefix}_logins l set generation = $3, access = $4, previous = l.refresh, refresh = $5, nonce = $6,
                rotated_at = $7, last_seen = greatest(l.last_seen, $7), confirmed_at = 9223372036854775807,
                grace_hits = 0, access_expires = $8, refresh_expires = greatest(l.refresh_expires, $9)
            where l.id = $1 and l.generation = $2 and l.revoked_at is null
                and l.epoch = (select s.epoch from {prefix}_subjects s where s.key = l.subject_key for share)
            returning l.id
        ) select {tell} from changed";
    GraceHit = "update {prefix}_logins set grace_hits = grace_hits + 1 \
        where id = $1 and generation = $2 and revoked_at is null and grace_hits < $3 returning 1";
    Confirm = "update {prefix}_logins set confirmed_at = $3 \
        where id = $1 and generation = $2 and revoked_at is null and confirmed_at = 9223372036854775807 returning 1";
    Touch = "update {prefix}_logins l set last_seen = $4,
            access_expires = greatest(l.access_expires, coalesce($5, l.access_expires)),
            refresh_expires = greatest(l.refresh_expires, coalesce($6, l.refresh_expires)),
            access = coalesce($7, l.access), nonce = case when $8 then null else l.nonce end
        where l.id = $1 and l.generation = $2 and l.revoked_at is null and l.last_seen <= $3 returning 1";
    Rekey = "with changed as (
            update {prefix}_logins l set generation = $3, access = $4, refresh = $5, lineage = $6, previous = null,
                nonce = null, rotated_at = $7, last_seen = greatest(l.last_seen, $7), confirmed_at = $7,
                grace_hits = 0, access_expires = $8, refresh_expires = $9
            where l.id = $1 and l.generation = $2 and l.revoked_at is null
                and l.epoch = (select s.epoch from {prefix}_subjects s where s.key = l.subject_key for share)
            returning l.id
        ) select {tell} from changed";
    SaveData = "with changed as (
            update {prefix}_logins set version = $3, data = $4 where id = $1 and version = $2 and revoked_at is null
            returning id
        ) select {tell} from changed";
    SetLabel = "with changed as (
            update {prefix}_logins set label = $2 where id = $1 and revoked_at is null returning id
        ) select {tell} from changed";
    Revoke = "with changed as (
            update {prefix}_logins set revoked_at = $2, revoked_reason = $3 where id = $1 and revoked_at is null
            returning id
        ) select {tell} from changed";
    RevokeSubject = "select {prefix}_revoke_subject($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, {channel})";
    RaiseAll = "with raised as (
            update {prefix}_subjects set epoch =
                case epoch when 9223372036854775807 then -9223372036854775808 else epoch + 1 end
        ) select {tell_all}";
    // What was issued since the raise has the new epoch, and lives on.
    MarkEnded = "with due as (
            select l.id from {prefix}_logins l join {prefix}_subjects s on s.key = l.subject_key
            where l.id > $3 and l.revoked_at is null and l.epoch <> s.epoch order by l.id limit $4 for update of l
        ), marked as (
            update {prefix}_logins l set revoked_at = $1, revoked_reason = $2 from due where l.id = due.id
            returning l.id
        ) select count(*), max(id) from marked";
    List = "select {logins}, s.epoch from {prefix}_logins l left join {prefix}_subjects s on s.key = l.subject_key \
        where l.id > $1 order by l.id limit $2";
    ListOf = "select {logins}, s.epoch from {prefix}_logins l left join {prefix}_subjects s on s.key = l.subject_key \
        where l.subject_key = $3 and l.id > $1 order by l.id limit $2";
    Purge = "select {logins}, null::bigint from {prefix}_purge($1, $2, $3, {channel}) l";
    WipeNonces = "with due as materialized (
            select id from {prefix}_logins where nonce is not null and greatest(rotated_at, confirmed_at) < $1
            order by greatest(rotated_at, confirmed_at) limit $2
        ), locked as (
            select l.id from {prefix}_logins l where l.id in (select id from due)
                and l.nonce is not null and greatest(l.rotated_at, l.confirmed_at) < $1
            order by l.id for update
        ), wiped as (
            update {prefix}_logins l set nonce = null from locked where l.id = locked.id returning 1
        ) select count(*) from wiped";

    FindKey = "select {keys} from {prefix}_keys k where k.id = $1";
    InsertKey = "insert into {prefix}_keys (id, format, issuer, owner, kind, tenant, scope, label, context, version,
            digest, created, expires, last_used, revoked_at, revoked_reason, owner_key)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    NoteKeyUse = "update {prefix}_keys set last_used = $3 \
        where id = $1 and revoked_at is null and last_used <= $2 returning 1";
    UpdateKey = "update {prefix}_keys set version = $3, label = $4, scope = $5, context = $6, expires = $7 \
        where id = $1 and version = $2 and revoked_at is null returning 1";
    RevokeKey = "update {prefix}_keys set revoked_at = $2, revoked_reason = $3 \
        where id = $1 and revoked_at is null returning 1";
    ListKeys = "select {keys} from {prefix}_keys k where k.id > $1 and k.created < $3 order by k.id limit $2";
    ListKeysOf = "select {keys} from {prefix}_keys k \
        where k.owner_key = $4 and k.id > $1 and k.created < $3 order by k.id limit $2";
    PurgeKeys = "with due as (
            select id from {prefix}_keys where ends_at <= $1 and ends_at < 9223372036854775807 order by ends_at limit $2 for update skip locked
        ) delete from {prefix}_keys k using due where k.id = due.id returning {keys}";

    OncePut = "insert into {prefix}_once as o (key, value, expires) values ($1, $2, $3) \
        on conflict (key) do update set value = excluded.value, expires = excluded.expires \
            where o.expires <= $4 and o.expires < 9223372036854775807 returning 1";
    OnceLives = "select 1 from {prefix}_once \
        where key = $1 and (expires > $2 or expires = 9223372036854775807)";
    OnceTake = "delete from {prefix}_once \
        where key = $1 and (expires > $2 or expires = 9223372036854775807) returning value";
    OncePurge = "with due as (
            select key from {prefix}_once where expires <= $1 and expires < 9223372036854775807
            order by expires limit $2 for update skip locked
        ) delete from {prefix}_once o using due where o.key = due.key returning 1";

    // The condition has the two cases in which an event is allowed. The state that a refusal waits for is read with it.
    CounterHit = "with hit as (
            insert into {prefix}_counters as c (key, state) values ($1, $2)
            on conflict (key) do update set state =
                case when c.state <= $3 then greatest(c.state, $4) + $5 else $6 end
            where c.state <= $3 or c.state > $7
            returning c.state
        )
        select true, state from hit
        union all select false, c.state from {prefix}_counters c where c.key = $1 and not exists (select 1 from hit)";
    CounterState = "select state from {prefix}_counters where key = $1";
    CounterForget = "delete from {prefix}_counters where key = $1";
    CounterSweep = "delete from {prefix}_counters where key in (
            select key from {prefix}_counters
            where state <= least($1, (extract(epoch from clock_timestamp()) * 1000000)::bigint) limit $2
            for update skip locked
        ) returning 1";

    LeaseGet = "select l.version, l.expires_at, l.value,
            floor(extract(epoch from l.until - n.now) * 1000000)::bigint
        from (select clock_timestamp() as now) n, {prefix}_leases l where l.key = $1 and l.until > n.now";
    LeaseExists = "select 1 from {prefix}_leases where key = $1 and until > clock_timestamp()";
    LeasePut = "insert into {prefix}_leases as l (key, namespace, name, version, expires_at, value, until) \
        values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::bigint * interval '1 millisecond') \
        on conflict (key) do update set version = $4, expires_at = $5, value = $6, \
            until = clock_timestamp() + $7::bigint * interval '1 millisecond' \
        where not $8 or l.until <= clock_timestamp() returning 1";
    LeaseReplace = "update {prefix}_leases set version = $3, expires_at = $4, value = $5, \
            until = clock_timestamp() + $6::bigint * interval '1 millisecond' \
        where key = $1 and version = $2 and until > clock_timestamp() returning 1";
    LeaseDelete = "delete from {prefix}_leases where key = $1";
    LeaseDeleteVersion = "delete from {prefix}_leases \
        where key = $1 and version = $2 and until > clock_timestamp() returning 1";
    LeaseClear = "delete from {prefix}_leases where namespace = $1";
    // What stays of a lock is its fence, so that the next is higher, also if the server's clock was set back.
    Lock = "insert into {prefix}_locks as l (key, name, owner, fence, until) \
        values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000000)::bigint, \
            clock_timestamp() + $4::bigint * interval '1 millisecond') \
        on conflict (key) do update set owner = $3, \
            fence = case when l.owner = $3 and l.until > clock_timestamp() then l.fence \
                else greatest(l.fence + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint) end, \
            until = clock_timestamp() + $4::bigint * interval '1 millisecond' \
        where l.owner = $3 or l.until <= clock_timestamp() returning l.fence";
    LockRenew = "update {prefix}_locks set until = clock_timestamp() + $4::bigint * interval '1 millisecond' \
        where key = $1 and owner = $2 and fence = $3 and until > clock_timestamp() returning 1";
    Unlock = "update {prefix}_locks set until = '-infinity' \
        where key = $1 and owner = $2 and fence = $3 and until > clock_timestamp() returning 1";
    LeaseSweep = "delete from {prefix}_leases where until <= clock_timestamp()";
}

impl Texts {
    pub(super) fn new(schema: &Schema, notify: PostgresNotify) -> Self {
        let channel = schema.channel();
        let listed = |table: &str, columns: &[&str]| {
            columns.iter().map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
        };
        let (logins, keys) = (listed("l", &LOGIN_COLUMNS), listed("k", &KEY_COLUMNS));
        let (tell, tell_all, channel) = match notify {
            PostgresNotify::Changes => (
                format!("pg_notify('{channel}', id)"),
                format!("pg_notify('{channel}', '*')"),
                format!("'{channel}'"),
            ),
            PostgresNotify::Nothing => ("1".to_owned(), "1".to_owned(), "null".to_owned()),
        };
        let text = |template: &&str| {
            schema
                .named(template)
                .replace("{logins}", &logins)
                .replace("{keys}", &keys)
                .replace("{tell}", &tell)
                .replace("{tell_all}", &tell_all)
                .replace("{channel}", &channel)
        };
        Self(TEMPLATES.iter().map(text).collect())
    }

    pub(super) fn of(&self, sql: Sql) -> &str {
        &self.0[sql as usize]
    }
}
