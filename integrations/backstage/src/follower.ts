import type { LoggerService } from '@backstage/backend-plugin-api';
import type { Entity } from '@backstage/catalog-model';
import type { EntityProviderConnection } from '@backstage/plugin-catalog-node';
import { Answer, Change, StartOverError, TidelineClient } from './client';
import { entityOf } from './entity';
import { telemetry } from './metrics';
import { entityRefs, plan } from './plan';
import { ConflictReport, Reporter } from './reporter';
import { NotHeldError, State, Store } from './store';
import { Survey, survey } from './survey';

/** Of everything that this provider adds and removes: another provider's entities are never touched. */
export const LOCATION_KEY = 'tideline';

/** Seconds that a request waits for the next change. */
const WAIT = 10;
/** How long a replica has the position after it last said so: longer than a request, and longer than a mutation takes. */
const HOLD_MS = 30_000;
/** Rows that are taken away in one mutation after a full reading. */
const REMOVALS = 500;
/** Between two questions whether Tideline has read its sources. */
const SURVEY_MS = 60_000;
/** Between two looks at what the catalog made of it all. */
const AUDIT_MS = 10 * 60_000;

/** What one step came to. */
export type Step = 'applied' | 'idle' | 'held elsewhere' | 'starts over';

/** Follows the feed: each step is one answer of it, brought into the catalog. */
export class Follower {
  private auditedAt = -Infinity;
  /** Missing at the end of the newest full reading: the catalog does not take them, so another one would not help. */
  private unhealed = 0;
  private conflicts = 0;
  /** What the sources said before the next request to the feed, which answers with what they had told by then. */
  private survey: Survey | undefined;
  /** No question to the sources before this moment. */
  private surveyAt = -Infinity;
  /** What was logged of why nothing is removed yet. */
  private waitsFor: string | undefined;
  /** What Tideline was told of conflicts; undefined: nothing by this process. */
  private reported: string | undefined;

  constructor(
    private readonly client: TidelineClient,
    private readonly store: Store,
    private readonly connection: EntityProviderConnection,
    private readonly logger: LoggerService,
    private readonly reporter?: Reporter,
    private readonly now: () => number = Date.now,
  ) {}

  /** One step. Throws what went wrong; then nothing is lost, and the next step does it again. */
  async step(signal: AbortSignal): Promise<Step> {
    const surveyed = this.survey;
    this.survey = undefined;
    const state = await this.store.hold(this.client.url, HOLD_MS);
    if (!state) {
      return 'held elsewhere';
    }
    if (state.complete && this.now() - this.auditedAt >= AUDIT_MS && (await this.audit(signal))) {
      await this.store.startOver(state, this.client.url);
      telemetry.fullSyncs.add(1, { reason: 'catalog_lost_entities' });
      return 'starts over';
    }
    let answer: Answer;
    try {
      const mayWait = state.complete || this.now() < this.surveyAt;
      answer = await this.client.changes(state.position, mayWait ? WAIT : 0, signal);
    } catch (error) {
      if (!(error instanceof StartOverError)) {
        throw error;
      }
      this.logger.warn(`Tideline's feed is read from its beginning again; the catalog stays as it is meanwhile. ${error.message}`);
      telemetry.fullSyncs.add(1, { reason: 'gone' });
      await this.store.startOver(state, this.client.url);
      return 'starts over';
    }
    const next = { ...state, position: answer.next };
    if (answer.changes.length > 0 || next.position !== state.position) {
      await this.apply(answer.changes, next, signal);
    }
    this.report(answer);
    if (answer.atEnd && !state.complete) {
      await this.conclude(next, surveyed, signal);
    }
    return answer.changes.length > 0 ? 'applied' : 'idle';
  }

  /** Brings changes into the catalog, and then moves on. */
  private async apply(changes: Change[], next: State, signal: AbortSignal): Promise<void> {
    const known = await this.store.related(changes, entityRefs(changes, next.url));
    const todo = plan(changes, known, next.generation, next.url);
    const added = [...todo.added];
    for (const row of todo.inherited) {
      const body = await this.client.entity(row.source, row.ref, signal);
      const entity = entityOf(body, row.source, row.ref, next.url);
      // Without a body its removal is on its way in the feed.
      if (entity) {
        added.push(entity);
      }
    }
    await this.store.note(todo.rows, HOLD_MS);
    if (added.length > 0 || todo.removed.length > 0) {
      await this.mutate(added, todo.removed);
    }
    await this.store.advance(next, todo.forgotten);
    if (todo.malformed.length > 0) {
      const names = todo.malformed.slice(0, 5).map(change => `${change.ref} of ${change.source}`);
      this.logger.warn(`${todo.malformed.length} bodies are no entities of Backstage's and were left out: ${names.join(', ')}`);
      telemetry.changes.add(todo.malformed.length, { outcome: 'malformed' });
    }
  }

  private async mutate(added: Entity[], removed: string[]): Promise<void> {
    await this.connection.applyMutation({
      type: 'delta',
      added: added.map(entity => ({ entity, locationKey: LOCATION_KEY })),
      removed: removed.map(entityRef => ({ entityRef, locationKey: LOCATION_KEY })),
    });
    telemetry.changes.add(added.length, { outcome: 'added' });
    telemetry.changes.add(removed.length, { outcome: 'removed' });
  }

  /** The end of a full reading. What it did not see is gone if the sources were read to their end before, and is kept until then. */
  private async conclude(state: State, surveyed: Survey | undefined, signal: AbortSignal): Promise<void> {
    const unseen = await this.store.countUnseen(state.generation);
    if (unseen.size === 0 || surveyed) {
      const isGone = (source: string) => surveyed?.isKnown(source) ?? false;
      await this.finish(state, [...unseen.keys()].filter(isGone), signal);
    } else if (this.now() >= this.surveyAt) {
      await this.ask(signal);
    }
  }

  /** Asks whether the sources were read to their end. What cannot be asked is asked again. */
  private async ask(signal: AbortSignal): Promise<void> {
    let waitsFor: string | undefined;
    try {
      const answer = await survey(this.client, signal);
      waitsFor = answer.waitsFor;
      this.survey = waitsFor ? undefined : answer;
    } catch (error) {
      if (signal.aborted) {
        throw error;
      }
      waitsFor = `whether it has read its sources cannot be asked. ${error instanceof Error ? error.message : error}`;
    }
    this.surveyAt = waitsFor ? this.now() + SURVEY_MS : -Infinity;
    if (waitsFor && waitsFor !== this.waitsFor) {
      this.logger.warn(`Entities that Tideline's feed does not have stay in the catalog for now: ${waitsFor}`);
    }
    this.waitsFor = waitsFor;
  }

  /** Removes what the full reading did not see of these sources. */
  private async finish(state: State, sources: string[], signal: AbortSignal): Promise<void> {
    let gone = 0;
    for (const source of sources) {
      gone += await this.removeUnseen(state, source, signal);
    }
    await this.store.advance({ ...state, complete: true }, []);
    const audit = await this.store.audit(LOCATION_KEY);
    this.unhealed = audit?.missing ?? 0;
    this.logger.info(`Tideline's feed was read from its beginning to its end; ${gone} entities that it no longer has were removed`);
    const kept = await this.store.countUnseen(state.generation);
    if (kept.size > 0) {
      const counts = [...kept].slice(0, 5).map(([source, count]) => `${count} of ${source}`);
      this.logger.warn(`Entities of sources that may have more than Tideline knows were kept: ${counts.join(', ')}`);
    }
    this.auditedAt = -Infinity;
  }

  private async removeUnseen(state: State, source: string, signal: AbortSignal): Promise<number> {
    let gone = 0;
    for (;;) {
      const rows = await this.store.unseen(state.generation, source, REMOVALS);
      if (rows.length === 0) {
        return gone;
      }
      if (!(await this.store.hold(this.client.url, HOLD_MS))) {
        throw new NotHeldError();
      }
      const removals = rows.map(({ ref }) => {
        return { sequence: 0, change: 'removed' as const, source, ref, changed_at: '' };
      });
      await this.apply(removals, state, signal);
      gone += rows.length;
    }
  }

  /** Looks at what the catalog made of it. True: it lost entities, as after a wiped table. */
  private async audit(signal: AbortSignal): Promise<boolean> {
    this.auditedAt = this.now();
    const audit = await this.store.audit(LOCATION_KEY);
    if (!audit) {
      return false;
    }
    telemetry.conflicts.record(audit.conflicts);
    if (audit.conflicts !== this.conflicts) {
      this.conflicts = audit.conflicts;
      const others = 'another provider of this catalog has them; remove them there, or leave them out in Tideline';
      this.logger.warn(`${audit.conflicts} entities of Tideline are not shown: ${others}`);
    }
    await this.tell({ conflicts: audit.conflicts, entities: audit.examples }, signal);
    if (audit.missing > this.unhealed) {
      this.logger.warn(`${audit.missing} entities of Tideline are gone from the catalog; its feed is read from the beginning again`);
      return true;
    }
    this.unhealed = Math.min(this.unhealed, audit.missing);
    return false;
  }

  /** Tells Tideline of conflicts, once after the start and whenever they change. What fails is told at the next look. */
  private async tell(report: ConflictReport, signal: AbortSignal): Promise<void> {
    const text = JSON.stringify(report);
    if (!this.reporter || text === this.reported) {
      return;
    }
    try {
      await this.reporter.conflicts(report, signal);
      this.reported = text;
    } catch (error) {
      this.logger.warn(`Tideline was not told of ${report.conflicts} conflicts: ${error instanceof Error ? error.message : error}`);
    }
  }

  private report(answer: Answer): void {
    const last = answer.changes.at(-1);
    if (!last || answer.atEnd) {
      telemetry.lag.record(0);
    }
    if (!last) {
      return;
    }
    const lag = Math.max(0, (this.now() - Date.parse(last.changed_at)) / 1000);
    if (!answer.atEnd) {
      telemetry.lag.record(lag);
    }
    this.logger.debug(`Brought ${answer.changes.length} changes up to ${last.sequence} into the catalog, ${lag.toFixed(1)} s after the last`);
  }
}
