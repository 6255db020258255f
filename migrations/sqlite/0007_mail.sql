-- What happened and may have to be told by mail: written with what happened, gone when it is known who is told.
CREATE TABLE alerts (
    id  TEXT PRIMARY KEY,
    at  INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;

-- One mail to one recipient. A sent one stays for a while, so that one can see that it went out.
CREATE TABLE mails (
    id      TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    doc     TEXT    NOT NULL
) STRICT;

CREATE INDEX mails_open ON mails (at) WHERE is_open = 1;
CREATE INDEX mails_done ON mails (at) WHERE is_open = 0;
