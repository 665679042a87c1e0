-- Moments are milliseconds since the Unix epoch, and 9223372036854775807 is "never": not NULL, which would be
-- smaller than, larger than or equal to nothing. Texts that may hold any character are bytes, because `text` holds no
-- NUL. Epochs and versions are 64 bits without a sign, kept in one with a sign.

create table {prefix}_subjects (
    key bytea primary key,
    epoch bigint not null
) with (fillfactor = 90);

create table {prefix}_logins (
    id text collate "C" primary key,
    format smallint not null,
    -- SHA-256 of issuer and subject: an index cannot hold texts of any length.
    subject_key bytea not null,
    issuer bytea not null,
    subject bytea not null,
    channel text not null,
    browser_session boolean not null,
    tenant bytea,
    client bytea,
    key_thumbprint bytea,
    scope text,
    label bytea,
    context text not null,
    data text,
    version bigint not null,
    access bytea not null,
    refresh bytea,
    previous bytea,
    nonce bytea,
    lineage bytea not null,
    generation bigint not null,
    rotated_at bigint not null,
    confirmed_at bigint not null,
    grace_hits bigint not null,
    created bigint not null,
    last_seen bigint not null,
    access_ttl bigint not null,
    refresh_ttl bigint not null,
    access_expires bigint not null,
    refresh_expires bigint not null,
    absolute_expires bigint not null,
    epoch bigint not null,
    revoked_at bigint,
    revoked_reason text,
    -- From here on no token of the login can be valid.
    ends_at bigint not null generated always as (
        least(
            coalesce(revoked_at, 9223372036854775807),
            greatest(
                least(access_expires, absolute_expires),
                case when refresh is null then -9223372036854775808 else least(refresh_expires, absolute_expires) end
            )
        )
    ) stored
) with (fillfactor = 85);

create index {prefix}_logins_subject on {prefix}_logins (subject_key, id);
-- Without those that are kept for audit: a login under a limit looks at the living.
create index {prefix}_logins_living on {prefix}_logins (subject_key) where revoked_at is null;
create index {prefix}_logins_ends on {prefix}_logins (ends_at, id);
create index {prefix}_logins_nonce on {prefix}_logins (greatest(rotated_at, confirmed_at)) where nonce is not null;

create table {prefix}_keys (
    id text collate "C" primary key,
    format smallint not null,
    owner_key bytea not null,
    issuer bytea not null,
    owner bytea not null,
    kind bytea not null,
    tenant bytea,
    scope text,
    label bytea,
    context text not null,
    version bigint not null,
    digest bytea not null,
    created bigint not null,
    expires bigint not null,
    last_used bigint not null,
    revoked_at bigint,
    revoked_reason text,
    ends_at bigint not null generated always as (least(coalesce(revoked_at, 9223372036854775807), expires)) stored
) with (fillfactor = 90);

create index {prefix}_keys_owner on {prefix}_keys (owner_key, id);
create index {prefix}_keys_ends on {prefix}_keys (ends_at);

create table {prefix}_once (
    key bytea primary key,
    value bytea not null,
    expires bigint not null
);

create index {prefix}_once_expires on {prefix}_once (expires);

-- The moment at which the bucket is full again, in microseconds since the Unix epoch.
create table {prefix}_counters (
    key bytea primary key,
    state bigint not null
) with (fillfactor = 70);

-- Shared tokens and their locks. Time is the server's.
create table {prefix}_leases (
    key bytea primary key,
    namespace bytea not null,
    name text not null,
    version bigint not null,
    expires_at bigint not null,
    value bytea not null,
    until timestamptz not null
);

create index {prefix}_leases_namespace on {prefix}_leases (namespace);

create table {prefix}_locks (
    key bytea primary key,
    name text not null,
    owner bytea not null,
    fence bigint not null,
    until timestamptz not null
);
