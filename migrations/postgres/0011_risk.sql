-- How much harm it can do while it stands: 0 everything, 1 power over others, 2 neither. Where many removals are overdue, they are
-- done in this order. What was given before is taken as if it had power.
ALTER TABLE grants ADD COLUMN risk BIGINT NOT NULL DEFAULT 1 CHECK (risk IN (0, 1, 2));
ALTER TABLE tasks ADD COLUMN risk BIGINT NOT NULL DEFAULT 1 CHECK (risk IN (0, 1, 2));

DROP INDEX tasks_pending;
CREATE INDEX tasks_pending ON tasks (priority, risk, run_at, id) WHERE state = 'pending';

-- The release before goes on with this: what it adds has the default.
COMMENT ON TABLE meta IS 'works-from 11 10';
