-- A poll looks at the tickets with access in turn: they are told by this alone, however many grants there are.
CREATE INDEX grants_with_access ON grants (ticket) WHERE is_open = 1 AND state <> 'ending';
