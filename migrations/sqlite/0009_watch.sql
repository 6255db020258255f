-- What the service sees by itself of each connection: up to where its changed tickets were asked for (`poll`), and what
-- is wrong with it and since when (`webhooks`, `rights`, `setup`, `answers`), so that each trouble is told once.
CREATE TABLE watched (
    connection TEXT NOT NULL,
    kind       TEXT NOT NULL,
    doc        TEXT NOT NULL,
    PRIMARY KEY (connection, kind)
) STRICT;

-- The poll asks for more only when what it found before was looked at.
CREATE INDEX tasks_looks ON tasks (connection) WHERE kind = 'look' AND attempts = 0;

-- Who has access now, or is about to: asked twice a minute while somebody does.
CREATE INDEX grants_open_person ON grants (person, state) WHERE is_open = 1;
