import { createServer, IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EntityProviderConnection, EntityProviderMutation } from '@backstage/plugin-catalog-node';
import { stringifyEntityRef } from '@backstage/catalog-model';
import type { Change, Cycle, Source } from '../src/client';

/** A component as a source of Tideline may have it. */
export function component(name: string, title = name) {
  return { apiVersion: 'backstage.io/v1alpha1', kind: 'Component', metadata: { name, title }, spec: { type: 'service' } };
}

/** What a test says of a source, besides what it has. */
export interface FakeSource {
  type?: string;
  state?: Source['state'];
  /** Newest first. */
  cycles?: Cycle[];
}

/** A cycle that could read everything, unless the test says otherwise. */
export function cycle(state: Cycle['state'], gaps: Partial<Cycle['totals']> = {}): Cycle {
  return { state, totals: { partitions_parked: 0, unidentified: 0, ...gaps } };
}

/** As much of Tideline's gateway as the module asks for: the newest state of each entity in order, and tombstones. */
export class FakeTideline {
  token: string | undefined;
  /** The next answer is this status instead. */
  fail: number | undefined;
  /** Positions below are answered 410. */
  prunedTo = 0;
  requests: string[] = [];
  /** Its sources; undefined: those whose entities it ever had, each read to its end. */
  sources: Record<string, FakeSource> | undefined;
  /** Sources that the token is limited to. */
  limitedTo: string[] = [];
  /** Paths that are answered with this status, always. */
  refused = new Map<string, number>();
  /** Called before `/v1/sources` is answered. */
  beforeSources = () => {};
  /** No request waits longer for a change, in milliseconds. */
  longestWait = 10_000;
  /** An answer ends with the change that makes it this long, in bytes. */
  maxBytes = Infinity;
  /** Webhooks that were taken. */
  webhooks: { path: string; headers: IncomingHttpHeaders; body: string }[] = [];
  /** Webhooks are answered with this status. */
  failHooks: number | undefined;
  private sequence = 0;
  private readonly entities = new Map<string, Change>();
  private readonly server: Server;
  private waiting: (() => void)[] = [];

  constructor() {
    this.server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://fake');
      this.requests.push(url.pathname + url.search);
      const isHook = url.pathname.startsWith('/hooks/');
      const status = isHook ? undefined : (this.refused.get(url.pathname) ?? this.statusFor(request.headers.authorization));
      if (isHook) {
        void this.webhook(url.pathname, request, response);
      } else if (status) {
        json(response, status, { title: 'no', detail: `as the test said ${status}` });
      } else if (url.pathname === '/v1/changes') {
        void this.changes(url.searchParams, response);
      } else if (url.pathname === '/v1/entities') {
        this.answerEntities(url.searchParams, response);
      } else if (url.pathname === '/v1/whoami') {
        json(response, 200, { name: 'backstage', kind: 'token', role: 'read', sources: this.limitedTo });
      } else if (url.pathname.startsWith('/v1/sources')) {
        this.answerSources(url.pathname.split('/').slice(3).map(decodeURIComponent), response);
      } else {
        json(response, 404, { title: 'Not Found' });
      }
    });
  }

  async start(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  put(source: string, ref: string, body: unknown): void {
    this.write({ change: 'modified', source, ref, body });
  }

  remove(source: string, ref: string): void {
    this.write({ change: 'removed', source, ref });
  }

  /** Forgets without a word, as a store that was restored from an older copy has. */
  forget(source: string, ref: string): void {
    this.entities.delete(JSON.stringify([source, ref]));
  }

  /** Its store was made anew: nothing is left, and its numbers begin again. */
  recreate(): void {
    this.sequence = 0;
    this.entities.clear();
  }

  private write(change: Omit<Change, 'sequence' | 'changed_at'>): void {
    this.sequence += 1;
    const whole = { ...change, sequence: this.sequence, changed_at: new Date().toISOString() };
    const key = JSON.stringify([change.source, change.ref]);
    this.entities.delete(key);
    this.entities.set(key, whole);
    this.waiting.splice(0).forEach(wake => wake());
  }

  private sourceNames(): string[] {
    return Object.keys(this.sources ?? Object.fromEntries([...this.entities.values()].map(change => [change.source, {}])));
  }

  private answerEntities(query: URLSearchParams, response: ServerResponse): void {
    const source = query.get('source');
    if (!this.sourceNames().includes(source ?? '')) {
      json(response, 404, { title: 'Not Found', detail: `there is no source named ${source}` });
      return;
    }
    const found = this.entities.get(JSON.stringify([source, query.get('ref')]));
    json(response, 200, { items: found?.body ? [{ body: found.body }] : [] });
  }

  private answerSources([name, list]: string[], response: ServerResponse): void {
    const cyclesOf = (of: string) => this.sources?.[of]?.cycles ?? [cycle('complete')];
    if (name !== undefined) {
      json(response, list === 'cycles' ? 200 : 404, { items: cyclesOf(name) });
      return;
    }
    const live = [...this.entities.values()].filter(change => change.change !== 'removed');
    const sources = this.sourceNames().map(of => {
      const { type = 'http', state = 'active' } = this.sources?.[of] ?? {};
      return { name: of, type, state, entities: live.filter(change => change.source === of).length };
    });
    this.beforeSources();
    json(response, 200, { items: sources });
  }

  private statusFor(authorization: string | undefined): number | undefined {
    if (this.token && authorization !== `Bearer ${this.token}`) {
      return 401;
    }
    const status = this.fail;
    this.fail = undefined;
    return status;
  }

  private async webhook(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    if (!this.failHooks) {
      this.webhooks.push({ path, headers: request.headers, body });
    }
    json(response, this.failHooks ?? 202, {});
  }

  private async changes(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const after = Number(query.get('after')?.split('-')[0]);
    const began = Number(query.get('after')?.split('-')[1] ?? (after === 0 ? this.sequence : 0));
    const limit = Number(query.get('limit'));
    if (after > 0 && (after < this.prunedTo || after > this.sequence)) {
      json(response, 410, { title: 'Gone', detail: 'the change feed cannot go on' });
      return;
    }
    if (Number(query.get('wait')) > 0 && after >= this.sequence) {
      await new Promise<void>(resolve => {
        this.waiting.push(resolve);
        setTimeout(resolve, Math.min(Number(query.get('wait')) * 1000, this.longestWait)).unref();
      });
    }
    const all = [...this.entities.values()].filter(change => change.sequence > after);
    const changes: Change[] = [];
    for (let bytes = 0; changes.length < Math.min(limit, all.length) && bytes < this.maxBytes; ) {
      const change = all[changes.length] as Change;
      changes.push(change);
      bytes += Buffer.byteLength(JSON.stringify(change));
    }
    const last = changes.length < all.length ? (changes.at(-1)?.sequence ?? after) : this.sequence;
    json(response, 200, { changes, next: began > last ? `${last}-${began}` : String(last) });
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** What a catalog would have after the mutations it was given. */
export class FakeCatalog implements EntityProviderConnection {
  readonly entities = new Map<string, unknown>();
  mutations: EntityProviderMutation[] = [];
  /** Entities there were at least, at any moment. */
  fewest = Infinity;
  /** The next mutation fails, before (`lost`) or after (`late`) it was done. */
  fail: 'lost' | 'late' | undefined;

  async applyMutation(mutation: EntityProviderMutation): Promise<void> {
    const fail = this.fail;
    this.fail = undefined;
    if (fail === 'lost') {
      throw new Error('the catalog is not there');
    }
    this.mutations.push(mutation);
    if (mutation.type !== 'delta') {
      throw new Error('only deltas are expected');
    }
    for (const removed of mutation.removed) {
      this.entities.delete('entityRef' in removed ? removed.entityRef : stringifyEntityRef(removed.entity));
    }
    mutation.added.forEach(({ entity }) => this.entities.set(stringifyEntityRef(entity), entity));
    this.fewest = Math.min(this.fewest, this.entities.size);
    if (fail === 'late') {
      throw new Error('the process ends here');
    }
  }

  async refresh(): Promise<void> {}
}
