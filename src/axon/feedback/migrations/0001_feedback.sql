-- What people thought of answers: one row an answer, from the newest record about it.
CREATE SCHEMA feedback;

-- `comment` and `edited` are sealed under the key of the person whose answer it is. A row that was
-- withdrawn stays, without what it said, so that an older record never brings it back.
CREATE TABLE feedback.feedback (
    user_id bigint NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    org_id text NOT NULL,
    feedback_id text NOT NULL,
    credential_id text NOT NULL,
    at_us bigint NOT NULL,
    rating text NOT NULL,
    comment bytea,
    edited bytea,
    preferred_over text NOT NULL,
    withdrawn boolean NOT NULL,
    PRIMARY KEY (user_id, turn_id)
);

ALTER TABLE feedback.feedback ALTER COLUMN edited SET STORAGE EXTERNAL;
CREATE INDEX feedback_org ON feedback.feedback (org_id, at_us, turn_id) WHERE NOT withdrawn;
