-- The wrapped data keys of all nodes; without the keyring they open nothing.
CREATE SCHEMA sealing;

CREATE TABLE sealing.data_keys (
    key_id bytea PRIMARY KEY,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    created_us bigint NOT NULL
);
CREATE INDEX data_keys_of_person ON sealing.data_keys (user_id, org_id);

-- Tombstones: no key of this person made at or before that instant may come back.
CREATE TABLE sealing.erasures (
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    erased_us bigint NOT NULL,
    PRIMARY KEY (user_id, org_id)
);
