-- Everything that portcullis keeps, but for its number of migrations.
--
-- Moments are milliseconds since 1970, and "never" is the highest number, so that the later of two is a plain maximum:
-- SQLite's max() of a number and a null is null. Numbers of 64 bits without a sign are kept as those with one that have
-- the same bits.

-- One row. A login is of the present only if `everyone` is what it is here, so one write ends all of them.
create table portcullis_state (
    one integer not null primary key check (one = 1),
    everyone integer not null,
    fence integer not null
) strict;

insert into portcullis_state (one, everyone, fence) values (1, 0, 0);

-- `key` is a hash of issuer and id, whose length nothing bounds.
create table portcullis_subjects (
    key blob not null primary key,
    issuer text not null,
    id text not null,
    epoch integer not null
) strict, without rowid;

create table portcullis_logins (
    id text not null primary key,
    format integer not null,
    subject blob not null references portcullis_subjects (key),
    channel text not null,
    browser_session integer not null,
    tenant text,
    client text,
    key_thumbprint text,
    scope text,
    label text,
    context text not null,
    data text,
    version integer not null,
    access blob not null,
    refresh blob,
    previous blob,
    nonce blob,
    lineage blob not null,
    generation integer not null,
    rotated_at integer not null,
    confirmed_at integer not null,
    grace_hits integer not null,
    created integer not null,
    last_seen integer not null,
    access_ttl integer not null,
    refresh_ttl integer not null,
    access_expires integer not null,
    refresh_expires integer not null,
    absolute_expires integer not null,
    epoch integer not null,
    everyone integer not null,
    revoked_at integer,
    revoked_for text,
    -- From here on no token of it can be valid. Generated, so that no write can forget it.
    purgeable integer not null generated always as (
        min(
            coalesce(revoked_at, 9223372036854775807),
            absolute_expires,
            case when refresh is null then access_expires else max(access_expires, refresh_expires) end
        )
    ) virtual,
    -- The later of the last rotation and the first use of what it gave.
    settled integer not null generated always as (max(rotated_at, confirmed_at)) virtual
) strict;

create index portcullis_logins_subject on portcullis_logins (subject, id);
-- The living alone: those that are kept for audit make nothing dearer.
create index portcullis_logins_living on portcullis_logins (subject) where revoked_at is null;
create index portcullis_logins_purgeable on portcullis_logins (purgeable);
create index portcullis_logins_settled on portcullis_logins (settled) where nonce is not null;

create table portcullis_keys (
    id text not null primary key,
    format integer not null,
    owner blob not null,
    owner_issuer text not null,
    owner_id text not null,
    kind text not null,
    tenant text,
    scope text,
    label text,
    context text not null,
    version integer not null,
    digest blob not null,
    created integer not null,
    expires integer not null,
    last_used integer not null,
    revoked_at integer,
    revoked_for text,
    purgeable integer not null generated always as (
        min(expires, coalesce(revoked_at, 9223372036854775807))
    ) virtual
) strict;

create index portcullis_keys_owner on portcullis_keys (owner, id);
create index portcullis_keys_purgeable on portcullis_keys (purgeable);

create table portcullis_once (
    key blob not null primary key,
    value blob not null,
    expires integer not null
) strict;

create index portcullis_once_expires on portcullis_once (expires);

-- `state` is the moment, in microseconds, at which the counter says nothing any more.
create table portcullis_counters (
    key blob not null primary key,
    state integer not null
) strict, without rowid;

create index portcullis_counters_state on portcullis_counters (state);

-- `ends_at` is by the clock of the machine, `span` the whole life in milliseconds.
create table portcullis_leases (
    key text not null primary key,
    version integer not null,
    expires_at integer not null,
    value blob not null,
    ends_at integer not null,
    span integer not null
) strict;

create index portcullis_leases_ends_at on portcullis_leases (ends_at);

create table portcullis_locks (
    key text not null primary key,
    owner blob not null,
    fence integer not null,
    ends_at integer not null,
    span integer not null
) strict;

create index portcullis_locks_ends_at on portcullis_locks (ends_at);
