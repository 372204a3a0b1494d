-- Chains that cause other chains with the same correlation id: a visitor's session, and the work that its clicks cause.
-- Only events of the causing chain define name, start and outcome of the stored chain; those of caused chains belong to
-- it without a verdict. To make the result independent of the order of events, a row collects both, those of causing
-- chains apart from all others; readers use the causing chain if there is one.

ALTER TABLE eventbus.event_types ADD causing boolean NOT NULL DEFAULT false;   -- whether its chain may cause others

-- Types of the chains that a chain may cause, as a mask.
CREATE TABLE eventbus.chain_caused (
  chain text COLLATE "C" PRIMARY KEY,
  bits bigint NOT NULL
);

-- Further bits of outcome: 4 a causing chain completed, 8 a causing chain failed, 16 an event of a causing chain.
ALTER TABLE eventbus.chains
  ADD causing_chain text COLLATE "C",
  ADD causing_requested_at timestamptz,
  ADD causing_started_at timestamptz,
  ADD causing_ended_at timestamptz;

-- The outcome of the causing chain if there is one: 0 in flight, 1 completed, 2 failed, 3 both.
CREATE FUNCTION eventbus.outcome_of(outcome smallint) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN outcome >= 16 THEN (outcome >> 2 & 3)::smallint ELSE outcome END
$$;

CREATE OR REPLACE FUNCTION eventbus.fold() RETURNS trigger LANGUAGE plpgsql
SET search_path = eventbus, pg_temp
SET plan_cache_mode = force_custom_plan             -- a plan for one row does not suit ten thousand
AS $$ BEGIN
  WITH touched AS (
    INSERT INTO chains AS c
    SELECT correlation_id,
           min(tenant_id),
           min(chain) FILTER (WHERE role = 1 AND NOT causing),
           min(timestamp) FILTER (WHERE role = 1 AND NOT causing),
           min(timestamp) FILTER (WHERE role = 2 AND NOT causing),
           min(timestamp) FILTER (WHERE role >= 3 AND NOT causing),
           bit_or(CASE role WHEN 3 THEN 1 WHEN 4 THEN 2 ELSE 0 END << CASE WHEN causing THEN 2 ELSE 0 END
                  | CASE WHEN causing THEN 16 ELSE 0 END)::smallint,
           count(*),
           bit_or(coalesce(bit, 1::bigint << 62)),
           min(chain) FILTER (WHERE role = 1 AND causing),
           min(timestamp) FILTER (WHERE role = 1 AND causing),
           min(timestamp) FILTER (WHERE role = 2 AND causing),
           min(timestamp) FILTER (WHERE role >= 3 AND causing)
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
      seen = c.seen | excluded.seen,
      causing_chain = least(c.causing_chain, excluded.causing_chain),
      causing_requested_at = least(c.causing_requested_at, excluded.causing_requested_at),
      causing_started_at = least(c.causing_started_at, excluded.causing_started_at),
      causing_ended_at = least(c.causing_ended_at, excluded.causing_ended_at)
    RETURNING WITH (OLD AS was, NEW AS got)
      was.tenant_id AS tenant_0, outcome_of(was.outcome) AS outcome_0,
      CASE WHEN was.outcome >= 16 THEN was.causing_chain ELSE was.chain END AS chain_0,
      CASE WHEN was.outcome >= 16 THEN was.causing_requested_at ELSE was.requested_at END AS requested_0,
      CASE WHEN was.outcome >= 16 THEN was.causing_ended_at ELSE was.ended_at END AS ended_0,
      got.tenant_id AS tenant_1, outcome_of(got.outcome) AS outcome_1,
      CASE WHEN got.outcome >= 16 THEN got.causing_chain ELSE got.chain END AS chain_1,
      CASE WHEN got.outcome >= 16 THEN got.causing_requested_at ELSE got.requested_at END AS requested_1,
      CASE WHEN got.outcome >= 16 THEN got.causing_ended_at ELSE got.ended_at END AS ended_1),
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

DROP FUNCTION eventbus.sync_catalog(text[], text[], smallint[], bigint[], text[], bigint[]);

-- Stores the definitions of a catalog. When they change types of stored events, derives everything again; returns
-- whether it did.
CREATE FUNCTION eventbus.sync_catalog(types text[], chains text[], roles smallint[], bits bigint[], causes boolean[],
                               path_chains text[], path_masks bigint[],
                               causing_chains text[], caused_bits bigint[]) RETURNS boolean LANGUAGE plpgsql
SET search_path = eventbus, pg_temp AS $$
DECLARE
  changed text[];
  stale boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('eventbus.sync_catalog', 0));
  DELETE FROM chain_paths WHERE (chain, mask) NOT IN (SELECT * FROM unnest(path_chains, path_masks));
  INSERT INTO chain_paths SELECT * FROM unnest(path_chains, path_masks) ON CONFLICT DO NOTHING;
  DELETE FROM chain_caused WHERE chain <> ALL (causing_chains);
  INSERT INTO chain_caused AS c SELECT * FROM unnest(causing_chains, caused_bits) AS want (chain, bits)
  ON CONFLICT (chain) DO UPDATE SET bits = excluded.bits WHERE c.bits <> excluded.bits;

  changed := array(
    SELECT type
    FROM event_types AS old
    FULL JOIN unnest(types, chains, roles, bits, causes) AS want (type, chain, role, bit, causing) USING (type)
    WHERE (old.chain, old.role, old.bit, old.causing) IS DISTINCT FROM (want.chain, want.role, want.bit, want.causing));
  IF cardinality(changed) = 0 THEN
    RETURN false;
  END IF;
  LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM event_types WHERE type = ANY (changed);
  INSERT INTO event_types
  SELECT * FROM unnest(types, chains, roles, bits, causes) AS want (type, chain, role, bit, causing)
  WHERE type = ANY (changed);
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
--   unexpected    no path of the chain has all its types, those of caused chains aside
--   in_flight     not ended
--   incomplete    ended, with types missing
--   conforms      exactly the types of a path, those of caused chains aside
DROP VIEW eventbus.chain_states;
CREATE VIEW eventbus.chain_states AS
WITH counting AS (                                  -- the causing chain if there is one
  SELECT correlation_id, tenant_id, events, eventbus.outcome_of(outcome) AS outcome,
         CASE WHEN outcome >= 16 THEN causing_chain ELSE chain END AS chain,
         CASE WHEN outcome >= 16 THEN causing_requested_at ELSE requested_at END AS requested_at,
         CASE WHEN outcome >= 16 THEN causing_started_at ELSE started_at END AS started_at,
         CASE WHEN outcome >= 16 THEN causing_ended_at ELSE ended_at END AS ended_at,
         seen
  FROM eventbus.chains),
judged AS (
  SELECT c.*, seen & ~coalesce(caused.bits, 0) AS own
  FROM counting AS c LEFT JOIN eventbus.chain_caused AS caused USING (chain))
SELECT correlation_id, tenant_id, chain, requested_at, started_at, ended_at, outcome, events, seen,
  CASE WHEN outcome >= 2 THEN 'failed' WHEN outcome = 1 THEN 'completed'
       WHEN started_at IS NULL AND requested_at IS NOT NULL THEN 'requested' ELSE 'started' END AS state,
  CASE WHEN outcome = 3 THEN 'conflict'
       WHEN requested_at IS NULL THEN 'orphan'
       WHEN least(started_at, ended_at) < requested_at OR ended_at < started_at THEN 'out_of_order'
       WHEN NOT EXISTS (SELECT FROM eventbus.chain_paths AS p WHERE p.chain = c.chain AND own & ~p.mask = 0) THEN 'unexpected'
       WHEN outcome = 0 THEN 'in_flight'
       WHEN NOT EXISTS (SELECT FROM eventbus.chain_paths AS p WHERE p.chain = c.chain AND own = p.mask) THEN 'incomplete'
       ELSE 'conforms' END AS verdict
FROM judged AS c;
