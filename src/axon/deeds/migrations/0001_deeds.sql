-- Who changed what has power or configuration. Triggers write it, within the transaction that makes
-- the change: so no command, no route and no hand in psql changes one of these tables without a row
-- here. A serving process puts each row into its journal. This room's migrations come last, because
-- the tables they watch are other rooms'.
CREATE SCHEMA deeds;

-- `org_id` is whose configuration it is, empty for the whole installation. `actor` is JSON, as
-- axon.deeds.Actor. `was` and `became` are JSON without secrets and without names of people: of a
-- change, only what differs. Both are empty where there was nothing, or is nothing any more.
CREATE TABLE deeds.deeds (
    deed_id text COLLATE "C" PRIMARY KEY,
    org_id text NOT NULL,
    at_us bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    was text NOT NULL,
    became text NOT NULL,
    journaled boolean NOT NULL DEFAULT false
);
CREATE INDEX deeds_org ON deeds.deeds (org_id, at_us, deed_id);
CREATE INDEX deeds_waiting ON deeds.deeds (at_us) WHERE NOT journaled;

-- Arguments: what a row is called, the column of its id, that of its organization (empty for none),
-- and the columns that are nobody's to see.
CREATE FUNCTION deeds.note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := '{}';
    became jsonb := '{}';
    whole jsonb;
    done text := 'changed';
    object text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        was := to_jsonb(OLD) - TG_ARGV[3:];
        whole := was;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        became := to_jsonb(NEW) - TG_ARGV[3:];
        whole := became;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF was = became THEN
            RETURN NULL;
        END IF;
        SELECT jsonb_object_agg(key, value), jsonb_object_agg(key, became -> key)
        INTO was, became FROM jsonb_each(was) WHERE became -> key IS DISTINCT FROM value;
        IF coalesce(became ->> 'revoked_us', '0') <> '0' THEN
            done := 'revoked';
        END IF;
    ELSE
        done := CASE TG_OP WHEN 'INSERT' THEN 'created' ELSE 'removed' END;
    END IF;
    object := whole ->> TG_ARGV[1];
    IF TG_ARGV[0] = 'user' THEN
        object := lpad(to_hex(object::bigint), 16, '0');
    END IF;
    INSERT INTO deeds.deeds (deed_id, org_id, at_us, actor, action, object, was, became) VALUES (
        'deed_' || replace(gen_random_uuid()::text, '-', ''),
        coalesce(whole ->> nullif(TG_ARGV[2], ''), ''),
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        coalesce(
            nullif(current_setting('axon.actor', true), ''),
            jsonb_build_object('origin', 'database', 'name', session_user)::text
        ),
        TG_ARGV[0] || '.' || done,
        object,
        coalesce(nullif(was::text, '{}'), ''),
        coalesce(nullif(became::text, '{}'), '')
    );
    RETURN NULL;
END $$;
