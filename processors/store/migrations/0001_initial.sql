-- The schema of the processor. Events are the source of truth; a statement trigger derives chains and counts from them,
-- whoever inserts the events. Every merge in it is commutative and associative (least, bit_or, +), so that the result
-- depends neither on the order of events nor on batch boundaries; a late event corrects earlier results. Compared text
-- columns have the collation "C", which sorts alike on every server and is the fastest.

-- Offsets of the consumer groups. The transaction that inserts events also commits their offsets.
-- Laws: read = new + duplicates + dead; next_offset - first_offset = read + offsets without a record (compaction).
CREATE TABLE eventbus.offsets (
  consumer_group text,
  topic text,
  partition_id int,
  first_offset bigint NOT NULL,
  next_offset bigint NOT NULL,
  read bigint NOT NULL DEFAULT 0,
  new bigint NOT NULL DEFAULT 0,
  duplicates bigint NOT NULL DEFAULT 0,             -- event ids that were stored already; the first content is kept
  dead bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (consumer_group, topic, partition_id)
) WITH (fillfactor = 50);

-- Event types of the catalog. A type without a row is a step of no chain.
CREATE TABLE eventbus.event_types (
  type text COLLATE "C" PRIMARY KEY,
  chain text COLLATE "C",                           -- null for a step of several chains
  role smallint NOT NULL,                           -- 0 step, 1 requested, 2 started, 3 completed, 4 failed
  bit bigint NOT NULL                               -- its bit in chains.seen
);

-- Paths through the state machines: the sets of event types that a finished chain may have.
CREATE TABLE eventbus.chain_paths (
  chain text COLLATE "C",
  mask bigint,
  PRIMARY KEY (chain, mask)
);

CREATE TABLE eventbus.events (
  event_id uuid PRIMARY KEY,
  timestamp timestamptz NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  type text COLLATE "C" NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  namespace text NOT NULL,
  source text NOT NULL,
  schema_version text NOT NULL,
  payload jsonb NOT NULL
);
CREATE INDEX events_correlation ON eventbus.events (correlation_id);
CREATE INDEX events_newest ON eventbus.events (timestamp);

-- One row per correlation id. Without a second index, updates are heap-only tuples (HOT).
CREATE TABLE eventbus.chains (
  correlation_id uuid PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL,
  chain text COLLATE "C",                           -- null until its request is stored
  requested_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,                             -- the earliest end
  outcome smallint NOT NULL,                        -- 0 in flight, 1 completed, 2 failed, 3 both
  events int NOT NULL,
  seen bigint NOT NULL                              -- bits of the types of its events; bit 62: unknown types
) WITH (fillfactor = 70);

CREATE TABLE eventbus.event_counts (
  minute timestamptz,
  tenant_id text COLLATE "C",
  type text COLLATE "C",
  n bigint NOT NULL,
  PRIMARY KEY (minute, tenant_id, type)
) WITH (fillfactor = 50);

-- Chains by the minute of their request. Rows may drop to 0 when chains change their outcome; only sums are meaningful.
CREATE TABLE eventbus.chain_counts (
  minute timestamptz,
  tenant_id text COLLATE "C",
  chain text COLLATE "C",
  outcome smallint,                                 -- 0 in flight, 1 completed, 2 failed (at least once)
  bin int,                                          -- bin of the duration, see eventbus.bin; 0 in flight
  n bigint NOT NULL,
  PRIMARY KEY (minute, tenant_id, chain, outcome, bin)
) WITH (fillfactor = 50);

-- Records that cannot be stored as events. The key is the record's position, so that inserting one again has no effect;
-- it includes the group, because each run of an in-process bus has its own group and offsets.
CREATE TABLE eventbus.dead_letter (
  consumer_group text,
  topic text,
  partition_id int,
  record_offset bigint,
  value bytea,                                      -- null: the record had no value
  error text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, partition_id, record_offset)
);

-- Logarithmic bins of durations in microseconds, 2 % wide: quantiles have a relative error of at most 1 %, and counts
-- can be added and subtracted.
CREATE FUNCTION eventbus.bin(duration interval) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT ceil(ln(greatest(date_part('epoch', duration) * 1e6, 1)) / ln(1.02::float8))::int
$$;

-- The outcome in statistics: a chain that both completed and failed counts as failed.
CREATE FUNCTION eventbus.counted(outcome smallint) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
  SELECT least(outcome, 2::smallint)
$$;

-- Folds the events that a statement inserted (the transition table `fresh`) into chains and counts.
CREATE FUNCTION eventbus.fold() RETURNS trigger LANGUAGE plpgsql
SET search_path = eventbus, pg_temp
SET plan_cache_mode = force_custom_plan             -- a plan for one row does not suit ten thousand
AS $$ BEGIN
  WITH touched AS (
    INSERT INTO chains AS c
    SELECT correlation_id,
           min(tenant_id),
           min(chain) FILTER (WHERE role = 1),
           min(timestamp) FILTER (WHERE role = 1),
           min(timestamp) FILTER (WHERE role = 2),
           min(timestamp) FILTER (WHERE role >= 3),
           bit_or(CASE role WHEN 3 THEN 1 WHEN 4 THEN 2 ELSE 0 END)::smallint,
           count(*),
           bit_or(coalesce(bit, 1::bigint << 62))
    FROM fresh LEFT JOIN event_types USING (type)
    GROUP BY 1 ORDER BY 1                           -- sorted: concurrent writers lock rows in the same order
    ON CONFLICT (correlation_id) DO UPDATE SET
      tenant_id = least(c.tenant_id, excluded.tenant_id),
      chain = least(c.chain, excluded.chain),
      requested_at = least(c.requested_at, excluded.requested_at),
      started_at = least(c.started_at, excluded.started_at),
      ended_at = least(c.ended_at, excluded.ended_at),
      outcome = c.outcome | excluded.outcome,
      events = c.events + excluded.events,
      seen = c.seen | excluded.seen
    RETURNING WITH (OLD AS was, NEW AS got)
      was.tenant_id AS tenant_0, was.chain AS chain_0, was.requested_at AS requested_0, was.ended_at AS ended_0,
      was.outcome AS outcome_0,
      got.tenant_id AS tenant_1, got.chain AS chain_1, got.requested_at AS requested_1, got.ended_at AS ended_1,
      got.outcome AS outcome_1),
  moved AS (                                        -- each chain moves from its old row of counts to its new one
    SELECT date_trunc('minute', requested, 'UTC') AS minute, tenant_id, chain, counted(outcome) AS outcome,
           CASE outcome WHEN 0 THEN 0 ELSE bin(ended - requested) END AS bin, sum(n) AS n
    FROM (SELECT requested_1, ended_1, tenant_1, chain_1, outcome_1, 1 FROM touched
          UNION ALL
          SELECT requested_0, ended_0, tenant_0, chain_0, outcome_0, -1 FROM touched
         ) AS place (requested, ended, tenant_id, chain, outcome, n)
    WHERE requested IS NOT NULL AND chain IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5)
  INSERT INTO chain_counts AS c
  SELECT * FROM moved WHERE n <> 0 ORDER BY 1, 2, 3, 4, 5
  ON CONFLICT (minute, tenant_id, chain, outcome, bin) DO UPDATE SET n = c.n + excluded.n;

  INSERT INTO event_counts AS c
  SELECT date_trunc('minute', timestamp, 'UTC'), tenant_id, type, count(*) FROM fresh GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (minute, tenant_id, type) DO UPDATE SET n = c.n + excluded.n;
  RETURN NULL;
END $$;

CREATE TRIGGER fold AFTER INSERT ON eventbus.events REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION eventbus.fold();

-- Derives chains and counts again from the stored events, by the same trigger, after a change of the catalog.
CREATE FUNCTION eventbus.rebuild() RETURNS void LANGUAGE plpgsql
SET search_path = eventbus, pg_temp AS $$ BEGIN
  LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE;    -- blocks inserts
  TRUNCATE chains, event_counts, chain_counts;
  CREATE TEMP TABLE refold ON COMMIT DROP AS SELECT correlation_id, timestamp, tenant_id, type FROM events WITH NO DATA;
  CREATE TRIGGER fold AFTER INSERT ON refold REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION fold();
  INSERT INTO refold SELECT correlation_id, timestamp, tenant_id, type FROM events;
  DROP TABLE refold;
END $$;

-- Stores the definitions of a catalog. When they change types of stored events, derives everything again; returns
-- whether it did.
CREATE FUNCTION eventbus.sync_catalog(types text[], chains text[], roles smallint[], bits bigint[],
                               path_chains text[], path_masks bigint[]) RETURNS boolean LANGUAGE plpgsql
SET search_path = eventbus, pg_temp AS $$
DECLARE
  changed text[];
  stale boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('eventbus.sync_catalog', 0));
  DELETE FROM chain_paths WHERE (chain, mask) NOT IN (SELECT * FROM unnest(path_chains, path_masks));
  INSERT INTO chain_paths SELECT * FROM unnest(path_chains, path_masks) ON CONFLICT DO NOTHING;

  changed := array(
    SELECT type
    FROM event_types AS old FULL JOIN unnest(types, chains, roles, bits) AS want (type, chain, role, bit) USING (type)
    WHERE (old.chain, old.role, old.bit) IS DISTINCT FROM (want.chain, want.role, want.bit));
  IF cardinality(changed) = 0 THEN
    RETURN false;
  END IF;
  LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM event_types WHERE type = ANY (changed);
  INSERT INTO event_types
  SELECT * FROM unnest(types, chains, roles, bits) AS want (type, chain, role, bit) WHERE type = ANY (changed);
  stale := EXISTS (SELECT FROM event_counts WHERE type = ANY (changed));
  IF stale THEN
    PERFORM rebuild();
  END IF;
  RETURN stale;
END $$;

-- State and conformance of each chain. The verdict is the first of these that applies:
--   conflict      both completed and failed
--   orphan        no request stored
--   out_of_order  started or ended before it was requested, or ended before it started
--   unexpected    no path of the chain has all its types
--   in_flight     not ended
--   incomplete    ended, with types missing
--   conforms      exactly the types of a path
CREATE VIEW eventbus.chain_states AS
SELECT c.*,
  CASE WHEN outcome >= 2 THEN 'failed' WHEN outcome = 1 THEN 'completed'
       WHEN started_at IS NULL AND requested_at IS NOT NULL THEN 'requested' ELSE 'started' END AS state,
  CASE WHEN outcome = 3 THEN 'conflict'
       WHEN requested_at IS NULL THEN 'orphan'
       WHEN least(started_at, ended_at) < requested_at OR ended_at < started_at THEN 'out_of_order'
       WHEN NOT EXISTS (SELECT FROM eventbus.chain_paths AS p WHERE p.chain = c.chain AND c.seen & ~p.mask = 0) THEN 'unexpected'
       WHEN outcome = 0 THEN 'in_flight'
       WHEN NOT EXISTS (SELECT FROM eventbus.chain_paths AS p WHERE p.chain = c.chain AND c.seen = p.mask) THEN 'incomplete'
       ELSE 'conforms' END AS verdict
FROM eventbus.chains AS c;
