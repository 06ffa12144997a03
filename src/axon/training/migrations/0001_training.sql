-- Who agreed that models may be trained on what they said: one row for each person who was asked,
-- and one (user_id -1) for each organization. A projection of the records that say so.
CREATE SCHEMA training;

-- `consent` is off, opted_in or all of an organization, yes or no of a person. Somebody whose data
-- was erased stays as a no.
CREATE TABLE training.consents (
    org_id text NOT NULL,
    user_id bigint NOT NULL,
    consent text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
