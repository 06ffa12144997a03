-- What a request with an Idempotency-Key made. Neither keys nor bodies are kept, only keyed hashes.

CREATE TABLE conversations.idempotency_keys (
    user_id bigint NOT NULL,
    key_mac bytea NOT NULL,
    body_mac bytea NOT NULL,
    object_id text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (user_id, key_mac)
);

CREATE INDEX idempotency_keys_at ON conversations.idempotency_keys (at_us);
