-- A tier may have a share of the job queue, in percent.

ALTER TABLE limits.tiers ADD COLUMN queue_share integer NOT NULL DEFAULT 0
    CHECK (queue_share >= 0 AND queue_share <= 90);

UPDATE limits.tiers SET queue_share = 50 WHERE name = 'enterprise';

-- What goes beyond a limit of kind overage may cost more than its price, by so many percent.

ALTER TABLE limits.rules ADD COLUMN overage_percent integer NOT NULL DEFAULT 0
    CHECK (overage_percent >= 0 AND overage_percent <= 1000),
    ADD CHECK (overage_percent = 0 OR (kind = 'overage' AND measure <> 'concurrent'));

UPDATE limits.version SET number = number + 1;
