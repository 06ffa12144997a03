-- What Stripe is told: an outbox of each organization's cost by the hour.

CREATE TABLE billing.stripe_customers (
    org_id text PRIMARY KEY,
    customer_id text NOT NULL UNIQUE,
    since_us bigint NOT NULL
);

-- An hour's first event says what it cost; what comes late is another one, with the difference. One
-- that Stripe rejected does not count, so that its amount is told again under another identifier.
-- `at_us` is the time it was told for: the hour, or that of the telling when the hour was too long ago.
CREATE TABLE billing.stripe_events (
    identifier text PRIMARY KEY,
    org_id text NOT NULL REFERENCES billing.stripe_customers (org_id),
    currency text NOT NULL,
    hour_us bigint NOT NULL,
    number integer NOT NULL,
    value_nano bigint NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'rejected')),
    tried_us bigint NOT NULL DEFAULT 0,
    at_us bigint NOT NULL DEFAULT 0,
    sent_us bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    UNIQUE (org_id, currency, hour_us, number)
);

CREATE INDEX stripe_events_due ON billing.stripe_events (hour_us) WHERE state = 'due';
