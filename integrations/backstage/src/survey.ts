import type { Cycle, Source, TidelineClient } from './client';

/** What it means that an entity is not in Tideline's feed. */
export interface Survey {
  /** Why nothing can be said yet; undefined: something can. */
  waitsFor: string | undefined;
  /** Whether entities of this source that are not in the feed are gone. */
  isKnown(source: string): boolean;
}

/** Sources that are named. */
const NAMED = 5;

/**
 * Asks Tideline whether its sources have told everything that they have. The feed of a store that was just made is empty, and
 * before the end of the first cycles it lacks what was not read yet: none of that is gone.
 */
export async function survey(client: TidelineClient, signal: AbortSignal): Promise<Survey> {
  const limited = await client.isLimited(signal);
  const known = new Map<string, boolean>();
  const unread: string[] = [];
  for (const source of await client.sources(signal)) {
    if (!hasCycles(source)) {
      known.set(source.name, hasEntities(source));
      continue;
    }
    const complete = (await client.cycles(source.name, signal)).filter(isComplete);
    known.set(source.name, hasEntities(source) && complete.some(hasNoGaps));
    if (complete.length === 0) {
      unread.push(source.state === 'active' ? source.name : `${source.name} (${source.state})`);
    }
  }
  return {
    waitsFor: known.size === 0 ? 'it has no sources yet, or the token may see none' : reason(unread),
    // Of sources that are not there a token for all sources tells that they are gone.
    isKnown: source => known.get(source) ?? !limited,
  };
}

/** One that is no longer configured is read no more: what it has stays until it is reset. */
function hasCycles(source: Source): boolean {
  return source.type !== 'push' && source.state !== 'orphaned';
}

/** One that has none may have lost them all, or nobody has pushed to it yet. */
function hasEntities(source: Source): boolean {
  return source.entities > 0;
}

function isComplete(cycle: Cycle): boolean {
  return cycle.state === 'complete' || cycle.state === 'held';
}

function hasNoGaps({ totals }: Cycle): boolean {
  return totals.partitions_parked === 0 && totals.unidentified === 0;
}

function reason(unread: string[]): string | undefined {
  const others = unread.length > NAMED ? ` and ${unread.length - NAMED} others` : '';
  return unread.length === 0 ? undefined : `it has not read to their end yet: ${unread.slice(0, NAMED).join(', ')}${others}`;
}
