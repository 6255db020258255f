-- How much harm it can do while it stands: 0 everything, 1 power over others, 2 neither. Where many removals are overdue, they are
-- done in this order. What was given before is taken as if it had power.
ALTER TABLE grants ADD COLUMN risk INTEGER NOT NULL DEFAULT 1 CHECK (risk IN (0, 1, 2));
ALTER TABLE tasks ADD COLUMN risk INTEGER NOT NULL DEFAULT 1 CHECK (risk IN (0, 1, 2));

-- The claim reads due rows in this order; rows far in the future cost it nothing. It passes over those of a connection that is
-- at its limit, which may be thousands: what tells them stands in the index.
DROP INDEX tasks_pending;
CREATE INDEX tasks_pending ON tasks (priority, risk, run_at, id, connection) WHERE state = 'pending';
