-- What flags decided about each turn, from the record of its end: who was given what, and why.
-- The variant is empty where a flag was off for the turn.

CREATE TABLE flags.assignments (
    user_id bigint NOT NULL,
    turn_id text NOT NULL,
    flag text NOT NULL,
    variant text NOT NULL,
    reason text NOT NULL,
    definition_version integer NOT NULL,
    definition text NOT NULL,
    bucketing_version integer NOT NULL,
    unit text NOT NULL,
    org_id text NOT NULL,
    accepted_us bigint NOT NULL,
    PRIMARY KEY (user_id, turn_id, flag)
);
CREATE INDEX assignments_flag ON flags.assignments (flag, accepted_us);
