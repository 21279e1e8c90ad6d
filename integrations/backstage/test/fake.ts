import { createServer, IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EntityProviderConnection, EntityProviderMutation } from '@backstage/plugin-catalog-node';
import { stringifyEntityRef } from '@backstage/catalog-model';
import type { Change } from '../src/client';

/** A component as a source of Tideline may have it. */
export function component(name: string, title = name) {
  return { apiVersion: 'backstage.io/v1alpha1', kind: 'Component', metadata: { name, title }, spec: { type: 'service' } };
}

/** As much of Tideline's gateway as the module asks for: the newest state of each entity in order, and tombstones. */
export class FakeTideline {
  token: string | undefined;
  /** The next answer is this status instead. */
  fail: number | undefined;
  /** Positions below are answered 410. */
  prunedTo = 0;
  requests: string[] = [];
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
      const status = isHook ? undefined : this.statusFor(request.headers.authorization);
      if (isHook) {
        void this.webhook(url.pathname, request, response);
      } else if (status) {
        json(response, status, { title: 'no', detail: `as the test said ${status}` });
      } else if (url.pathname === '/v1/changes') {
        void this.changes(url.searchParams, response);
      } else if (url.pathname === '/v1/entities') {
        const key = JSON.stringify([url.searchParams.get('source'), url.searchParams.get('ref')]);
        const found = this.entities.get(key);
        json(response, 200, { items: found?.body ? [{ body: found.body }] : [] });
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

  private write(change: Omit<Change, 'sequence' | 'changed_at'>): void {
    this.sequence += 1;
    const whole = { ...change, sequence: this.sequence, changed_at: new Date().toISOString() };
    const key = JSON.stringify([change.source, change.ref]);
    this.entities.delete(key);
    this.entities.set(key, whole);
    this.waiting.splice(0).forEach(wake => wake());
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
        setTimeout(resolve, Number(query.get('wait')) * 1000).unref();
      });
    }
    const all = [...this.entities.values()].filter(change => change.sequence > after);
    const changes = all.slice(0, limit);
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
