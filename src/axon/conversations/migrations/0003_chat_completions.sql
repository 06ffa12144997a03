-- Chat completions their client asked to store. The answer is in `turns`; here is what else the
-- list and the reads need. Metadata is clear, as that of conversations, so that it can be filtered.

CREATE TABLE conversations.chat_completions (
    user_id bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    model text NOT NULL,
    metadata jsonb NOT NULL,
    request bytea NOT NULL,
    PRIMARY KEY (user_id, id)
);

ALTER TABLE conversations.chat_completions ALTER COLUMN request SET STORAGE EXTERNAL;

CREATE INDEX chat_completions_metadata
    ON conversations.chat_completions USING gin (metadata jsonb_path_ops)
    WHERE metadata <> '{}';
