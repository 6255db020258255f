-- What is in force is three things with three lives: the rulebook, a document saved whole; records, rows of their own
-- with their history; holds, which nothing but a word of their own undoes. One number counts the changes of all three.

CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY,
    author   TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    saved_at INTEGER NOT NULL,
    -- What it changed: `rulebook`, `person/jane`, `hold all`, `secret cw/private-key`; a JSON list.
    changed  TEXT    NOT NULL
) STRICT;

CREATE TABLE rulebooks (
    revision INTEGER PRIMARY KEY,
    doc      TEXT NOT NULL
) STRICT;

-- The newest row of a kind and id is in force. Without a document it says that the record was removed.
CREATE TABLE records (
    kind     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT,
    PRIMARY KEY (kind, id, revision)
) STRICT;

CREATE TABLE holds (
    target TEXT PRIMARY KEY,
    doc    TEXT NOT NULL
) STRICT;

INSERT INTO revisions SELECT revision, author, reason, saved_at, '["rulebook","records"]' FROM rules;
INSERT INTO rulebooks SELECT revision, rulebook FROM rules;
INSERT INTO records
    SELECT 'connection', json_extract(r.value, '$.id'), rules.revision, r.value
    FROM rules, json_each(rules.records, '$.connection') AS r
    WHERE rules.revision = (SELECT max(revision) FROM rules);
INSERT INTO records
    SELECT 'customer', json_extract(r.value, '$.id'), rules.revision, r.value
    FROM rules, json_each(rules.records, '$.customer') AS r
    WHERE rules.revision = (SELECT max(revision) FROM rules);
-- A person who was blocked in the records is blocked by a hold from here on.
INSERT INTO records
    SELECT 'person', json_extract(r.value, '$.id'), rules.revision, json_remove(r.value, '$.blocked')
    FROM rules, json_each(rules.records, '$.person') AS r
    WHERE rules.revision = (SELECT max(revision) FROM rules);
INSERT INTO holds
    SELECT 'person/' || json_extract(r.value, '$.id'),
           json_object('on', json_object('person', json_extract(r.value, '$.id')), 'cause', 'blocked',
                       'since', rules.saved_at, 'by', rules.author, 'reason', 'blocked in the records')
    FROM rules, json_each(rules.records, '$.person') AS r
    WHERE rules.revision = (SELECT max(revision) FROM rules) AND json_extract(r.value, '$.blocked');
DROP TABLE rules;

-- Brakes count grants per technician, per customer and in all, by the time in their ids.
ALTER TABLE grants ADD COLUMN customer TEXT NOT NULL DEFAULT '';
UPDATE grants SET customer = json_extract(doc, '$.customer');
DROP INDEX grants_of_person;
CREATE INDEX grants_of_person ON grants (person, id);
CREATE INDEX grants_at_customer ON grants (customer, id);
CREATE INDEX grants_living ON grants (state, id) WHERE is_open = 1;

-- A name that an account has had in a directory is never given to another one.
ALTER TABLE accounts ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE accounts SET name = lower(json_extract(doc, '$.name'));
CREATE INDEX accounts_named ON accounts (directory, name);
