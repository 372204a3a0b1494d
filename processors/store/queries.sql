-- The statements that Python sends. Each begins with `-- name:`, followed by a comment on its purpose.

-- name: sync_catalog
-- Stores the catalog's definitions: type, chain, role and bit of each type, and whether its chain causes others; chain
-- and mask of each path; chain and mask of the types that each chain causes.
SELECT eventbus.sync_catalog($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: stage
-- Holds the events of a batch in deduplication mode, to compare them with the stored ones.
CREATE TEMPORARY TABLE stage (LIKE eventbus.events) ON COMMIT DELETE ROWS;

-- name: initialize_offsets
-- Inserts the first offsets of partitions that the group has not read yet.
INSERT INTO eventbus.offsets (consumer_group, topic, partition_id, first_offset, next_offset)
SELECT $1, x.topic, x.partition_id, x.first_offset, x.first_offset
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x (topic, partition_id, first_offset)
ON CONFLICT DO NOTHING;

-- name: fetch_offsets
-- The next offset of each partition.
SELECT o.topic, o.partition_id, o.next_offset
FROM eventbus.offsets AS o JOIN unnest($2::text[], $3::int[]) AS x (topic, partition_id) USING (topic, partition_id)
WHERE o.consumer_group = $1;

-- name: commit_offsets
-- Compare-and-swap: does not update a partition whose offset another writer has committed.
UPDATE eventbus.offsets AS o
SET next_offset = x.next_offset, read = o.read + x.read, new = o.new + x.new,
    duplicates = o.duplicates + x.duplicates, dead = o.dead + x.dead
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
  AS x (topic, partition_id, expected, next_offset, read, new, duplicates, dead)
WHERE o.consumer_group = $1 AND o.topic = x.topic AND o.partition_id = x.partition_id AND o.next_offset = x.expected;

-- name: insert_staged
-- Inserts the staged events that are not stored yet; returns their ids.
INSERT INTO eventbus.events SELECT * FROM stage ON CONFLICT DO NOTHING RETURNING event_id;

-- name: count_duplicates
-- Counts rows as duplicates that `commit_offsets` counted as new.
UPDATE eventbus.offsets AS o SET new = o.new - x.n, duplicates = o.duplicates + x.n
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x (topic, partition_id, n)
WHERE o.consumer_group = $1 AND o.topic = x.topic AND o.partition_id = x.partition_id;

-- name: insert_dead_letters
INSERT INTO eventbus.dead_letter (consumer_group, topic, partition_id, record_offset, value, error)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[])
ON CONFLICT DO NOTHING;

-- name: reset_offsets
-- Sets the next offset of partitions whose log was replaced. The counts stay, so the first offset is shifted by the
-- same distance: both laws of the table still hold. It may become negative, for offsets of former logs. The offsets
-- of dead letters are shifted too, so that they do not collide with those of the new log.
WITH reset AS (
  UPDATE eventbus.offsets AS o
  SET first_offset = x.next_offset - (o.next_offset - o.first_offset), next_offset = x.next_offset
  FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x (topic, partition_id, next_offset)
  WHERE o.consumer_group = $1 AND o.topic = x.topic AND o.partition_id = x.partition_id
  RETURNING o.consumer_group, o.topic, o.partition_id, new.next_offset - old.next_offset AS shift
), shifted AS (
  DELETE FROM eventbus.dead_letter AS d USING reset AS r
  WHERE d.consumer_group = r.consumer_group AND d.topic = r.topic AND d.partition_id = r.partition_id
  RETURNING d.consumer_group, d.topic, d.partition_id, d.record_offset + r.shift AS record_offset,
            d.value, d.error, d.at
)
INSERT INTO eventbus.dead_letter (consumer_group, topic, partition_id, record_offset, value, error, at)
SELECT * FROM shifted ORDER BY record_offset;  -- the sort makes all deletions precede the first insertion

-- name: archive_runs
-- Merges the counts of old in-process runs, whose logs no longer exist, into one row per partition.
WITH deleted AS (
  DELETE FROM eventbus.offsets
  WHERE consumer_group COLLATE "C" > $1 || '@' AND consumer_group COLLATE "C" < $1 || '@' || $2
  RETURNING *
)
INSERT INTO eventbus.offsets AS o
SELECT $1 || '@', topic, partition_id, 0, sum(next_offset - first_offset),
       sum(read), sum(new), sum(duplicates), sum(dead)
FROM deleted GROUP BY topic, partition_id
ON CONFLICT (consumer_group, topic, partition_id) DO UPDATE
SET next_offset = o.next_offset + excluded.next_offset, read = o.read + excluded.read, new = o.new + excluded.new,
    duplicates = o.duplicates + excluded.duplicates, dead = o.dead + excluded.dead
RETURNING 1;

-- name: newest_events
-- Events newest first, by the index on their timestamps.
SELECT event_id, timestamp, correlation_id, causation_id, type, tenant_id, namespace, source, schema_version, payload
FROM eventbus.events
WHERE ($1::text IS NULL OR type = $1) AND ($2::text IS NULL OR tenant_id = $2)
  AND ($3::text IS NULL OR namespace = $3) AND ($4::text IS NULL OR source = $4)
  AND ($5::timestamptz IS NULL OR timestamp >= $5) AND ($6::timestamptz IS NULL OR timestamp < $6)
  AND ($7::timestamptz IS NULL OR (timestamp, event_id) < ($7, $8::uuid))
ORDER BY timestamp DESC, event_id DESC LIMIT $9;

-- name: newest_events_of_chain
-- The same within a chain. MATERIALIZED, because for a small limit the planner prefers the index on timestamps.
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
-- Counts of events by type, and their first and last minute.
SELECT type, sum(n)::bigint AS n, min(minute) AS first, max(minute) AS last
FROM eventbus.event_counts
WHERE minute >= coalesce(date_trunc('minute', $1::timestamptz, 'UTC'), '-infinity')
  AND minute < coalesce($2::timestamptz, 'infinity') AND ($3::text IS NULL OR tenant_id = $3)
GROUP BY type ORDER BY type;

-- name: chain_counts
-- Counts of chains by name, outcome and bin of their duration.
SELECT chain, outcome, bin, sum(n)::bigint AS n
FROM eventbus.chain_counts
WHERE minute >= coalesce(date_trunc('minute', $1::timestamptz, 'UTC'), '-infinity')
  AND minute < coalesce($2::timestamptz, 'infinity') AND ($3::text IS NULL OR tenant_id = $3)
GROUP BY chain, outcome, bin HAVING sum(n) <> 0 ORDER BY chain, bin;

-- name: newest_dead_letters
SELECT consumer_group, topic, partition_id, record_offset, value, error, at
FROM eventbus.dead_letter ORDER BY at DESC, consumer_group, topic, partition_id, record_offset DESC LIMIT $1;

-- name: conservation
-- Counts of the records read, by what became of them.
SELECT consumer_group, topic, partition_id, first_offset, next_offset, read, new, duplicates, dead
FROM eventbus.offsets ORDER BY consumer_group, topic, partition_id;

-- name: ping
SELECT 1;
