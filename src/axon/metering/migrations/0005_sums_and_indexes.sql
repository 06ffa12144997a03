-- Sums for every question of a month, and one index a table, in the order in which rows come: what
-- is written at one time lies together, however many people there are. A person's rows are found by
-- skipping from period to period.

ALTER TABLE metering.usage DROP CONSTRAINT usage_pkey;
ALTER TABLE metering.usage
    ADD PRIMARY KEY (org_id, date, user_id, credential_id, model, variant, currency);
DROP INDEX metering.usage_org;

ALTER TABLE metering.usage_quarters DROP CONSTRAINT usage_quarters_pkey;
ALTER TABLE metering.usage_quarters
    ADD PRIMARY KEY (org_id, begins_us, user_id, credential_id, model, variant, currency);
DROP INDEX metering.usage_quarters_org;

-- Which organizations there are, and who spent on a day, org_days knows in fewer rows. This index
-- was taken for an organization's range of days, which it is the worst for.
DROP INDEX metering.org_usage_date;

-- The ids of turns rise with time.
ALTER TABLE metering.turns DROP CONSTRAINT turns_pkey;
ALTER TABLE metering.turns ADD PRIMARY KEY (turn_id, user_id);

-- Months of persons and of keys: the first had no keys, the second were none.
DROP TABLE metering.usage_months;

CREATE TABLE metering.usage_months (
    LIKE metering.usage,
    CHECK (extract(day FROM date) = 1),
    PRIMARY KEY (org_id, date, user_id, credential_id, model, variant, currency)
) WITH (fillfactor = 80);

CREATE TABLE metering.org_usage_months (
    LIKE metering.org_usage,
    CHECK (extract(day FROM date) = 1),
    PRIMARY KEY (org_id, date, credential_id, model, variant, currency)
) WITH (fillfactor = 80);

-- An organization's quarters without keys: hours, and the odd hours of a time zone's days.
CREATE TABLE metering.org_quarters (
    org_id text NOT NULL,
    begins_us bigint NOT NULL,
    model text NOT NULL,
    variant text NOT NULL,
    currency text NOT NULL,
    requests_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nano bigint NOT NULL,
    overage_nano bigint NOT NULL,
    PRIMARY KEY (org_id, begins_us, model, variant, currency)
) WITH (fillfactor = 80);

INSERT INTO metering.usage_months
SELECT user_id, date_trunc('month', date::timestamp)::date, org_id, credential_id, model, variant,
    currency, sum(requests_count), sum(input_tokens), sum(cached_tokens), sum(cache_write_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost_nano), sum(overage_nano)
FROM metering.usage GROUP BY 1, 2, 3, 4, 5, 6, 7;

INSERT INTO metering.org_usage_months
SELECT org_id, date_trunc('month', date::timestamp)::date, credential_id, model, variant, currency,
    sum(requests_count), sum(input_tokens), sum(cached_tokens), sum(cache_write_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost_nano), sum(overage_nano)
FROM metering.org_usage GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO metering.org_quarters
SELECT org_id, begins_us, model, variant, currency,
    sum(requests_count), sum(input_tokens), sum(cached_tokens), sum(cache_write_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost_nano), sum(overage_nano)
FROM metering.org_usage_quarters GROUP BY 1, 2, 3, 4, 5;

-- sum() of what has 64 bits is of any length, and takes most of the time of a question with
-- thousands of sums. This one has 64 bits too: for counts, and never for money.
CREATE AGGREGATE metering.total (bigint) (
    SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE
);
