-- A tier may have a share of the job queue, in percent.

ALTER TABLE limits.tiers ADD COLUMN queue_share integer NOT NULL DEFAULT 0
    CHECK (queue_share >= 0 AND queue_share <= 90);

UPDATE limits.tiers SET queue_share = 50 WHERE name = 'enterprise';
UPDATE limits.version SET number = number + 1;
