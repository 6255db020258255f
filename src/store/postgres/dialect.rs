//! The statements that the engines do not say in the same words. Every engine has the same list.

/// Audit entries that a filter wants: who, and at which customer, stands in the documents alone.
pub(super) const AUDIT_ROWS: &str = "SELECT seq, at, code, grant_id, ticket, doc, hash FROM audit
     WHERE seq > $1
       AND ($3 IS NULL OR at >= $3)
       AND ($4 IS NULL OR at < $4)
       AND ($5 IS NULL OR grant_id = $5)
       AND ($6 IS NULL OR ticket = $6)
       AND ($7 IS NULL OR substr(code, 1, length($7)) = $7)
       AND ($8 IS NULL OR CAST(doc AS jsonb) ->> 'person' = $8 OR CAST(doc AS jsonb) #>> '{by,person}' = $8)
       AND ($9 IS NULL OR CAST(doc AS jsonb) #>> '{detail,request,customer}' = $9
            OR EXISTS (SELECT 1 FROM grants AS g
                       WHERE g.id = audit.grant_id AND g.customer = $9))
     ORDER BY seq LIMIT $2";

/// The newest audit entries of some codes.
pub(super) const AUDIT_NEWEST: &str = "SELECT seq, at, code, grant_id, ticket, doc, hash FROM audit
     WHERE code IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) ORDER BY seq DESC LIMIT $2";

/// The task of a lease, if it still has it. Nobody takes it away before this transaction ends: a fence that was looked at
/// holds until COMMIT.
pub(super) const HELD: &str =
    "SELECT priority, again_at, lease_until FROM tasks WHERE id = $1 AND fence = $2 AND state = 'leased'
     FOR UPDATE";

/// How much longer than a lease is waited before somebody else takes its task up: two processes' clocks may each differ by
/// half of this from the server's, and its holder must not believe in it any more.
pub(super) const LEASE_GRACE_MS: i64 = 2 * crate::clock_guard::APART.as_secs().cast_signed() * 1000;

/// Leases that ran out, but for those whose holder is just writing under them.
pub(super) const RELEASE: &str =
    "UPDATE tasks SET state = 'pending', lease_until = NULL, last_error = 'the lease ran out'
     WHERE id IN (SELECT id FROM tasks WHERE state = 'leased' AND lease_until <= $1 AND priority <= $2
                  FOR UPDATE SKIP LOCKED)";

/// Leases what is due: at most one task per key, none of the connections at their limit but removals, and none of those
/// at their removals' limit. The greatest risk goes first among removals that are due. What somebody is just writing is
/// left for the next claim, which that COMMIT asks for. What a later release added of a kind that this one does not know is
/// left to that release. A fence is the time and chance: a standby that takes over and lacks a claim would count to the same
/// number again. While this is an older copy that is compared first, whichever
/// process noted that, nothing but removals in directories that were compared.
pub(super) const CLAIM: &str = "WITH due AS MATERIALIZED (
         SELECT t.id FROM tasks AS t
         WHERE t.state = 'pending' AND t.priority IN (0, 1, 2) AND t.priority <= $3 AND t.risk IN (0, 1, 2)
          AND t.run_at <= $1 AND t.kind = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST($7 AS jsonb))))
           AND (NOT EXISTS (SELECT 1 FROM meta WHERE name = 'comparing')
                OR (t.priority = 0 AND t.kind = 'converge'
                    AND t.connection IN (SELECT jsonb_array_elements_text(CAST(m.value AS jsonb)) FROM meta AS m WHERE m.name = 'compared'))
                OR (t.priority = 0 AND t.kind = 'due'
                    AND EXISTS (SELECT 1 FROM meta WHERE name = 'compared' AND value <> '[]')))
           AND (t.connection IS NULL
                OR (t.priority > 0 AND t.connection NOT IN (SELECT jsonb_array_elements_text(CAST($4 AS jsonb))))
                OR (t.priority = 0 AND t.connection NOT IN (SELECT jsonb_array_elements_text(CAST($6 AS jsonb)))))
           AND NOT EXISTS (SELECT 1 FROM tasks AS l WHERE l.state = 'leased' AND l.key = t.key)
           AND NOT EXISTS (
               SELECT 1 FROM tasks AS e
               WHERE e.state = 'pending' AND e.key = t.key AND e.run_at <= $1
                 AND e.kind = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST($7 AS jsonb))))
                 AND (e.priority, e.run_at, e.id) < (t.priority, t.run_at, t.id))
         ORDER BY t.priority, t.risk, t.run_at, t.id
         LIMIT $5
         FOR UPDATE OF t SKIP LOCKED)
     UPDATE tasks SET state = 'leased', fence = $1 * 1048576 + CAST(floor(random() * 1048576) AS BIGINT),
         attempts = attempts + 1, lease_until = $2,
         again_at = CASE WHEN again_at <= $1 THEN NULL ELSE again_at END
     FROM due WHERE tasks.id = due.id
     RETURNING tasks.id, work, priority, run_at, attempts, fence, risk";

/// PSAs that a mapping watches and nobody polls.
pub(super) const POLLS: &str = "SELECT DISTINCT m.value ->> 'connection' FROM rulebooks AS b, jsonb_array_elements(CAST(b.doc AS jsonb) -> 'mapping') AS m (value)
    WHERE b.revision = (SELECT max(revision) FROM rulebooks)
      AND NOT EXISTS (SELECT 1 FROM tasks AS t
                      WHERE t.slot = 'poll:' || (m.value ->> 'connection') AND t.state <> 'dead')";

/// PSAs where somebody who is here is bound and nobody asks whether they are still there.
pub(super) const PRESENCE: &str = "SELECT DISTINCT m.value ->> 'connection' FROM records AS r, jsonb_array_elements(CAST(r.doc AS jsonb) -> 'members') AS m (value)
    WHERE r.kind = 'person' AND r.doc IS NOT NULL
      AND r.revision = (SELECT max(n.revision) FROM records AS n WHERE n.kind = r.kind AND n.id = r.id)
      AND (EXISTS (SELECT 1 FROM grants AS g WHERE g.person = r.id AND g.is_open = 1 AND g.state <> 'ending')
           OR EXISTS (SELECT 1 FROM sessions AS s
                      WHERE s.person = r.id AND s.until_at > $1 AND s.idle_until > $1))
      AND NOT EXISTS (SELECT 1 FROM holds AS h WHERE h.target = 'person/' || r.id)
      AND NOT EXISTS (SELECT 1 FROM tasks AS t
                      WHERE t.slot = 'presence:' || (m.value ->> 'connection') AND t.state <> 'dead')";

/// Which saves of tickets nobody has seen.
pub(super) const UNSEEN: &str =
    "SELECT c.value ->> 0 FROM jsonb_array_elements(CAST($1 AS jsonb)) WITH ORDINALITY AS c (value, key)
     WHERE NOT EXISTS (SELECT 1 FROM tasks AS t
                       WHERE t.state = 'pending' AND t.key = 'ticket:' || (c.value ->> 1))
       AND NOT EXISTS (SELECT 1 FROM sightings AS s
                       WHERE s.ticket = c.value ->> 1
                         AND CAST(CAST(s.doc AS jsonb) ->> 'covers' AS BIGINT) >= CAST(c.value ->> 2 AS BIGINT))
     ORDER BY c.key";

/// Mails that were given up since.
pub(super) const MAILS_GIVEN_UP: &str =
    "SELECT count(*) FROM mails WHERE is_open = 0 AND at >= $1 AND CAST(doc AS jsonb) #>> '{state,state}' = 'given-up'";

/// True where a record of a person ever named a member.
pub(super) const WAS_BOUND: &str = "SELECT EXISTS (SELECT 1 FROM records
                              WHERE kind = 'person' AND doc IS NOT NULL AND jsonb_array_length(coalesce(CAST(doc AS jsonb) -> 'members', '[]')) > 0)";
