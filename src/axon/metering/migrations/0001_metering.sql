-- What turns consumed and cost: a projection of the records that end them, and the prices.

CREATE SCHEMA metering;

-- Rates are nano-units (10^-9 of the currency) for a million model tokens. `version` is the number
-- of the change that wrote the row: the processes find changes by it.
CREATE TABLE metering.prices (
    id text PRIMARY KEY,
    org_id text NOT NULL,
    model text NOT NULL,
    effective_from_us bigint NOT NULL,
    effective_to_us bigint NOT NULL CHECK (effective_to_us = 0
        OR effective_to_us >= effective_from_us),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    input_nano bigint NOT NULL CHECK (input_nano >= 0),
    cache_read_nano bigint CHECK (cache_read_nano >= 0),
    cache_write_nano bigint CHECK (cache_write_nano >= 0),
    output_nano bigint NOT NULL CHECK (output_nano >= 0),
    reasoning_nano bigint CHECK (reasoning_nano >= 0),
    per_request_nano bigint NOT NULL CHECK (per_request_nano >= 0),
    tiers text NOT NULL,
    source text NOT NULL,
    version bigint NOT NULL UNIQUE
);

CREATE INDEX prices_line ON metering.prices (org_id, model, effective_from_us);

-- Two prices of one organization and model with one beginning would both hold.
CREATE UNIQUE INDEX prices_beginning ON metering.prices (org_id, model, effective_from_us)
    WHERE effective_to_us = 0 OR effective_to_us <> effective_from_us;

-- Turns were charged by a price: it may end, it may never become another.
CREATE FUNCTION metering.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(OLD) - 'effective_to_us' - 'version')
            IS DISTINCT FROM (to_jsonb(NEW) - 'effective_to_us' - 'version') THEN
        RAISE EXCEPTION 'a price is never changed or deleted, only ended: set another';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER prices_stay BEFORE UPDATE OR DELETE ON metering.prices
    FOR EACH ROW EXECUTE FUNCTION metering.refuse_rewriting();

-- One row for each turn that ended. `instance` and `sequence` are the place of its end's record in
-- a journal, so that every sum can be followed to what was acknowledged. Flags fill `variant`.
CREATE TABLE metering.turns (
    user_id bigint NOT NULL,
    turn_id text NOT NULL,
    org_id text NOT NULL,
    credential_id text NOT NULL,
    model text NOT NULL,
    variant text NOT NULL,
    upstream text NOT NULL,
    surface text NOT NULL,
    status text NOT NULL,
    accepted_us bigint NOT NULL,
    input_tokens integer NOT NULL,
    cached_tokens integer NOT NULL,
    cache_write_tokens integer NOT NULL,
    output_tokens integer NOT NULL,
    reasoning_tokens integer NOT NULL,
    estimated boolean NOT NULL,
    price_id text NOT NULL,
    currency text NOT NULL,
    cost_nano bigint NOT NULL,
    instance text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (user_id, turn_id)
);

CREATE INDEX turns_org ON metering.turns (org_id, accepted_us);

-- What a re-rating changed of a turn's cost: appended, never updated. The cost of a turn is its own
-- and the sum of these, by currency.
CREATE TABLE metering.corrections (
    user_id bigint NOT NULL,
    turn_id text NOT NULL,
    number integer NOT NULL,
    currency text NOT NULL,
    org_id text NOT NULL,
    accepted_us bigint NOT NULL,
    price_id text NOT NULL,
    cost_nano bigint NOT NULL,
    corrected_us bigint NOT NULL,
    PRIMARY KEY (user_id, turn_id, number, currency)
);

CREATE INDEX corrections_org ON metering.corrections (org_id, accepted_us);

-- Sums by the UTC day and by the quarter of an hour in which turns were accepted. The days of every
-- time zone begin with a quarter.
CREATE TABLE metering.usage (
    user_id bigint NOT NULL,
    date date NOT NULL,
    org_id text NOT NULL,
    credential_id text NOT NULL,
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
    PRIMARY KEY (user_id, date, org_id, credential_id, model, variant, currency)
) WITH (fillfactor = 80);

CREATE INDEX usage_org ON metering.usage (org_id, date);

CREATE TABLE metering.usage_quarters (
    user_id bigint NOT NULL,
    begins_us bigint NOT NULL,
    org_id text NOT NULL,
    credential_id text NOT NULL,
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
    PRIMARY KEY (user_id, begins_us, org_id, credential_id, model, variant, currency)
) WITH (fillfactor = 80);

CREATE INDEX usage_quarters_org ON metering.usage_quarters (org_id, begins_us);

-- The same without the person: an organization's month is a few rows however many people it has.
CREATE TABLE metering.org_usage (
    org_id text NOT NULL,
    date date NOT NULL,
    credential_id text NOT NULL,
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
    PRIMARY KEY (org_id, date, credential_id, model, variant, currency)
) WITH (fillfactor = 80);

CREATE TABLE metering.org_usage_quarters (
    org_id text NOT NULL,
    begins_us bigint NOT NULL,
    credential_id text NOT NULL,
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
    PRIMARY KEY (org_id, begins_us, credential_id, model, variant, currency)
) WITH (fillfactor = 80);
