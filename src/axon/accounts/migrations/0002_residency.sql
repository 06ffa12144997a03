-- Regions: whose cell this database is, and who is not of their organization's region.

-- One row once a cell of a region has used the database; another region's processes refuse it.
CREATE TABLE accounts.cell (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    region text NOT NULL
);

-- People whom another cell keeps. Their number is a keyed hash: no name of theirs is here.
-- `region` is empty for somebody who was placed elsewhere once and is not any more; `version` is
-- the number of the change, one line of numbers with those of credentials.
CREATE TABLE accounts.homes (
    org_id text NOT NULL REFERENCES accounts.orgs (id),
    user_id bigint NOT NULL,
    region text NOT NULL,
    version bigint NOT NULL UNIQUE,
    PRIMARY KEY (user_id, org_id)
);
