-- A row is its document; the columns beside it are copies that queries and the sweep need.
-- Times are UTC milliseconds, ids are text, flags are 0 or 1: the same in every engine.
-- There are no foreign keys between these tables: a deferred one would fail at COMMIT and take
-- the other writes of the group with it, and an immediate one would dictate an order of writing.

CREATE TABLE grants (
    id      TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    ticket  TEXT    NOT NULL,
    account TEXT    NOT NULL,
    person  TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    is_open INTEGER NOT NULL,
    due_at  INTEGER,
    doc     TEXT    NOT NULL
) STRICT;

-- Ids of the same millisecond have no order: what came first is told by the row's own number.
CREATE INDEX grants_of_ticket ON grants (ticket);
CREATE INDEX grants_of_person ON grants (person);
-- What is final is never asked for by account or by time.
CREATE INDEX grants_open ON grants (account) WHERE is_open = 1;
CREATE INDEX grants_due ON grants (due_at) WHERE is_open = 1;

CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    directory  TEXT    NOT NULL,
    person     TEXT    NOT NULL,
    mode       TEXT    NOT NULL,
    -- The next look that is owed although no grant is open.
    look_at    INTEGER,
    is_overdue INTEGER NOT NULL,
    doc        TEXT    NOT NULL
) STRICT;

CREATE INDEX accounts_of ON accounts (person, directory, mode);
-- Two requests at the same moment must not make two standard accounts of one person.
CREATE UNIQUE INDEX accounts_standard ON accounts (person, directory) WHERE mode = 'standard';
CREATE INDEX accounts_watched ON accounts (id) WHERE look_at IS NOT NULL OR is_overdue = 1;

-- Ciphertext only. Destroying a secret deletes its row; `secure_delete` overwrites the bytes.
CREATE TABLE sealed (
    id          TEXT PRIMARY KEY,
    name        TEXT UNIQUE,
    purpose     TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;

CREATE TABLE sightings (
    ticket  TEXT NOT NULL,
    mapping TEXT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (ticket, mapping)
) STRICT;

-- Told in the order of `seq`, which is the order of commits: neither a clock that was set back nor two notices of one
-- millisecond change it.
CREATE TABLE notices (
    seq      INTEGER PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    ticket   TEXT    NOT NULL,
    grant_id TEXT    NOT NULL,
    is_open  INTEGER NOT NULL,
    doc      TEXT    NOT NULL
) STRICT;

CREATE INDEX notices_open ON notices (ticket, seq) WHERE is_open = 1;
CREATE INDEX notices_of_grant ON notices (grant_id, seq);

-- Append-only, each entry hashed together with the hash before it; `doc` is the text that was hashed.
CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    code     TEXT    NOT NULL,
    grant_id TEXT,
    ticket   TEXT,
    doc      TEXT    NOT NULL,
    hash     TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_of_grant ON audit (grant_id) WHERE grant_id IS NOT NULL;

-- A mistake of ours must not rewrite history; the hash chain is against everybody else.
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
