import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { knex } from 'knex';

/** A Postgres of its own in a temporary folder, gone after `stop`. */
export interface Postgres {
  port: number;
  stop(): Promise<void>;
}

/** Why there can be none; false if there can. */
export function whyNoPostgres(): string | false {
  return find('initdb') && find('postgres') ? false : 'Postgres is not installed: initdb and postgres are needed';
}

export async function startPostgres(): Promise<Postgres> {
  const initdb = find('initdb');
  const postgres = find('postgres');
  if (!initdb || !postgres) {
    throw new Error(`${whyNoPostgres()}`);
  }
  const user = plainUser();
  const folder = mkdtempSync(join(tmpdir(), 'tideline-backstage-'));
  if (user) {
    chownSync(folder, user.uid, user.gid);
  }
  const data = join(folder, 'data');
  const options = { ...user, cwd: folder, stdio: 'ignore' as const };
  execFileSync(initdb, ['-D', data, '-U', 'postgres', '--auth', 'trust', '--no-sync', '-E', 'UTF8'], options);
  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'max_connections=100'];
  const server = spawn(postgres, ['-D', data, '-p', String(port), ...settings.flatMap(one => ['-c', one])], options);
  const ended = new Promise(resolve => server.once('exit', resolve));
  const stop = async () => {
    server.kill('SIGINT');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', () => server.kill('SIGKILL'));
  const client = connect(port);
  try {
    for (let tries = 0; ; tries += 1) {
      try {
        await client.raw('SELECT 1');
        return { port, stop };
      } catch (error) {
        if (tries === 100) {
          throw error;
        }
        await sleep(100);
      }
    }
  } finally {
    await client.destroy();
  }
}

/** A client for a database of that server. */
export function connect(port: number, database = 'postgres') {
  return knex({ client: 'pg', connection: { host: '127.0.0.1', port, user: 'postgres', database } });
}

function find(name: string): string | undefined {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort().reverse() : [];
  const folders = [...(process.env.PATH ?? '').split(':'), ...versions.map(version => `/usr/lib/postgresql/${version}/bin`)];
  return folders.map(folder => join(folder, name)).find(path => existsSync(path));
}

/** Postgres refuses to run as root. */
function plainUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) {
    return undefined;
  }
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString());
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // Not there: the next one.
    }
  }
  return undefined;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
