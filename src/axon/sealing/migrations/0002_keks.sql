-- The wrapped keys of organizations, one and its successors for each region; the root opens them.
-- A later wrapping takes the place of an earlier one.
CREATE TABLE sealing.keks (
    kek_id text PRIMARY KEY,
    region text NOT NULL,
    org_id text NOT NULL,
    root text NOT NULL,
    root_version text NOT NULL,
    wrapped bytea NOT NULL,
    bound boolean NOT NULL,
    created_us bigint NOT NULL,
    wrapped_us bigint NOT NULL
);
CREATE INDEX keks_of_org ON sealing.keks (org_id, region, created_us DESC, kek_id DESC);
CREATE INDEX keks_wrapped ON sealing.keks (wrapped_us);

-- Tombstones: no key of this organization or its people made at or before that instant may come
-- back.
CREATE TABLE sealing.org_erasures (
    org_id text PRIMARY KEY,
    erased_us bigint NOT NULL
);

-- Since when an organization's people (-1), or one of them, have new keys for new content.
CREATE TABLE sealing.renewals (
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    renewed_us bigint NOT NULL,
    PRIMARY KEY (org_id, user_id)
);

-- The last rotation of each kind, of one organization or ('') all; one that was cut short has no
-- end, and the next of its kind goes on with it.
CREATE TABLE sealing.rotations (
    kind text NOT NULL,
    org_id text NOT NULL,
    began_us bigint NOT NULL,
    ended_us bigint,
    PRIMARY KEY (kind, org_id)
);
