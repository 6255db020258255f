-- A link by which one person enrols, once. A new one for the same person takes its place.
-- Only the hash of the token is kept: who reads this table cannot enrol with it.
CREATE TABLE invitations (
    person        TEXT PRIMARY KEY,
    token_hash    TEXT    NOT NULL UNIQUE,
    -- The sealed one-time-code secret that the person had when it was made: it is good beside that one alone.
    beside        TEXT,
    until_at      INTEGER NOT NULL,
    -- What was chosen and is not confirmed yet.
    password_hash TEXT,
    totp          TEXT
) STRICT;
