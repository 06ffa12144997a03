-- Who may use this installation: organizations, their users, and the users' API keys.

CREATE SCHEMA accounts;

CREATE TABLE accounts.orgs (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    tier text NOT NULL,
    region text NOT NULL,
    created_us bigint NOT NULL
);

-- A user's id is the keyed hash of its organization and name, so it needs no sequence and is the
-- same number that every id of the user's objects carries.
CREATE TABLE accounts.users (
    id bigint NOT NULL,
    org_id text NOT NULL REFERENCES accounts.orgs (id),
    name text NOT NULL,
    permissions text[] NOT NULL,
    created_us bigint NOT NULL,
    PRIMARY KEY (id, org_id)
);

-- `version` is the number of the change that wrote the row. Every change of what a key grants,
-- also one made to its user or organization, gives the key a new version: the processes find
-- changes by it. Unique, so that a page of changes can end anywhere.
CREATE TABLE accounts.credentials (
    id text PRIMARY KEY,
    mac bytea NOT NULL UNIQUE,
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    name text NOT NULL,
    hint text NOT NULL,
    acts_for_users boolean NOT NULL,
    created_us bigint NOT NULL,
    expires_us bigint NOT NULL,
    revoked_us bigint NOT NULL,
    version bigint NOT NULL UNIQUE,
    FOREIGN KEY (user_id, org_id) REFERENCES accounts.users (id, org_id)
);

CREATE INDEX credentials_org ON accounts.credentials (org_id, id);

-- One row. A change locks it until it commits, so versions become visible in their order.
CREATE TABLE accounts.version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL
);

INSERT INTO accounts.version (number) VALUES (0);

CREATE VIEW accounts.granted AS
SELECT c.id, c.mac, c.org_id, c.user_id, c.acts_for_users, u.permissions, o.tier, o.region,
       c.expires_us, c.revoked_us, c.version
FROM accounts.credentials c
JOIN accounts.users u ON u.id = c.user_id AND u.org_id = c.org_id
JOIN accounts.orgs o ON o.id = c.org_id;
