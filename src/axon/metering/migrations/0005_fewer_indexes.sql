-- One index a table, in the order in which rows come: what is written at one time lies together,
-- whoever has how many people. A person's rows are found by skipping from period to period.

ALTER TABLE metering.usage DROP CONSTRAINT usage_pkey;
ALTER TABLE metering.usage
    ADD PRIMARY KEY (org_id, date, user_id, credential_id, model, variant, currency);
DROP INDEX metering.usage_org;

ALTER TABLE metering.usage_quarters DROP CONSTRAINT usage_quarters_pkey;
ALTER TABLE metering.usage_quarters
    ADD PRIMARY KEY (org_id, begins_us, user_id, credential_id, model, variant, currency);
DROP INDEX metering.usage_quarters_org;

DROP INDEX metering.usage_months_user;

-- Which organizations there are, and who spent on a day, org_days knows in fewer rows. This index
-- was taken for an organization's range of days, which it is the worst for.
DROP INDEX metering.org_usage_date;

-- The ids of turns rise with time.
ALTER TABLE metering.turns DROP CONSTRAINT turns_pkey;
ALTER TABLE metering.turns ADD PRIMARY KEY (turn_id, user_id);

-- sum() of what has 64 bits is of any length, and takes most of the time of a question with
-- thousands of sums. This one has 64 bits too: for counts, and never for money.
CREATE AGGREGATE metering.total (bigint) (
    SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE
);
