import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { LoggerService } from '@backstage/backend-plugin-api';
import type { Knex } from 'knex';
import { TidelineClient } from '../src/client';
import { Follower, LOCATION_KEY } from '../src/follower';
import { Reporter } from '../src/reporter';
import { NotHeldError, Store } from '../src/store';
import { component, cycle, FakeCatalog, FakeTideline } from './fake';
import { connect, Postgres, startPostgres, whyNoPostgres } from './postgres';

const quiet = new AbortController().signal;
const lines: string[] = [];
const log = (line: string) => void lines.push(line);
const logger: LoggerService = { error: log, warn: log, info: log, debug: () => {}, child: () => logger };

describe('the follower', { skip: whyNoPostgres() }, () => {
  let postgres: Postgres;
  let knex: Knex;
  let tideline = new FakeTideline();
  let url: string;
  let catalog: FakeCatalog;
  let now = 1_000_000;

  before(async () => {
    postgres = await startPostgres();
    knex = connect(postgres.port);
  });
  after(async () => {
    tideline.stop();
    await knex.destroy();
    await postgres.stop();
  });
  beforeEach(async () => {
    await knex.raw('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    tideline.stop();
    tideline = new FakeTideline();
    url = await tideline.start();
    catalog = new FakeCatalog();
    lines.length = 0;
  });

  async function storeOf(holder = 'a'): Promise<Store> {
    const store = new Store(knex, holder, () => now);
    await store.migrate();
    return store;
  }

  async function followerOf(options: { holder?: string; limit?: number; token?: string; reporter?: Reporter } = {}): Promise<Follower> {
    const client = new TidelineClient({ url, token: options.token, limit: options.limit ?? 1000 });
    return new Follower(client, await storeOf(options.holder), catalog, logger, options.reporter, () => now);
  }

  /** Steps until the feed is read to its end; the fake's feed must have no reason to wait. */
  async function catchUp(follower: Follower): Promise<void> {
    for (let steps = 0; steps < 200; steps += 1) {
      const before = await knex('tideline_state').first();
      if (before?.complete && Number(before.position) >= sequence()) {
        return;
      }
      await follower.step(quiet);
    }
    assert.fail('it does not come to an end');
  }
  const sequence = () => (tideline as unknown as { sequence: number }).sequence;
  const names = () => [...catalog.entities.keys()].sort();

  it('brings the whole feed into the catalog in parts, with managed-by annotations and one location key', async () => {
    for (let at = 0; at < 25; at += 1) {
      tideline.put('s', `component:default/c${at}`, component(`c${at}`));
    }
    tideline.remove('s', 'component:default/c3');
    await catchUp(await followerOf({ limit: 10 }));
    assert.equal(catalog.entities.size, 24);
    for (const mutation of catalog.mutations) {
      assert.ok(mutation.type === 'delta' && mutation.added.length <= 10);
      assert.ok([...mutation.added, ...mutation.removed].every(item => item.locationKey === LOCATION_KEY));
    }
    const entity = catalog.entities.get('component:default/c7') as { metadata: { annotations: Record<string, string> } };
    const { annotations } = entity.metadata;
    const here = `url:${url}/v1/entities?source=s&ref=component%3Adefault%2Fc7`;
    assert.equal(annotations['backstage.io/managed-by-location'], here);
    assert.equal(annotations['backstage.io/managed-by-origin-location'], here);
  });

  it('takes changes and removals, and waits for them', async () => {
    tideline.put('s', 'component:default/a', component('a'));
    const follower = await followerOf();
    await catchUp(follower);
    setTimeout(() => tideline.put('s', 'component:default/b', component('b')), 50);
    assert.equal(await follower.step(quiet), 'applied');
    assert.deepEqual(names(), ['component:default/a', 'component:default/b']);
    assert.ok(tideline.requests.at(-1)?.includes('wait=10'));
    tideline.remove('s', 'component:default/a');
    await follower.step(quiet);
    assert.deepEqual(names(), ['component:default/b']);
    assert.equal((await knex('tideline_entities')).length, 1);
  });

  for (const when of ['lost', 'late'] as const) {
    it(`loses nothing when a mutation is ${when} and the process ends`, async () => {
      tideline.put('s', 'component:default/a', component('a'));
      tideline.put('s', 'component:default/gone', component('gone'));
      await catchUp(await followerOf());
      tideline.put('s', 'component:default/b', component('b'));
      tideline.remove('s', 'component:default/gone');
      catalog.fail = when;
      await assert.rejects((await followerOf()).step(quiet));
      await catchUp(await followerOf());
      assert.deepEqual(names(), ['component:default/a', 'component:default/b']);
    });
  }

  it('starts over on 410 without emptying the catalog, and removes what is gone in the end', async () => {
    for (let at = 0; at < 30; at += 1) {
      tideline.put('s', `component:default/c${at}`, component(`c${at}`));
    }
    const follower = await followerOf({ limit: 10 });
    await catchUp(follower);
    // Removed, and its tombstone pruned, while nobody followed.
    tideline.forget('s', 'component:default/c5');
    tideline.put('s', 'component:default/c6', component('c6', 'changed meanwhile'));
    tideline.prunedTo = sequence();
    catalog.fewest = Infinity;
    assert.equal(await follower.step(quiet), 'starts over');
    tideline.prunedTo = 0;
    await catchUp(follower);
    assert.equal(catalog.entities.size, 29);
    assert.ok(!catalog.entities.has('component:default/c5'));
    assert.equal(catalog.fewest, 29, 'the catalog was emptied in between');
  });

  it('removes what was given to the catalog by a step that never ended and went before the next full reading', async () => {
    tideline.put('s', 'component:default/a', component('a'));
    await catchUp(await followerOf());
    tideline.put('s', 'component:default/late', component('late'));
    catalog.fail = 'late';
    await assert.rejects((await followerOf()).step(quiet));
    tideline.forget('s', 'component:default/late');
    tideline.put('s', 'component:default/a', component('a', 'again'));
    tideline.prunedTo = sequence();
    const follower = await followerOf();
    assert.equal(await follower.step(quiet), 'starts over');
    await catchUp(follower);
    assert.deepEqual(names(), ['component:default/a']);
  });

  it('starts over by itself when the database was wiped', async () => {
    tideline.put('s', 'component:default/a', component('a'));
    await catchUp(await followerOf());
    await knex.raw('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    catalog.entities.clear();
    await catchUp(await followerOf());
    assert.deepEqual(names(), ['component:default/a']);
  });

  it('notices that the catalog lost entities, and counts those that another provider has', async () => {
    for (const name of ['a', 'b', 'c']) {
      tideline.put('s', `component:default/${name}`, component(name));
    }
    const follower = await followerOf();
    await catchUp(follower);
    await knex.schema.createTable('refresh_state', table => {
      table.text('entity_ref');
      table.text('location_key').nullable();
    });
    await knex('refresh_state').insert([
      { entity_ref: 'component:default/a', location_key: LOCATION_KEY },
      { entity_ref: 'component:default/b', location_key: 'url:elsewhere' },
    ]);
    catalog.entities.clear();
    assert.equal(await follower.step(quiet), 'starts over');
    assert.ok(lines.some(line => line.startsWith('1 entities of Tideline are not shown')), lines.join('\n'));
    await catchUp(follower);
    assert.equal(catalog.entities.size, 3);
    // It does not help: the catalog does not take it. That is no reason to read everything again and again.
    now += 3_600_000;
    setTimeout(() => tideline.put('s', 'component:default/d', component('d')), 50);
    assert.equal(await follower.step(quiet), 'applied');
  });

  it('tells Tideline which entities another provider has, signed, when that changes', async () => {
    for (const name of ['a', 'b', 'c']) {
      tideline.put('s', `component:default/${name}`, component(name));
    }
    const secret = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`;
    const follower = await followerOf({ reporter: new Reporter(url, 'backstage', secret) });
    await catchUp(follower);
    await knex.schema.createTable('refresh_state', table => {
      table.text('entity_ref');
      table.text('location_key').nullable();
    });
    const has = (location_key: string, ...names: string[]) =>
      knex('refresh_state').insert(names.map(name => ({ entity_ref: `component:default/${name}`, location_key })));
    await has('url:elsewhere', 'b', 'c');
    await has(LOCATION_KEY, 'a');
    const look = async () => {
      now += 3_600_000;
      setTimeout(() => tideline.put('s', 'component:default/a', component('a', `at ${now}`)), 50);
      await follower.step(quiet);
    };
    // Tideline does not take it at first: it is told again.
    tideline.failHooks = 503;
    await look();
    assert.equal(tideline.webhooks.length, 0);
    assert.ok(lines.some(line => line.includes('was not told of 2 conflicts')), lines.join('\n'));
    tideline.failHooks = undefined;
    await look();
    await look();
    assert.deepEqual(
      tideline.webhooks.map(webhook => [webhook.path, JSON.parse(webhook.body).data]),
      [['/hooks/backstage', { conflicts: 2, entities: ['component:default/b', 'component:default/c'] }]],
    );
    const [{ headers, body }] = tideline.webhooks as [(typeof tideline.webhooks)[0]];
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const expected = createHmac('sha256', '0123456789abcdef01234567').update(signed).digest('base64');
    assert.equal(headers['webhook-signature'], `v1,${expected}`);
    await knex('refresh_state').update({ location_key: LOCATION_KEY });
    await look();
    assert.deepEqual(JSON.parse(tideline.webhooks[1]?.body ?? '{}').data, { conflicts: 0, entities: [] });
  });

  it('gives an entity of two sources from the first of them, whoever was last, and from the other when that drops it', async () => {
    tideline.put('b', 'component:default/x', component('x', 'of b'));
    tideline.put('a', 'component:default/x', component('x', 'of a'));
    tideline.put('b', 'component:default/x', component('x', 'of b again'));
    const follower = await followerOf();
    await catchUp(follower);
    const title = () => (catalog.entities.get('component:default/x') as { metadata: { title: string } }).metadata.title;
    assert.equal(title(), 'of a');
    tideline.remove('a', 'component:default/x');
    await follower.step(quiet);
    assert.equal(title(), 'of b again');
    tideline.remove('b', 'component:default/x');
    await follower.step(quiet);
    assert.equal(catalog.entities.size, 0);
  });

  it('leaves out what is no entity, keeps what it was before, and goes on with the others', async () => {
    tideline.put('s', 'component:default/a', component('a'));
    tideline.put('s', 'repository:default/r', { full_name: 'o/r' });
    const follower = await followerOf();
    await catchUp(follower);
    assert.deepEqual(names(), ['component:default/a']);
    assert.ok(lines.some(line => line.includes('repository:default/r of s')), lines.join('\n'));
    tideline.put('s', 'component:default/a', { kind: 'Component' });
    tideline.put('s', 'component:default/b', component('b'));
    await follower.step(quiet);
    assert.deepEqual(names(), ['component:default/a', 'component:default/b']);
  });

  it('removes the old one when an entity is renamed under its reference', async () => {
    tideline.put('s', 'repository:default/7', component('old'));
    const follower = await followerOf();
    await catchUp(follower);
    tideline.put('s', 'repository:default/7', component('new'));
    await follower.step(quiet);
    assert.deepEqual(names(), ['component:default/new']);
  });

  it('is one of several replicas; another takes over when it stops or hangs, and then it writes nothing more', async () => {
    tideline.put('s', 'component:default/a', component('a'));
    const first = await followerOf({ holder: 'first' });
    const second = await followerOf({ holder: 'second' });
    await catchUp(first);
    assert.equal(await second.step(quiet), 'held elsewhere');
    await (await storeOf('first')).release();
    tideline.put('s', 'component:default/b', component('b'));
    assert.equal(await second.step(quiet), 'applied');
    assert.equal(await first.step(quiet), 'held elsewhere');
    now += 60_000;
    tideline.put('s', 'component:default/c', component('c'));
    assert.equal(await first.step(quiet), 'applied');
    const state = { url, position: '0', generation: 9, complete: true };
    await assert.rejects((await storeOf('second')).advance(state, []), NotHeldError);
    await assert.rejects((await storeOf('second')).note([], 1000), NotHeldError);
  });

  it('starts over when it is pointed at another Tideline, and what that does not have goes', async () => {
    tideline.put('s', 'component:default/a', component('a'));
    await catchUp(await followerOf());
    const other = new FakeTideline();
    tideline.stop();
    tideline = other;
    url = await other.start();
    other.put('s', 'component:default/b', component('b'));
    const follower = await followerOf();
    await follower.step(quiet);
    await catchUp(follower);
    assert.deepEqual(names(), ['component:default/b']);
  });

  /** A catalog with these of the source `s`, whose Tideline then loses its store. */
  async function recreated(...names: string[]): Promise<Follower> {
    names.forEach(name => tideline.put('s', `component:default/${name}`, component(name)));
    const follower = await followerOf();
    await catchUp(follower);
    tideline.recreate();
    tideline.longestWait = 10;
    assert.equal(await follower.step(quiet), 'starts over');
    return follower;
  }

  /** More steps than a full reading takes, and more time than between two questions to the sources. */
  async function readOn(follower: Follower): Promise<void> {
    now += 3_600_000;
    for (let steps = 0; steps < 8; steps += 1) {
      await follower.step(quiet);
    }
  }
  const isComplete = async () => Boolean((await knex('tideline_state').first()).complete);

  it('is not emptied by a store that was made anew, and loses what that does not have when its sources were read once', async () => {
    const follower = await recreated('a', 'b', 'c');
    await readOn(follower);
    assert.equal(catalog.entities.size, 3, 'without any source');
    tideline.sources = { s: { cycles: [cycle('bursting'), cycle('cancelled'), cycle('incomplete')] } };
    await readOn(follower);
    tideline.put('s', 'component:default/a', component('a', 'read again'));
    await readOn(follower);
    assert.equal(catalog.entities.size, 3, 'in the first cycle');
    assert.equal((catalog.entities.get('component:default/a') as ReturnType<typeof component>).metadata.title, 'read again');
    const said = lines.filter(line => line.includes('stay in the catalog for now'));
    assert.ok(said.length === 2 && said[0]?.includes('no sources yet') && said[1]?.endsWith('to their end yet: s'), lines.join('\n'));
    tideline.put('s', 'component:default/b', component('b'));
    tideline.sources = { s: { cycles: [cycle('complete')] } };
    await readOn(follower);
    assert.deepEqual(names(), ['component:default/a', 'component:default/b']);
    assert.ok(await isComplete());
  });

  it('asks once a minute while sources are read, and waits for changes meanwhile', async () => {
    const follower = await recreated('a', 'b');
    tideline.put('s', 'component:default/a', component('a'));
    tideline.sources = { s: { cycles: [] } };
    await readOn(follower);
    const asked = () => tideline.requests.filter(path => path === '/v1/sources').length;
    const before = asked();
    for (let steps = 0; steps < 5; steps += 1) {
      assert.equal(await follower.step(quiet), 'idle');
    }
    assert.equal(asked(), before);
    assert.ok(tideline.requests.at(-1)?.includes('wait=10'), tideline.requests.at(-1));
    now += 61_000;
    await follower.step(quiet);
    assert.equal(asked(), before + 1);
  });

  const unread = {
    'a source that is paused before its first cycle ended': () => {
      tideline.sources = { s: {}, other: { state: 'paused', cycles: [cycle('bursting')] } };
    },
    'a source that is blocked': () => {
      tideline.sources = { s: { state: 'blocked', cycles: [] } };
    },
    'sources that the token may not ask for': () => {
      tideline.refused.set('/v1/sources', 403);
    },
    'an API without the token\'s sources': () => {
      tideline.refused.set('/v1/whoami', 404);
    },
    'a source whose cycles cannot be read': () => {
      tideline.refused.set('/v1/sources/s/cycles', 503);
    },
  };
  for (const [what, set] of Object.entries(unread)) {
    it(`keeps what is there and follows on because of ${what}`, async () => {
      const follower = await recreated('a', 'b');
      set();
      tideline.put('s', 'component:default/new', component('new'));
      await readOn(follower);
      assert.deepEqual(names(), ['component:default/a', 'component:default/b', 'component:default/new']);
      tideline.put('s', 'component:default/newer', component('newer'));
      await follower.step(quiet);
      assert.equal(catalog.entities.size, 4);
      tideline.sources = undefined;
      tideline.refused.clear();
      await readOn(follower);
      assert.deepEqual(names(), ['component:default/new', 'component:default/newer']);
    });
  }

  it('does not remove for a moment what a cycle found between the end of the feed and the question to the sources', async () => {
    const follower = await recreated('a', 'b');
    tideline.put('s', 'component:default/a', component('a'));
    tideline.beforeSources = () => tideline.put('s', 'component:default/b', component('b', 'found last'));
    catalog.fewest = Infinity;
    await readOn(follower);
    assert.ok(await isComplete());
    assert.equal(catalog.fewest, 2);
  });

  it('needs no cycles of sources that have none, and keeps what nobody has pushed yet', async () => {
    for (const source of ['pushed', 'not-yet', 'orphan']) {
      tideline.put(source, `component:default/${source}`, component(source));
      tideline.put(source, `component:default/${source}-gone`, component(`${source}-gone`));
    }
    const follower = await recreated();
    tideline.sources = {
      pushed: { type: 'push', cycles: [] },
      'not-yet': { type: 'push', cycles: [] },
      orphan: { state: 'orphaned', cycles: [] },
    };
    tideline.put('pushed', 'component:default/pushed', component('pushed'));
    tideline.put('orphan', 'component:default/orphan', component('orphan'));
    await readOn(follower);
    assert.ok(await isComplete());
    const left = ['not-yet', 'not-yet-gone', 'orphan', 'pushed'].map(name => `component:default/${name}`);
    assert.deepEqual(names(), left);
    assert.ok(lines.some(line => line.endsWith('were kept: 2 of not-yet')), lines.join('\n'));
  });

  it('keeps what a cycle with parts that could not be read may not have seen', async () => {
    const follower = await recreated('a', 'b');
    tideline.put('s', 'component:default/a', component('a'));
    tideline.sources = { s: { cycles: [cycle('complete', { partitions_parked: 1 }), cycle('held', { unidentified: 2 })] } };
    await readOn(follower);
    assert.equal(catalog.entities.size, 2);
    tideline.sources.s?.cycles?.unshift(cycle('complete'));
    tideline.prunedTo = sequence() + 1;
    tideline.put('s', 'component:default/other', component('other'));
    assert.equal(await follower.step(quiet), 'starts over');
    tideline.prunedTo = 0;
    await readOn(follower);
    assert.deepEqual(names(), ['component:default/a', 'component:default/other']);
  });

  it('keeps the entities of sources that its token does not see; to a token for all sources they are gone', async () => {
    for (const source of ['mine', 'others']) {
      tideline.put(source, `component:default/${source}`, component(source));
      tideline.put(source, `component:default/${source}-gone`, component(`${source}-gone`));
    }
    const follower = await recreated();
    tideline.put('mine', 'component:default/mine', component('mine'));
    tideline.limitedTo = ['m*'];
    await readOn(follower);
    assert.deepEqual(names(), ['component:default/mine', 'component:default/others', 'component:default/others-gone']);
    tideline.limitedTo = [];
    tideline.prunedTo = sequence() + 1;
    tideline.put('mine', 'component:default/mine', component('mine'));
    assert.equal(await follower.step(quiet), 'starts over');
    tideline.prunedTo = 0;
    await readOn(follower);
    assert.deepEqual(names(), ['component:default/mine']);
  });

  it('goes on when an entity is left to a source that Tideline no longer has', async () => {
    tideline.put('a', 'component:default/x', component('x', 'of a'));
    tideline.put('b', 'component:default/x', component('x', 'of b'));
    const follower = await followerOf();
    await catchUp(follower);
    tideline.remove('a', 'component:default/x');
    tideline.forget('b', 'component:default/x');
    tideline.put('c', 'component:default/y', component('y'));
    await follower.step(quiet);
    assert.deepEqual(names(), ['component:default/x', 'component:default/y']);
  });

  it('removes nothing for a moment because large bodies in another script made answers short', async () => {
    const all = ['a', 'b', 'c', 'd'];
    const follower = await recreated(...all);
    all.forEach(name => tideline.put('s', `component:default/${name}`, component(name)));
    await (await followerOf({ limit: 2 })).step(quiet);
    // Bytes of one fill an answer; its characters do not.
    tideline.maxBytes = 4 * 1024 * 1024;
    ['b', 'c'].forEach(name => tideline.put('s', `component:default/${name}`, component(name, '語'.repeat(1_500_000))));
    tideline.put('s', 'component:default/d', component('d', 'changed meanwhile'));
    catalog.fewest = Infinity;
    await readOn(follower);
    assert.ok(await isComplete());
    assert.equal(catalog.fewest, 4);
  });

  it('says which setting to look at when the token is refused, and changes nothing while Tideline fails', async () => {
    tideline.token = 'right';
    const refused = (await followerOf({ token: 'wrong' })).step(quiet);
    await assert.rejects(refused, /tideline\.token \(401\): it needs a token of role read/);
    await catchUp(await followerOf({ token: 'right' }));
    tideline.fail = 503;
    tideline.put('s', 'component:default/a', component('a'));
    await assert.rejects((await followerOf({ token: 'right' })).step(quiet), /Tideline answered 503/);
    assert.equal(catalog.entities.size, 0);
  });
});
