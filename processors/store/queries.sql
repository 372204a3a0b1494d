-- Every statement that Python sends. `-- name:` begins one; the comment under it says what it is for.

-- name: learn
-- Take over the catalog's facts: type, chain, role and bit of each type, and whether its chain causes others; chain and
-- mask of each path; chain and bits of what each chain causes.
SELECT eventbus.learn($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: stage
-- Where events wait to be compared with those that are stored, when a duplicate is about.
CREATE TEMPORARY TABLE stage (LIKE eventbus.events) ON COMMIT DELETE ROWS;

-- name: first_offsets
-- Partitions that this group has never read begin here.
INSERT INTO eventbus.offsets (consumer_group, topic, part, first_offset, next_offset)
SELECT $1, x.topic, x.part, x.first_offset, x.first_offset
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x (topic, part, first_offset)
ON CONFLICT DO NOTHING;

-- name: next_offsets
-- Where this group goes on.
SELECT o.topic, o.part, o.next_offset
FROM eventbus.offsets AS o JOIN unnest($2::text[], $3::int[]) AS x (topic, part) USING (topic, part)
WHERE o.consumer_group = $1;

-- name: move_offsets
-- The fence, a compare-and-swap: a row that is not where this writer left it does not move.
UPDATE eventbus.offsets AS o
SET next_offset = x.next_offset, read = o.read + x.read, new = o.new + x.new,
    duplicates = o.duplicates + x.duplicates, dead = o.dead + x.dead
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
  AS x (topic, part, expected, next_offset, read, new, duplicates, dead)
WHERE o.consumer_group = $1 AND o.topic = x.topic AND o.part = x.part AND o.next_offset = x.expected;

-- name: insert_staged
-- The staged events that are not stored yet.
INSERT INTO eventbus.events SELECT * FROM stage ON CONFLICT DO NOTHING RETURNING event_id;

-- name: count_duplicates
-- What was counted as new turned out to be stored already.
UPDATE eventbus.offsets AS o SET new = o.new - x.n, duplicates = o.duplicates + x.n
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x (topic, part, n)
WHERE o.consumer_group = $1 AND o.topic = x.topic AND o.part = x.part;

-- name: dead_letters
INSERT INTO eventbus.dead_letter (consumer_group, topic, part, off, value, error)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[])
ON CONFLICT DO NOTHING;

-- name: rewind
-- Go on from elsewhere, because the log that the offsets belonged to is gone. What was counted stays counted, so the
-- first offset moves along, and both laws of the table hold (it may fall below 0: it stands for logs that were). Dead
-- letters move along too, out of the way of those that the new log has at the same offsets.
WITH moved AS (
  UPDATE eventbus.offsets AS o
  SET first_offset = x.next_offset - (o.next_offset - o.first_offset), next_offset = x.next_offset
  FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x (topic, part, next_offset)
  WHERE o.consumer_group = $1 AND o.topic = x.topic AND o.part = x.part
  RETURNING o.consumer_group, o.topic, o.part, new.next_offset - old.next_offset AS by
), gone AS (
  DELETE FROM eventbus.dead_letter AS d USING moved AS m
  WHERE d.consumer_group = m.consumer_group AND d.topic = m.topic AND d.part = m.part
  RETURNING d.consumer_group, d.topic, d.part, d.off + m.by AS off, d.value, d.error, d.at
)
INSERT INTO eventbus.dead_letter (consumer_group, topic, part, off, value, error, at)
SELECT * FROM gone ORDER BY off;                   -- sorted, and so all of them taken out before the first is put back

-- name: fold_runs
-- In-process runs of long ago: nobody can go on with their logs, so their counters are gathered into one row a partition.
WITH gone AS (
  DELETE FROM eventbus.offsets
  WHERE consumer_group COLLATE "C" > $1 || '@' AND consumer_group COLLATE "C" < $1 || '@' || $2
  RETURNING *
)
INSERT INTO eventbus.offsets AS o
SELECT $1 || '@', topic, part, 0, sum(next_offset - first_offset), sum(read), sum(new), sum(duplicates), sum(dead)
FROM gone GROUP BY topic, part
ON CONFLICT (consumer_group, topic, part) DO UPDATE
SET next_offset = o.next_offset + excluded.next_offset, read = o.read + excluded.read, new = o.new + excluded.new,
    duplicates = o.duplicates + excluded.duplicates, dead = o.dead + excluded.dead
RETURNING 1;

-- name: newest_events
-- Events newest first, by way of the index on their time.
SELECT event_id, timestamp, correlation_id, causation_id, type, tenant_id, namespace, source, schema_version, payload
FROM eventbus.events
WHERE ($1::text IS NULL OR type = $1) AND ($2::text IS NULL OR tenant_id = $2)
  AND ($3::text IS NULL OR namespace = $3) AND ($4::text IS NULL OR source = $4)
  AND ($5::timestamptz IS NULL OR timestamp >= $5) AND ($6::timestamptz IS NULL OR timestamp < $6)
  AND ($7::timestamptz IS NULL OR (timestamp, event_id) < ($7, $8::uuid))
ORDER BY timestamp DESC, event_id DESC LIMIT $9;

-- name: newest_events_of_chain
-- The same within one chain; materialised, because for a small limit the planner would rather walk the index on time.
WITH chain AS MATERIALIZED (SELECT * FROM eventbus.events WHERE correlation_id = $10)
SELECT event_id, timestamp, correlation_id, causation_id, type, tenant_id, namespace, source, schema_version, payload
FROM chain
WHERE ($1::text IS NULL OR type = $1) AND ($2::text IS NULL OR tenant_id = $2)
  AND ($3::text IS NULL OR namespace = $3) AND ($4::text IS NULL OR source = $4)
  AND ($5::timestamptz IS NULL OR timestamp >= $5) AND ($6::timestamptz IS NULL OR timestamp < $6)
  AND ($7::timestamptz IS NULL OR (timestamp, event_id) < ($7, $8::uuid))
ORDER BY timestamp DESC, event_id DESC LIMIT $9;

-- name: event
SELECT event_id, timestamp, correlation_id, causation_id, type, tenant_id, namespace, source, schema_version, payload
FROM eventbus.events WHERE event_id = $1;

-- name: chain
SELECT correlation_id, chain, tenant_id, state, outcome, verdict, requested_at, started_at, ended_at
FROM eventbus.chain_states WHERE correlation_id = $1;

-- name: chain_events
SELECT event_id, timestamp, correlation_id, causation_id, type, tenant_id, namespace, source, schema_version, payload
FROM eventbus.events WHERE correlation_id = $1 ORDER BY timestamp, event_id;

-- name: event_counts
-- Events by type, and the minutes they lie in.
SELECT type, sum(n)::bigint AS n, min(minute) AS first, max(minute) AS last
FROM eventbus.event_counts
WHERE minute >= coalesce(date_trunc('minute', $1::timestamptz, 'UTC'), '-infinity')
  AND minute < coalesce($2::timestamptz, 'infinity') AND ($3::text IS NULL OR tenant_id = $3)
GROUP BY type ORDER BY type;

-- name: chain_counts
-- Chains by name, outcome and bin of their duration.
SELECT chain, outcome, bin, sum(n)::bigint AS n
FROM eventbus.chain_counts
WHERE minute >= coalesce(date_trunc('minute', $1::timestamptz, 'UTC'), '-infinity')
  AND minute < coalesce($2::timestamptz, 'infinity') AND ($3::text IS NULL OR tenant_id = $3)
GROUP BY chain, outcome, bin HAVING sum(n) <> 0 ORDER BY chain, bin;

-- name: newest_dead_letters
SELECT consumer_group, topic, part, off, value, error, at
FROM eventbus.dead_letter ORDER BY at DESC, consumer_group, topic, part, off DESC LIMIT $1;

-- name: conservation
-- Where every record that was read has gone.
SELECT consumer_group, topic, part, first_offset, next_offset, read, new, duplicates, dead
FROM eventbus.offsets ORDER BY consumer_group, topic, part;

-- name: ping
SELECT 1;
