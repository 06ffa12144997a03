-- The objects of the archive. A row is there before its object and until after it, so that none
-- is forgotten, whatever dies in between.
CREATE SCHEMA archive;

CREATE TABLE archive.objects (
    path text PRIMARY KEY,
    state text NOT NULL,
    frames int NOT NULL,
    bytes bigint NOT NULL,
    since_us bigint NOT NULL
);

COMMENT ON COLUMN archive.objects.state IS
    'writing: nothing refers to it yet; kept: conversations.cold does; dropped: nothing does any more';
COMMENT ON COLUMN archive.objects.since_us IS 'since when it is in this state';

CREATE INDEX objects_state ON archive.objects (state, since_us);
