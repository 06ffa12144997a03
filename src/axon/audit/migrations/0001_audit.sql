-- The audit: sealed copies of every turn, who read them, who may not be forgotten, and the signed
-- checkpoints of the journals.
CREATE SCHEMA audit;

-- One row for each turn, written when it begins and again, beside that, when it ends. What was said is sealed, in `request` and `content`; both are empty for a
-- person whose keys were erased. `variants` are flag:variant, `verdicts` stage:action of safety.
CREATE TABLE audit.turns (
    user_id bigint NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    org_id text NOT NULL,
    credential_id text NOT NULL,
    conversation_id text NOT NULL,
    surface text NOT NULL,
    model text NOT NULL,
    variant_model text NOT NULL,
    safety text NOT NULL,
    variants text[] NOT NULL,
    accepted_us bigint NOT NULL,
    accepted_sequence bigint NOT NULL DEFAULT 0,
    request bytea,
    status text NOT NULL DEFAULT 'in_progress',
    reason text NOT NULL DEFAULT '',
    upstream text NOT NULL DEFAULT '',
    upstream_id text NOT NULL DEFAULT '',
    first_token_us bigint NOT NULL DEFAULT 0,
    completed_us bigint NOT NULL DEFAULT 0,
    input_tokens integer NOT NULL DEFAULT 0,
    output_tokens integer NOT NULL DEFAULT 0,
    currency text NOT NULL DEFAULT '',
    cost_nano bigint NOT NULL DEFAULT 0,
    instance text NOT NULL,
    ended_sequence bigint NOT NULL DEFAULT 0,
    unplaced boolean NOT NULL DEFAULT false,
    verdicts text[] NOT NULL DEFAULT '{}',
    content bytea,
    PRIMARY KEY (user_id, turn_id)
) WITH (fillfactor = 60);
ALTER TABLE audit.turns ALTER COLUMN request SET STORAGE EXTERNAL;
ALTER TABLE audit.turns ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX turns_org ON audit.turns (org_id, accepted_us, turn_id);
-- Turns come in the order of time, so a summary of each stretch of the table finds the old ones.
CREATE INDEX turns_at ON audit.turns USING brin (accepted_us);

-- Who reached for what others said: a projection of the records that say so.
CREATE TABLE audit.accesses (
    access_id text PRIMARY KEY,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    credential_id text NOT NULL,
    at_us bigint NOT NULL,
    action text NOT NULL,
    subject bigint NOT NULL,
    objects text[] NOT NULL,
    reason text NOT NULL
);
CREATE INDEX accesses_org ON audit.accesses (org_id, at_us, access_id);

-- Where two people must agree: who asks to read a turn, and who else let them.
CREATE TABLE audit.requests (
    request_id text PRIMARY KEY,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    turn_id text NOT NULL,
    reason text NOT NULL,
    asked_us bigint NOT NULL,
    approved_by bigint,
    approved_us bigint NOT NULL DEFAULT 0
);
CREATE INDEX requests_org ON audit.requests (org_id, asked_us);

-- What must not be erased or expire: everything of a person, or one conversation of theirs.
CREATE TABLE audit.holds (
    hold_id text PRIMARY KEY,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    conversation_id text NOT NULL,
    reason text NOT NULL,
    held_us bigint NOT NULL,
    released_us bigint NOT NULL DEFAULT 0
);
CREATE INDEX holds_person ON audit.holds (user_id) WHERE released_us = 0;

-- Signed heads of the journals' hash chains. `number` is dense in each journal.
CREATE TABLE audit.checkpoints (
    instance text NOT NULL,
    number bigint NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    segment bigint NOT NULL,
    segment_offset bigint NOT NULL,
    segment_us bigint NOT NULL,
    at_us bigint NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (instance, number),
    UNIQUE (instance, sequence)
);
