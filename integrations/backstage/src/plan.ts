import type { Entity } from '@backstage/catalog-model';
import { stringifyEntityRef } from '@backstage/catalog-model';
import type { Change } from './client';
import { entityOf } from './entity';
import { keyOf, Row } from './store';

/** What is to be done for some changes of the feed. */
export interface Plan {
  /** Noted before the mutation. */
  rows: Row[];
  /** Forgotten after it. */
  forgotten: { source: string; ref: string }[];
  added: Entity[];
  /** References of Backstage that nobody owns any more. */
  removed: string[];
  /** Entities whose owner is gone and that another source owns too: its body is asked for. */
  inherited: Row[];
  /** Bodies that are no entities of Backstage's. */
  malformed: Change[];
}

/**
 * What `changes` ask for, if these are all the rows that they touch. Of two sources with the same entity the one whose name comes
 * first gives it, whoever was last.
 */
export function plan(changes: Change[], known: Row[], generation: number, url: string): Plan {
  const rows = new Map(known.map(row => [keyOf(row), row]));
  const owners = (entityRef: string, all: Iterable<Row>) =>
    [...all].filter(row => row.entityRef === entityRef).sort((a, b) => compare(keyOf(a), keyOf(b)));
  const bodies = new Map<string, Entity>();
  const touched = new Set<string>();
  const noted = new Map<string, Row>();
  const forgotten = new Map<string, Row>();
  const malformed: Change[] = [];

  for (const change of changes) {
    const key = keyOf(change);
    const before = rows.get(key);
    if (change.change === 'removed') {
      if (before) {
        rows.delete(key);
        noted.delete(key);
        forgotten.set(key, before);
        touched.add(before.entityRef);
      }
      continue;
    }
    const entity = entityOf(change.body, change.source, change.ref, url);
    if (!entity) {
      malformed.push(change);
      if (before) {
        // Tideline has it, so it is not gone: the catalog keeps what it had.
        noted.set(key, { ...before, generation });
      }
      continue;
    }
    const row = { source: change.source, ref: change.ref, entityRef: stringifyEntityRef(entity), generation };
    if (before) {
      touched.add(before.entityRef);
    }
    touched.add(row.entityRef);
    rows.set(key, row);
    noted.set(key, row);
    forgotten.delete(key);
    bodies.set(key, entity);
  }

  const index = groupByEntity(rows.values());
  const indexBefore = groupByEntity(known);
  const result: Plan = {
    rows: [...noted.values()],
    forgotten: [...forgotten.values()],
    added: [],
    removed: [],
    inherited: [],
    malformed,
  };
  for (const entityRef of touched) {
    const [winner] = owners(entityRef, index.get(entityRef) ?? []);
    const [winnerBefore] = owners(entityRef, indexBefore.get(entityRef) ?? []);
    if (!winner) {
      result.removed.push(entityRef);
      continue;
    }
    const body = bodies.get(keyOf(winner));
    if (body) {
      result.added.push(body);
    } else if (!winnerBefore || keyOf(winnerBefore) !== keyOf(winner)) {
      result.inherited.push(winner);
    }
  }
  return result;
}

/** References of Backstage that `changes` are about. */
export function entityRefs(changes: Change[], url: string): string[] {
  const entities = changes.map(change =>
    change.change === 'removed' ? undefined : entityOf(change.body, change.source, change.ref, url),
  );
  return entities.filter(entity => entity !== undefined).map(entity => stringifyEntityRef(entity));
}

function groupByEntity(rows: Iterable<Row>): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.entityRef);
    if (group) {
      group.push(row);
    } else {
      groups.set(row.entityRef, [row]);
    }
  }
  return groups;
}

function compare(a: string, b: string): number {
  if (a === b) {
    return 0;
  }
  return a < b ? -1 : 1;
}
