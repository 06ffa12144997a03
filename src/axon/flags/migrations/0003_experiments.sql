-- What experiments read of a turn, beside its assignment.

-- As whom the user was placed, who had another number before signing in; 0 for nobody else.
ALTER TABLE flags.assignments ADD COLUMN placed_as bigint NOT NULL DEFAULT 0;

-- Whether the model refused to answer, in its own words or by its filter.
ALTER TABLE flags.assignments ADD COLUMN refused boolean NOT NULL DEFAULT false;
