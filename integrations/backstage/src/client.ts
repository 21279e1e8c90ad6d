import type { RootConfigService } from '@backstage/backend-plugin-api';

/** One change of the feed: the newest state of an entity, or its removal. */
export interface Change {
  sequence: number;
  change: 'added' | 'modified' | 'removed';
  /** The source that owns, or owned, the entity. */
  source: string;
  /** `kind:namespace/name`, as Tideline knows it. */
  ref: string;
  /** RFC 3339. */
  changed_at: string;
  /** Absent if it was removed. */
  body?: unknown;
}

/** What one request to the feed answers. */
export interface Answer {
  changes: Change[];
  /** `after` of the next request, as it is. */
  next: string;
  /** Whether there was nothing after the position when it was asked. */
  atEnd: boolean;
}

/** A source of Tideline, as far as it matters for what the feed does not have. */
export interface Source {
  name: string;
  /** One of type `push` has no cycles. */
  type: string;
  state: 'active' | 'paused' | 'blocked' | 'orphaned';
  /** How many entities it has in Tideline. */
  entities: number;
}

/** One pass over a source. */
export interface Cycle {
  state: 'bursting' | 'sweeping' | 'held' | 'complete' | 'incomplete' | 'cancelled';
  /** What could not be read: parts of the source, and items without a name. */
  totals: { partitions_parked: number; unidentified: number };
}

/** 410: the reader would miss changes and never know, so it starts over. */
export class StartOverError extends Error {}

/** An answer that is none, with its status; `retryAfterMs` if Tideline said when to ask again. */
export class RequestError extends Error {
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, status?: number, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Changes of one answer at most. */
const LIMIT = 1000;
/** Newest cycles of a source that are looked through for a complete one. */
const CYCLES = 100;
/** What an answer may take beyond the time that it waits for a change. */
const TIMEOUT_MS = 15_000;

/** The part of Tideline's API that is needed here. */
export class TidelineClient {
  readonly url: string;
  private readonly token: string | undefined;
  private readonly limit: number;

  constructor(options: { url: string; token?: string | undefined; limit?: number }) {
    this.url = options.url.replace(/\/+$/, '');
    this.token = options.token;
    this.limit = options.limit ?? LIMIT;
  }

  static fromConfig(config: RootConfigService): TidelineClient {
    const url = config.getString('tideline.url');
    let parsed: URL;
    try {
      parsed = new URL(url);
    } catch {
      throw new Error(`tideline.url is no URL: write it as in https://tideline.example.com`);
    }
    if (!['http:', 'https:'].includes(parsed.protocol) || parsed.username || parsed.search || parsed.hash) {
      throw new Error('tideline.url takes http(s)://host[:port][/path]; the token belongs into tideline.token');
    }
    return new TidelineClient({ url, token: config.getOptionalString('tideline.token') });
  }

  /** Changes after a position; with `waitSeconds` and none there, when the next one comes or the time is over. */
  async changes(after: string, waitSeconds: number, signal: AbortSignal): Promise<Answer> {
    const query = new URLSearchParams({ after, limit: String(this.limit), wait: String(waitSeconds) });
    const text = await this.get(`/v1/changes?${query}`, waitSeconds * 1000 + TIMEOUT_MS, signal);
    const { changes, next } = JSON.parse(text) as { changes: Change[]; next: string };
    if (!Array.isArray(changes) || typeof next !== 'string') {
      throw this.stranger('/v1/changes');
    }
    // However short an answer is, Tideline may have ended it for its size: only one that leads nowhere is the end.
    return { changes, next, atEnd: changes.length === 0 && next === after };
  }

  /** The body of a live entity; undefined if there is none. */
  async entity(source: string, ref: string, signal: AbortSignal): Promise<unknown> {
    const query = new URLSearchParams({ source, ref, limit: '1' });
    try {
      const [first] = await this.list<{ body: unknown }>(`/v1/entities?${query}`, signal);
      return first?.body;
    } catch (error) {
      // Its source is gone too, or not for this token.
      if (error instanceof RequestError && error.status === 404) {
        return undefined;
      }
      throw error;
    }
  }

  /** All sources that the token may see. */
  async sources(signal: AbortSignal): Promise<Source[]> {
    return this.list<Source>('/v1/sources', signal);
  }

  /** The newest cycles of a source. */
  async cycles(source: string, signal: AbortSignal): Promise<Cycle[]> {
    return this.list<Cycle>(`/v1/sources/${encodeURIComponent(source)}/cycles?limit=${CYCLES}`, signal);
  }

  /** Whether the token may see some sources only. */
  async isLimited(signal: AbortSignal): Promise<boolean> {
    const path = '/v1/whoami';
    const { sources } = JSON.parse(await this.get(path, TIMEOUT_MS, signal)) as { sources: string[] };
    if (!Array.isArray(sources)) {
      throw this.stranger(path);
    }
    return sources.length > 0;
  }

  private async list<T>(path: string, signal: AbortSignal): Promise<T[]> {
    const { items } = JSON.parse(await this.get(path, TIMEOUT_MS, signal)) as { items: T[] };
    if (!Array.isArray(items)) {
      throw this.stranger(path);
    }
    return items;
  }

  private stranger(path: string): RequestError {
    return new RequestError(`${this.url}${path} does not answer as Tideline does; is tideline.url right?`);
  }

  private async get(path: string, timeoutMs: number, signal: AbortSignal): Promise<string> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (this.token) {
      headers.authorization = `Bearer ${this.token}`;
    }
    // Not to where a redirect points: the token is for this address.
    const response = await fetch(this.url + path, {
      headers,
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await response.text();
    if (response.status === 410) {
      throw new StartOverError(detailOf(text));
    }
    if (response.status === 401 || response.status === 403) {
      throw new RequestError(`Tideline refuses tideline.token (${response.status}): it needs a token of role read. ${detailOf(text)}`, response.status);
    }
    if (!response.ok) {
      const seconds = Number(response.headers.get('retry-after'));
      const retryAfterMs = seconds > 0 ? seconds * 1000 : undefined;
      throw new RequestError(`Tideline answered ${response.status}. ${detailOf(text)}`, response.status, retryAfterMs);
    }
    return text;
  }
}

/** What a problem document says, or the beginning of whatever it is. */
function detailOf(text: string): string {
  try {
    const problem = JSON.parse(text) as { detail?: string; title?: string };
    return problem.detail ?? problem.title ?? '';
  } catch {
    return text.slice(0, 200);
  }
}
