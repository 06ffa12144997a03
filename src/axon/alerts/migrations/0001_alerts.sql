-- What organizations were told of their budgets and their spending, and how that reached them.

CREATE SCHEMA alerts;

-- Each is raised once for a period: the unique line is what says so.
CREATE TABLE alerts.raised (
    id text PRIMARY KEY,
    org_id text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    period_us bigint NOT NULL,
    raised_us bigint NOT NULL,
    data text NOT NULL,
    UNIQUE (org_id, kind, subject, period_us)
);

CREATE INDEX raised_order ON alerts.raised (raised_us, id);

-- Where alerts are sent: of one organization, or ('') of all. The secret is wrapped by the keyring.
CREATE TABLE alerts.endpoints (
    id text PRIMARY KEY,
    org_id text NOT NULL,
    url text NOT NULL,
    kek_id text NOT NULL,
    secret bytea NOT NULL,
    created_us bigint NOT NULL,
    ended_us bigint NOT NULL,
    ended_why text NOT NULL
);

-- `retries` counts from the last time that somebody asked for it, `attempts` from the beginning.
CREATE TABLE alerts.deliveries (
    alert_id text NOT NULL REFERENCES alerts.raised (id) ON DELETE CASCADE,
    endpoint_id text NOT NULL REFERENCES alerts.endpoints (id) ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts integer NOT NULL,
    retries integer NOT NULL,
    next_us bigint NOT NULL,
    PRIMARY KEY (alert_id, endpoint_id)
);

CREATE INDEX deliveries_due ON alerts.deliveries (next_us) WHERE state = 'waiting';

CREATE TABLE alerts.attempts (
    alert_id text NOT NULL,
    endpoint_id text NOT NULL,
    number integer NOT NULL,
    at_us bigint NOT NULL,
    took_ms integer NOT NULL,
    status integer NOT NULL,
    error text NOT NULL,
    PRIMARY KEY (alert_id, endpoint_id, number),
    FOREIGN KEY (alert_id, endpoint_id) REFERENCES alerts.deliveries ON DELETE CASCADE
);
