import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseService, LoggerService, SchedulerService } from '@backstage/backend-plugin-api';
import type { EntityProvider, EntityProviderConnection } from '@backstage/plugin-catalog-node';
import { RequestError, TidelineClient } from './client';
import { Follower } from './follower';
import { Reporter } from './reporter';
import { NotHeldError, Store } from './store';

/** The catalog relates entities to their provider by this: with another name it would evict them all. It never changes. */
export const PROVIDER_NAME = 'tideline';

/** Between two looks whether the replica that follows the feed still does, in milliseconds. */
const ELSEWHERE_MS = 5_000;
const LONGEST_PAUSE_MS = 60_000;

export interface ProviderOptions {
  client: TidelineClient;
  database: DatabaseService;
  logger: LoggerService;
  scheduler: SchedulerService;
  /** Tells Tideline of conflicts; undefined: only log and metrics do. */
  reporter?: Reporter | undefined;
}

/** Gives the catalog what Tideline's feed tells. */
export class TidelineEntityProvider implements EntityProvider {
  private store: Store | undefined;
  private readonly stopped = new AbortController();

  constructor(private readonly options: ProviderOptions) {}

  getProviderName(): string {
    return PROVIDER_NAME;
  }

  async connect(connection: EntityProviderConnection): Promise<void> {
    const { client, database, logger, scheduler, reporter } = this.options;
    const store = new Store(await database.getClient(), `${hostname()}/${process.pid}/${randomUUID()}`);
    if (!database.migrations?.skip) {
      await store.migrate();
    }
    this.store = store;
    const follower = new Follower(client, store, connection, logger, reporter);
    // In every replica: one of them holds the position, the others take it over when it stops. A task of global scope would look
    // for work every five seconds only, and stay locked until its time limit when its replica dies.
    await scheduler.scheduleTask({
      id: 'tideline-follow',
      scope: 'local',
      frequency: { seconds: 1 },
      timeout: { hours: 24 },
      fn: async signal => this.follow(follower, AbortSignal.any([signal, this.stopped.signal])),
    });
  }

  /** Ends the step that runs, and lets another replica go on at once. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.store?.release().catch(() => undefined);
  }

  private async follow(follower: Follower, signal: AbortSignal): Promise<void> {
    let failures = 0;
    let said = '';
    while (!signal.aborted) {
      try {
        const step = await follower.step(signal);
        if (failures > 0) {
          this.options.logger.info(`Tideline is followed again after ${failures} failures`);
        }
        failures = 0;
        said = '';
        if (step === 'held elsewhere') {
          await pause(ELSEWHERE_MS, signal);
        }
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        if (error instanceof NotHeldError) {
          continue;
        }
        failures += 1;
        const text = describe(error);
        // The same again and again is one line.
        if (text !== said) {
          this.options.logger.error(`Tideline at ${this.options.client.url} cannot be followed; this is tried again. ${text}`);
          said = text;
        }
        const ladder = Math.min(1000 * 2 ** Math.min(failures - 1, 6), LONGEST_PAUSE_MS);
        const asked = error instanceof RequestError ? error.retryAfterMs : undefined;
        await pause(Math.min(asked ?? ladder, LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2), signal);
      }
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  // What fetch throws tells in its cause why.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
