-- What was tried on flags, and what came of it: a projection of the records of its changes.

CREATE SCHEMA experiments;

-- `content` is the experiment as JSON; as text, because jsonb knows no NUL.
CREATE TABLE experiments.experiments (
    name text PRIMARY KEY,
    version integer NOT NULL,
    state text NOT NULL,
    content text NOT NULL,
    at_us bigint NOT NULL
);
CREATE INDEX experiments_running ON experiments.experiments (name) WHERE state = 'running';

CREATE TABLE experiments.history (
    name text NOT NULL,
    version integer NOT NULL,
    change_id text NOT NULL UNIQUE,
    action text NOT NULL,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    credential_id text NOT NULL,
    at_us bigint NOT NULL,
    why text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    PRIMARY KEY (name, version)
);

-- What was calculated last, by the version of the experiment that it is about.
CREATE TABLE experiments.results (
    name text PRIMARY KEY,
    version integer NOT NULL,
    calculated_us bigint NOT NULL,
    moved bigint NOT NULL,
    results text NOT NULL
);

-- A flag that a guardrail wants switched off: once in the life of an experiment. A process that
-- may change flags does it; `number` is its change of the flags, 0 until then, and -1 when the
-- experiment was over before.
CREATE TABLE experiments.kills (
    name text PRIMARY KEY,
    flag text NOT NULL,
    metric text NOT NULL,
    why text NOT NULL,
    asked_us bigint NOT NULL,
    number bigint NOT NULL DEFAULT 0
);
CREATE INDEX kills_asked ON experiments.kills (asked_us) WHERE number = 0;
