-- What may be used: tiers and rules as administrators define them, and what was used of them.

CREATE SCHEMA limits;

CREATE TABLE limits.tiers (
    name text PRIMARY KEY,
    description text NOT NULL
);

-- One limit. An empty selector (user_id: -1) fits everybody.
CREATE TABLE limits.rules (
    id text PRIMARY KEY,
    measure text NOT NULL CHECK (measure IN ('requests', 'tokens', 'concurrent', 'money')),
    period text NOT NULL CHECK (period IN ('', 'minute', 'day', 'month')),
    currency text NOT NULL CHECK (currency ~ '^([A-Z]{3})?$'),
    amount bigint NOT NULL CHECK (amount >= 0 AND amount < 4503599627370496),
    kind text NOT NULL CHECK (kind IN ('hard', 'soft', 'overage')),
    grace bigint NOT NULL CHECK (grace >= 0 AND grace < 4503599627370496),
    tier text NOT NULL,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    credential_id text NOT NULL,
    model text NOT NULL,
    apart text[] NOT NULL,
    CHECK ((measure = 'concurrent') = (period = '')),
    CHECK ((measure = 'money') = (currency <> ''))
);

-- Organizations whose days and months are not those of UTC.
CREATE TABLE limits.time_zones (
    org_id text PRIMARY KEY,
    time_zone text NOT NULL
);

-- One row. A change of anything above locks it until it commits.
CREATE TABLE limits.version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL
);

INSERT INTO limits.version (number) VALUES (1);

INSERT INTO limits.tiers (name, description) VALUES
    ('free', '10 requests a day and 100,000 model tokens a month'),
    ('pro', 'no limits: what is used is paid for'),
    ('enterprise', 'limits as agreed');

INSERT INTO limits.rules VALUES
    ('free-requests', 'requests', 'day', '', 10, 'hard', 0, 'free', '', -1, '', '', '{}'),
    ('free-tokens', 'tokens', 'month', '', 100000, 'hard', 0, 'free', '', -1, '', '', '{}');

-- What was used of a counter in a day or a month, by the journal whose turns used it: each journal's
-- process knows the rest of its own.
CREATE TABLE limits.counts (
    org_id text NOT NULL,
    bucket text NOT NULL,
    start_us bigint NOT NULL,
    instance text NOT NULL,
    used numeric NOT NULL,
    past_us bigint NOT NULL,
    PRIMARY KEY (org_id, bucket, start_us, instance)
);

CREATE INDEX counts_past ON limits.counts (past_us);

-- The turns that are in those counts: each is counted once, however often its record comes. Both are
-- forgotten at past_us, when nobody can ask for the longest of the turn's periods any more.
CREATE TABLE limits.turns (
    turn_id text PRIMARY KEY,
    past_us bigint NOT NULL
);

CREATE INDEX turns_past ON limits.turns (past_us);
