-- The steps that are more than one statement. Each is called in a transaction of its own at READ COMMITTED, where every
-- statement of a function sees what was committed before it: what follows the lock of a subject sees what its last
-- holder has done. In one statement, the count of live logins would be that of before the wait for the lock.
-- Whoever locks several logins does it in the order of their ids, and after their subject.

-- Tells who listens that these logins have changed; too many to name are "anything".
create function {prefix}_tell(p_channel text, p_ids text[]) returns void language plpgsql as $$
begin
    if p_channel is null or cardinality(p_ids) = 0 then
        return;
    end if;
    if cardinality(p_ids) > 64 then
        perform pg_notify(p_channel, '*');
        return;
    end if;
    perform pg_notify(p_channel, told) from unnest(p_ids) told;
end
$$;

-- Locks the subject, gives it an epoch if it has none, and makes room for one login more. P0001 with the code PC001 if
-- there is none, which undoes it all.
create function {prefix}_admit(
    p_id text,
    p_subject bytea,
    p_first_epoch bigint,
    p_now bigint,
    p_max bigint,
    p_refuse boolean,
    p_replaces text,
    p_reason text,
    p_channel text,
    out o_epoch bigint,
    out o_ended text[],
    out o_replaced boolean
) language plpgsql as $$
declare
    surplus bigint;
begin
    o_ended := array[]::text[];
    o_replaced := false;
    insert into {prefix}_subjects as s (key, epoch) values (p_subject, p_first_epoch)
        on conflict (key) do update set key = excluded.key
        returning s.epoch into o_epoch;
    if exists (select 1 from {prefix}_logins l where l.id = p_id) then
        raise unique_violation;
    end if;
    if p_max is not null then
        select count(*) + 1 - p_max into surplus from {prefix}_logins l
            where l.subject_key = p_subject and l.revoked_at is null and l.ends_at > p_now and l.epoch = o_epoch
                and l.id is distinct from p_replaces;
        if surplus > 0 and p_refuse then
            raise exception 'limit reached' using errcode = 'PC001';
        end if;
        if surplus > 0 then
            -- Once more, with the rows locked: one that somebody else ends meanwhile is not ended for this login.
            o_ended := array(
                select living.id from (
                    select l.id, l.created from {prefix}_logins l
                        where l.subject_key = p_subject and l.revoked_at is null and l.ends_at > p_now
                            and l.epoch = o_epoch and l.id is distinct from p_replaces
                        order by l.id for update
                ) living order by living.created, living.id
            );
            surplus := cardinality(o_ended) + 1 - p_max;
            o_ended := coalesce(o_ended[1:greatest(surplus, 0)], array[]::text[]);
            update {prefix}_logins l set revoked_at = p_now, revoked_reason = p_reason where l.id = any(o_ended);
        end if;
    end if;
    if p_replaces is not null then
        update {prefix}_logins l set revoked_at = p_now, revoked_reason = p_reason
            where l.id = p_replaces and l.revoked_at is null;
        o_replaced := found;
    end if;
    perform {prefix}_tell(p_channel, case when o_replaced then o_ended || p_replaces else o_ended end);
end
$$;

-- Ends the subject's logins but for what is kept, and returns those that it has ended; null if the login that was to get
-- new secrets was not as expected.
create function {prefix}_revoke_subject(
    p_subject bytea,
    p_at bigint,
    p_reason text,
    p_keep text,
    p_rekeys boolean,
    p_generation bigint,
    p_next_generation bigint,
    p_access bytea,
    p_refresh bytea,
    p_lineage bytea,
    p_now bigint,
    p_access_expires bigint,
    p_refresh_expires bigint,
    p_channel text
) returns text[] language plpgsql as $$
declare
    old_epoch bigint;
    new_epoch bigint;
    ended text[];
begin
    select s.epoch into old_epoch from {prefix}_subjects s where s.key = p_subject for update;
    if not found then
        return case when p_rekeys then null else array[]::text[] end;
    end if;
    new_epoch := case old_epoch when 9223372036854775807 then -9223372036854775808 else old_epoch + 1 end;
    if p_rekeys then
        update {prefix}_logins l set
            generation = p_next_generation, access = p_access, refresh = p_refresh, lineage = p_lineage,
            previous = null, nonce = null, rotated_at = p_now, last_seen = greatest(l.last_seen, p_now),
            confirmed_at = p_now, grace_hits = 0, access_expires = p_access_expires,
            refresh_expires = p_refresh_expires, epoch = new_epoch
            where l.id = p_keep and l.subject_key = p_subject and l.generation = p_generation
                and l.revoked_at is null and l.epoch = old_epoch;
        if not found then
            return null;
        end if;
    end if;
    if p_rekeys or p_keep is null then
        update {prefix}_subjects s set epoch = new_epoch where s.key = p_subject;
    end if;
    with living as (
        select l.id from {prefix}_logins l
            where l.subject_key = p_subject and l.revoked_at is null and l.id is distinct from p_keep
            order by l.id for update
    ), gone as (
        update {prefix}_logins l set revoked_at = p_at, revoked_reason = p_reason from living where l.id = living.id
            returning l.id
    )
    select coalesce(array_agg(gone.id), array[]::text[]) into ended from gone;
    perform {prefix}_tell(p_channel, case when p_rekeys then ended || p_keep else ended end);
    return ended;
end
$$;

-- Removes logins that have ended, and their subjects if they have no others. The subjects are locked before their logins,
-- as all steps do, and both in one order: so no two steps wait for each other.
create function {prefix}_purge(p_subject bytea, p_before bigint, p_limit bigint, p_channel text)
returns setof {prefix}_logins language plpgsql as $$
declare
    due text[];
    theirs bytea[];
    gone {prefix}_logins[];
begin
    if p_subject is null then
        due := array(select d.id from {prefix}_logins d where d.ends_at <= p_before order by d.ends_at, d.id limit p_limit);
    else
        due := array(
            select d.id from {prefix}_logins d where d.subject_key = p_subject and d.ends_at <= p_before
                order by d.id limit p_limit
        );
    end if;
    theirs := array(select distinct l.subject_key from {prefix}_logins l where l.id = any(due));
    perform 1 from {prefix}_subjects s where s.key = any(theirs) order by s.key for update;
    -- Once more, behind the locks: what is no longer due stays.
    with locked as (
        select l.id from {prefix}_logins l where l.id = any(due) and l.ends_at <= p_before order by l.id for update
    ), removed as (
        delete from {prefix}_logins l using locked where l.id = locked.id returning l as login
    )
    select array_agg(removed.login) into gone from removed;
    if gone is null then
        return;
    end if;
    delete from {prefix}_subjects s where s.key = any(theirs)
        and not exists (select 1 from {prefix}_logins l where l.subject_key = s.key);
    -- Many are not told: a copy of what has ended lets nobody in, and "anything" would cost the copies of the living.
    if cardinality(gone) <= 64 then
        perform {prefix}_tell(p_channel, array(select g.id from unnest(gone) g));
    end if;
    return query select * from unnest(gone);
end
$$;
