-- What the flags are, were and shall be: a projection of the records of their changes.

CREATE SCHEMA flags;

-- One row. A change locks it until it commits, so numbers are given one after the other.
CREATE TABLE flags.version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL
);
INSERT INTO flags.version (number) VALUES (0);

-- A name that begins with `$` is a rule that flags share (flagd's `$evaluators`). The definition is
-- kept as text: jsonb knows no NUL, and orders members anew. An archived one is empty.
CREATE TABLE flags.definitions (
    name text PRIMARY KEY,
    version integer NOT NULL,
    definition text NOT NULL,
    origin text NOT NULL,
    number bigint NOT NULL,
    at_us bigint NOT NULL
);
CREATE INDEX definitions_number ON flags.definitions (number);

CREATE TABLE flags.changes (
    number bigint PRIMARY KEY,
    change_id text NOT NULL UNIQUE,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    credential_id text NOT NULL,
    at_us bigint NOT NULL,
    origin text NOT NULL,
    why text NOT NULL
);

CREATE TABLE flags.history (
    name text NOT NULL,
    version integer NOT NULL,
    number bigint NOT NULL REFERENCES flags.changes,
    action text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    PRIMARY KEY (name, version)
);

-- `ended_number` is the change that carried it out or called it off. It may be known before the
-- schedule is: journals are read beside each other.
CREATE TABLE flags.schedules (
    schedule_id text PRIMARY KEY,
    number bigint NOT NULL DEFAULT 0,
    due_us bigint NOT NULL DEFAULT 0,
    wanted text NOT NULL DEFAULT '',
    ended_number bigint NOT NULL DEFAULT 0
);
CREATE INDEX schedules_due ON flags.schedules (due_us) WHERE ended_number = 0 AND number > 0;
