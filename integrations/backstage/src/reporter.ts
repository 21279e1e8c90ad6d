import { createHmac, randomUUID } from 'node:crypto';
import type { RootConfigService } from '@backstage/backend-plugin-api';

const TIMEOUT_MS = 15_000;

/** What the catalog made of Tideline's entities. */
export interface ConflictReport {
  /** Entities that belong to another provider. */
  conflicts: number;
  /** The first of them, as entity references. */
  entities: string[];
}

/** Tells Tideline what only the catalog knows, as a webhook to one of its hooks: Standard Webhooks, signed. */
export class Reporter {
  private readonly key: Buffer;

  constructor(private readonly url: string, private readonly hook: string, secret: string) {
    // As Tideline reads it: base64 behind `whsec_`, or the text itself.
    this.key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  }

  static fromConfig(config: RootConfigService): Reporter | undefined {
    const reports = config.getOptionalConfig('tideline.reports');
    if (!reports) {
      return undefined;
    }
    const url = config.getString('tideline.url').replace(/\/+$/, '');
    return new Reporter(url, reports.getString('hook'), reports.getString('secret'));
  }

  /** Reports entities that another provider has: the event `HOOK.conflicts` of Tideline. */
  async conflicts(report: ConflictReport, signal: AbortSignal): Promise<void> {
    const id = `msg_${randomUUID()}`;
    const now = new Date();
    const timestamp = Math.floor(now.getTime() / 1000);
    const body = JSON.stringify({ type: 'conflicts', timestamp: now.toISOString(), data: report });
    const signature = createHmac('sha256', this.key).update(`${id}.${timestamp}.${body}`).digest('base64');
    const response = await fetch(`${this.url}/hooks/${encodeURIComponent(this.hook)}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': `v1,${signature}`,
      },
      body,
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    await response.arrayBuffer();
    if (!response.ok) {
      throw new Error(`the hook ${this.hook} answered ${response.status}: is tideline.reports as in hooks of Tideline?`);
    }
  }
}
