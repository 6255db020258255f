-- What a PSA sent and we acknowledged. The same message twice is one row.
CREATE TABLE deliveries (
    id          TEXT PRIMARY KEY,
    connection  TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    body_hash   TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    event       TEXT    NOT NULL,
    outcome     TEXT,
    UNIQUE (connection, message_id)
) STRICT;

CREATE INDEX deliveries_open ON deliveries (received_at) WHERE outcome IS NULL;

-- What is to be done when. A done task has no row; the rows that it was about are the record.
CREATE TABLE tasks (
    -- Never used again: a lease of an old task cannot match a newer one of the same slot.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    slot        TEXT    NOT NULL UNIQUE,
    key         TEXT    NOT NULL,
    connection  TEXT,
    kind        TEXT    NOT NULL,
    work        TEXT    NOT NULL,
    priority    INTEGER NOT NULL CHECK (priority IN (0, 1, 2)),
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'leased', 'dead')),
    run_at      INTEGER NOT NULL,
    -- Asked for again, for this time, while it was being worked on.
    again_at    INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0,
    fence       INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    last_error  TEXT,
    created_at  INTEGER NOT NULL
) STRICT;

-- The claim reads due rows in this order; rows far in the future cost it nothing.
CREATE INDEX tasks_pending ON tasks (priority, run_at, id) WHERE state = 'pending';
CREATE INDEX tasks_pending_key ON tasks (key, priority, run_at, id) WHERE state = 'pending';
CREATE INDEX tasks_next ON tasks (run_at) WHERE state = 'pending';
-- One key, one hand: a second lease of a key cannot even be written.
CREATE UNIQUE INDEX tasks_leased_key ON tasks (key) WHERE state = 'leased';
CREATE INDEX tasks_leases ON tasks (lease_until) WHERE state = 'leased';
CREATE INDEX tasks_dead ON tasks (kind) WHERE state = 'dead';
