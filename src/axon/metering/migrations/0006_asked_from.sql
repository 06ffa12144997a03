-- What rules of flags read of a turn and no other column has: so that a draft of flags can be tried
-- on turns of the past (`axon flags replay`). Of turns from before this it is not known.
ALTER TABLE metering.turns
    ADD COLUMN region text NOT NULL DEFAULT '',
    ADD COLUMN tier text NOT NULL DEFAULT '',
    ADD COLUMN ours boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN metering.turns.ours IS 'Axon asked by itself, as for a title: no flag is for it';
