-- Sign-in. `last_step` is the newest one-time-code step that was used: that step and older ones are refused.
CREATE TABLE factors (
    person        TEXT PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    totp          TEXT    NOT NULL,
    enrolled_at   INTEGER NOT NULL,
    last_step     INTEGER
) STRICT;

CREATE TABLE failures (
    key TEXT    NOT NULL,
    at  INTEGER NOT NULL
) STRICT;

CREATE INDEX failures_of ON failures (key, at);
CREATE INDEX failures_at ON failures (at);

-- Only the hash of a session's token is kept: who reads this table cannot sign in with it.
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    person     TEXT    NOT NULL,
    form_token TEXT    NOT NULL,
    until_at   INTEGER NOT NULL,
    idle_until INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_of ON sessions (person);
CREATE INDEX sessions_end ON sessions (until_at);
