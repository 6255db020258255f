-- Entries of removals that could not be chained when they were made, in the order in which they were: removal does not
-- wait for the chain. Chained as soon as it takes entries again, before anything newer.
CREATE TABLE audit_owed (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    doc TEXT NOT NULL
) STRICT;

-- What stays of entries that went: the number and hash that the next entry follows from, how many went, and the
-- signature of whoever holds the master key.
CREATE TABLE audit_checkpoints (
    seq       INTEGER PRIMARY KEY,
    hash      TEXT    NOT NULL,
    entries   INTEGER NOT NULL,
    from_at   INTEGER NOT NULL,
    to_at     INTEGER NOT NULL,
    signature TEXT    NOT NULL
) STRICT;

CREATE TRIGGER audit_checkpoints_fit BEFORE INSERT ON audit_checkpoints
WHEN NOT EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq AND hash = NEW.hash)
BEGIN
    SELECT RAISE(ABORT, 'a checkpoint names an entry of the chain');
END;
CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints stay');
END;
CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints stay');
END;

-- Only what a checkpoint covers may go.
DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN OLD.seq > coalesce((SELECT max(seq) FROM audit_checkpoints), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
