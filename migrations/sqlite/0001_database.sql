-- Marks the file as ours ("LTKY"), in the same transaction as the first table, so that a stranger's
-- database is never taken for an unfinished one of ours.
PRAGMA application_id = 1280592729;

-- Single facts about this database: its id, and the last wall time seen.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Every revision of the rules is kept: who changed what, and why. The newest is in force.
CREATE TABLE rules (
    revision INTEGER PRIMARY KEY,
    author   TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    saved_at INTEGER NOT NULL,
    rulebook TEXT    NOT NULL,
    records  TEXT    NOT NULL
) STRICT;
