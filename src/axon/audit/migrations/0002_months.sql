-- Turns stand in one table a month, by the instant of their acceptance (UTC): a month that is too
-- old goes as a whole, and costs nothing by its size.
DROP INDEX audit.turns_at, audit.turns_org;
ALTER TABLE audit.turns DROP CONSTRAINT turns_pkey;
ALTER TABLE audit.turns RENAME TO turns_before;
CREATE TABLE audit.turns (LIKE audit.turns_before INCLUDING DEFAULTS INCLUDING STORAGE)
    PARTITION BY RANGE (accepted_us);
ALTER TABLE audit.turns ADD PRIMARY KEY (user_id, turn_id, accepted_us);
CREATE INDEX turns_org ON audit.turns (org_id, accepted_us, turn_id);

-- Make the month of an instant, in microseconds since 1970, if there is none. Its table is made
-- beside the others and then attached, for which nobody who reads or writes has to wait.
CREATE FUNCTION audit.add_month(at_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    start timestamp := date_trunc('month', to_timestamp(at_us / 1000000) AT TIME ZONE 'UTC');
    called text := 'turns_' || to_char(start, 'FMYYYY_MM');
BEGIN
    IF to_regclass('audit.' || called) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('audit.add_month', 0));
    IF to_regclass('audit.' || called) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE audit.%I (LIKE audit.turns INCLUDING ALL) WITH (fillfactor = 60)', called
        );
        EXECUTE format(
            'ALTER TABLE audit.turns ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)',
            called,
            extract(epoch FROM start)::bigint * 1000000,
            extract(epoch FROM start + interval '1 month')::bigint * 1000000
        );
    END IF;
END
$$;

-- The months there are: from which instant to before which.
CREATE VIEW audit.months AS
SELECT c.relname::text AS name,
    substring(bound FROM 'FROM \(''(\d+)''\)')::bigint AS since_us,
    substring(bound FROM 'TO \(''(\d+)''\)')::bigint AS until_us
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid,
    pg_get_expr(c.relpartbound, c.oid) AS bound
WHERE i.inhparent = 'audit.turns'::regclass;

SELECT audit.add_month(at_us) FROM (
    SELECT min(accepted_us) AS at_us FROM audit.turns_before
    GROUP BY date_trunc('month', to_timestamp(accepted_us / 1000000) AT TIME ZONE 'UTC')
) AS month;
INSERT INTO audit.turns SELECT * FROM audit.turns_before ORDER BY accepted_us;
DROP TABLE audit.turns_before;
