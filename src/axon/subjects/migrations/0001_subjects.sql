-- People who were forgotten: the signed receipts, and whose rows are known to be gone.
CREATE SCHEMA subjects;

CREATE TABLE subjects.receipts (
    receipt_id text PRIMARY KEY,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    at_us bigint NOT NULL,
    document text NOT NULL,
    signature bytea NOT NULL
);
CREATE INDEX receipts_org ON subjects.receipts (org_id, at_us);

-- A tombstone without a row here, or with an older one, came with a restored backup: the scheduler
-- takes that person's rows away again.
CREATE TABLE subjects.purged (
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    erased_us bigint NOT NULL,
    purged_us bigint NOT NULL,
    PRIMARY KEY (user_id, org_id)
);
