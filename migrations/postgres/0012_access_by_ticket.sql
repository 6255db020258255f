-- A poll looks at the tickets with access in turn: they are told by this alone, however many grants there are.
CREATE INDEX grants_with_access ON grants (ticket) WHERE is_open = 1 AND state <> 'ending';

-- No release is older; the next one says whether this one goes on with it.
COMMENT ON TABLE meta IS 'works-from 12 12';
