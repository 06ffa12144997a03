-- What of a cost is for going beyond limits that let a turn: part of cost_nano everywhere.

ALTER TABLE metering.turns ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.corrections ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.usage ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.usage_quarters ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.org_usage ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
ALTER TABLE metering.org_usage_quarters ADD COLUMN overage_nano bigint NOT NULL DEFAULT 0;
