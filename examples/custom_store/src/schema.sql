-- "Never" is the largest integer, so that the later of two ends is a plain max(). What may be any text is a blob.
create table if not exists subjects (
    subject_key blob primary key,
    epoch integer not null
) without rowid;

create table if not exists logins (
    id text primary key collate binary,
    format integer not null,
    subject_key blob not null,
    issuer text not null,
    subject blob not null,
    channel text not null,
    browser_session integer not null,
    tenant blob,
    client blob,
    key_thumbprint blob,
    scope text,
    label blob,
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
    revoked_at integer,
    revoked_for text,
    -- The end of the token that ends last, whether the login is revoked or not.
    last_end integer not null generated always as (
        min(absolute_expires, max(access_expires, iif(refresh is null, access_expires, refresh_expires)))
    ) virtual,
    purgeable_from integer not null generated always as (
        min(ifnull(revoked_at, 9223372036854775807),
            absolute_expires, max(access_expires, iif(refresh is null, access_expires, refresh_expires)))
    ) virtual
) without rowid;

create index if not exists logins_of_subject on logins (subject_key, id);
create index if not exists logins_to_purge on logins (purgeable_from);
