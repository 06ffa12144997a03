-- What of a cost is for going beyond limits that let a turn: part of cost_nano everywhere.

ALTER TABLE metering.turns ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.corrections ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.usage ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.usage_quarters ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.org_usage ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.org_usage_quarters ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;

-- The sums that most questions are about, in few rows: a person's months and an organization's days,
-- without the key.
CREATE TABLE metering.usage_months (
    user_id bigint NOT NULL,
    date date NOT NULL CHECK (extract(day FROM date) = 1),
    org_id text NOT NULL,
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
    PRIMARY KEY (org_id, date, user_id, model, variant, currency)
) WITH (fillfactor = 80);

CREATE INDEX usage_months_user ON metering.usage_months (user_id, date);

CREATE TABLE metering.org_days (
    org_id text NOT NULL,
    date date NOT NULL,
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
    PRIMARY KEY (org_id, date, model, variant, currency)
) WITH (fillfactor = 80);

INSERT INTO metering.usage_months
SELECT user_id, date_trunc('month', date::timestamp)::date, org_id, model, variant, currency,
    sum(requests_count), sum(input_tokens), sum(cached_tokens), sum(cache_write_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost_nano), sum(overage_nano)
FROM metering.usage GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO metering.org_days
SELECT org_id, date, model, variant, currency,
    sum(requests_count), sum(input_tokens), sum(cached_tokens), sum(cache_write_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost_nano), sum(overage_nano)
FROM metering.org_usage GROUP BY 1, 2, 3, 4, 5;
