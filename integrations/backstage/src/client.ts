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
  /** Whether the feed ended with this answer when it was read. */
  atEnd: boolean;
}

/** 410: the reader would miss changes and never know, so it starts over. */
export class StartOverError extends Error {}

/** An answer that is none; `retryAfterMs` if Tideline said when to ask again. */
export class RequestError extends Error {
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Changes of one answer at most. */
const LIMIT = 1000;
/** Tideline ends an answer at 4 MiB of bodies; one that is shorter than this was not ended by that. */
const FULL_ANSWER_BYTES = 3 * 1024 * 1024;
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
      throw new RequestError(`${this.url}/v1/changes does not answer as Tideline does; is tideline.url right?`);
    }
    // The feed holds the newest state of each entity, so in a first reading `next` says (as in `1000-5000`) that changes
    // from before its beginning are still to come.
    const atEnd = changes.length < this.limit && text.length < FULL_ANSWER_BYTES && !next.includes('-');
    return { changes, next, atEnd };
  }

  /** The body of a live entity; undefined if there is none. */
  async entity(source: string, ref: string, signal: AbortSignal): Promise<unknown> {
    const query = new URLSearchParams({ source, ref, limit: '1' });
    const page = JSON.parse(await this.get(`/v1/entities?${query}`, TIMEOUT_MS, signal)) as { items: { body: unknown }[] };
    return page.items[0]?.body;
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
      throw new RequestError(`Tideline refuses tideline.token (${response.status}): it needs a token of role read. ${detailOf(text)}`);
    }
    if (!response.ok) {
      const seconds = Number(response.headers.get('retry-after'));
      const retryAfterMs = seconds > 0 ? seconds * 1000 : undefined;
      throw new RequestError(`Tideline answered ${response.status}. ${detailOf(text)}`, retryAfterMs);
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
