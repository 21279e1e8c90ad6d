import type { Knex } from 'knex';

/** Where the follower stands. */
export interface State {
  /** Base URL of the Tideline that the position belongs to. */
  url: string;
  /** `after` of the next request to the feed. */
  position: string;
  /** Number of the newest reading from the beginning. */
  generation: number;
  /** Whether that reading has come to its end; until then nothing is removed because it was not seen. */
  complete: boolean;
}

/** One entity of Tideline that was given to the catalog. Two sources may own entities with the same reference. */
export interface Row {
  source: string;
  /** The reference as Tideline knows it. */
  ref: string;
  /** The reference as Backstage knows it. */
  entityRef: string;
  /** The newest reading that saw it. */
  generation: number;
}

/** What the catalog made of the rows. */
export interface Audit {
  /** Rows whose entity is not in the catalog at all. */
  missing: number;
  /** Rows whose entity another provider has. */
  conflicts: number;
  /** The first of these. */
  examples: string[];
}

const STATE = 'tideline_state';
const ENTITIES = 'tideline_entities';
/** Conflicts that are named. */
const EXAMPLES = 100;
/** Only one row of state. */
const ID = 'tideline';
/** Values of one statement. */
const CHUNK = 400;

interface StateRow {
  url: string;
  position: string;
  generation: number;
  complete: boolean | number;
  holder: string | null;
  held_until: string | number;
}

interface EntityRow {
  source: string;
  ref: string;
  entity_ref: string;
  generation: number;
}

/** Thrown by a write of who holds the position no longer. */
export class NotHeldError extends Error {
  constructor() {
    super('another replica of this backend follows Tideline now');
  }
}

/**
 * Position and rows, in tables of their own in the catalog's database: if that is wiped or restored, they are with it. One replica
 * holds the position at a time, and each write checks that it still does.
 */
export class Store {
  private readonly knex: Knex;
  private readonly holder: string;
  private readonly now: () => number;

  constructor(knex: Knex, holder: string, now: () => number = Date.now) {
    this.knex = knex;
    this.holder = holder;
    this.now = now;
  }

  /** Brings the tables up to date. */
  async migrate(): Promise<void> {
    await this.knex.migrate.latest({ migrationSource: migrations, tableName: 'tideline_migrations' });
  }

  /** Takes or keeps the position for a while. Undefined: another replica has it. */
  async hold(url: string, forMs: number): Promise<State | undefined> {
    await this.knex(STATE)
      .insert({ id: ID, url, position: '0', generation: 1, complete: false, holder: null, held_until: 0 })
      .onConflict('id')
      .ignore();
    const now = this.now();
    const held = await this.knex(STATE)
      .where({ id: ID })
      .andWhere(free => free.where({ holder: this.holder }).orWhere('held_until', '<', now))
      .update({ holder: this.holder, held_until: now + forMs });
    if (!held) {
      return undefined;
    }
    const row: StateRow | undefined = await this.knex(STATE).where('id', ID).first();
    if (!row) {
      return undefined;
    }
    const state = stateOf(row);
    // Another Tideline has other positions; what it does not have goes when it was read to its end.
    return state.url === url ? state : await this.startOver(state, url);
  }

  /** Gives the position back, so that another replica need not wait. */
  async release(): Promise<void> {
    await this.knex(STATE).where({ id: ID, holder: this.holder }).update({ holder: null, held_until: 0 });
  }

  /** A new reading from the beginning; the rows stay, and so does the catalog. */
  async startOver(state: State, url: string): Promise<State> {
    const next: State = { url, position: '0', generation: state.generation + 1, complete: false };
    await this.knex.transaction(tx => this.write(tx, next));
    return next;
  }

  /** Rows with these keys of Tideline, and all other rows of the same entities of Backstage. */
  async related(keys: { source: string; ref: string }[], entityRefs: string[]): Promise<Row[]> {
    const found = new Map<string, Row>();
    const add = (rows: EntityRow[]) => rows.forEach(row => found.set(keyOf(row), rowOf(row)));
    const bySource = new Map<string, string[]>();
    keys.forEach(({ source, ref }) => bySource.set(source, [...(bySource.get(source) ?? []), ref]));
    for (const [source, refs] of bySource) {
      for (const some of chunks(refs)) {
        add(await this.knex<EntityRow>(ENTITIES).where({ source }).whereIn('ref', some));
      }
    }
    const all = new Set([...entityRefs, ...[...found.values()].map(row => row.entityRef)]);
    for (const some of chunks([...all])) {
      add(await this.knex<EntityRow>(ENTITIES).whereIn('entity_ref', some));
    }
    return [...found.values()];
  }

  /** How many rows of each source the newest reading did not see. */
  async countUnseen(generation: number): Promise<Map<string, number>> {
    const query = this.knex(ENTITIES).where('generation', '<', generation).groupBy('source');
    const counts: { source: string; count: string | number }[] = await query.select('source').count({ count: '*' });
    return new Map(counts.map(({ source, count }) => [source, Number(count)]));
  }

  /** Some rows of a source that the newest reading did not see. */
  async unseen(generation: number, source: string, limit: number): Promise<Row[]> {
    const rows = await this.knex<EntityRow>(ENTITIES).where('generation', '<', generation).andWhere({ source }).limit(limit);
    return rows.map(rowOf);
  }

  /**
   * Notes what is about to be given to the catalog. Before it is: what is made is known, whenever this process ends. Keeps the
   * position for a while from now on, so that nobody else moves on while the catalog takes it.
   */
  async note(rows: Row[], forMs: number): Promise<void> {
    await this.knex.transaction(async tx => {
      const held = await tx(STATE).where({ id: ID, holder: this.holder }).update({ held_until: this.now() + forMs });
      if (!held) {
        throw new NotHeldError();
      }
      for (const some of chunks(rows)) {
        await tx(ENTITIES)
          .insert(some.map(({ source, ref, entityRef, generation }) => ({ source, ref, entity_ref: entityRef, generation })))
          .onConflict(['source', 'ref'])
          .merge(['entity_ref', 'generation']);
      }
    });
  }

  /** Moves on, and forgets rows whose entities are gone. After the mutation: what it did not do is done again. */
  async advance(state: State, forgotten: { source: string; ref: string }[]): Promise<void> {
    await this.knex.transaction(async tx => {
      await this.write(tx, state);
      for (const { source, ref } of forgotten) {
        await tx(ENTITIES).where({ source, ref }).delete();
      }
    });
  }

  /**
   * Compares the rows with what the catalog has. It has no interface that tells which entities of a provider it did not take, or
   * lost, so this looks into its table; undefined if that is not there (or another one in a later version).
   */
  async audit(locationKey: string): Promise<Audit | undefined> {
    const catalog = 'refresh_state';
    if (!(await this.knex.schema.hasColumn(catalog, 'location_key').catch(() => false))) {
      return undefined;
    }
    const rows = () => this.knex(ENTITIES).leftJoin(catalog, `${catalog}.entity_ref`, `${ENTITIES}.entity_ref`);
    const count = async (query: Knex.QueryBuilder) => {
      const [row] = await query.countDistinct({ count: `${ENTITIES}.entity_ref` });
      return Number((row as { count: string | number }).count);
    };
    const ofOthers = () =>
      rows()
        .whereNotNull(`${catalog}.entity_ref`)
        .andWhere(other => other.whereNull('location_key').orWhereNot('location_key', locationKey));
    const missing = await count(rows().whereNull(`${catalog}.entity_ref`));
    const conflicts = await count(ofOthers());
    const first: { entity_ref: string }[] =
      conflicts === 0 ? [] : await ofOthers().distinct(`${ENTITIES}.entity_ref`).orderBy(`${ENTITIES}.entity_ref`).limit(EXAMPLES);
    return { missing, conflicts, examples: first.map(row => row.entity_ref) };
  }

  private async write(tx: Knex.Transaction, state: State): Promise<void> {
    const held = await tx(STATE).where({ id: ID, holder: this.holder }).update({ ...state });
    if (!held) {
      throw new NotHeldError();
    }
  }
}

/** One text for source and reference. */
export function keyOf(row: { source: string; ref: string }): string {
  return JSON.stringify([row.source, row.ref]);
}

function stateOf(row: StateRow): State {
  const { url, position, generation, complete } = row;
  return { url, position, generation, complete: Boolean(complete) };
}

function rowOf({ source, ref, entity_ref, generation }: EntityRow): Row {
  return { source, ref, entityRef: entity_ref, generation };
}

function chunks<T>(items: T[]): T[][] {
  const result: T[][] = [];
  for (let at = 0; at < items.length; at += CHUNK) {
    result.push(items.slice(at, at + CHUNK));
  }
  return result;
}

interface Migration {
  name: string;
  up(knex: Knex): Promise<void>;
  down(knex: Knex): Promise<void>;
}

const first: Migration = {
  name: '20260901_first',
  async up(knex) {
    await knex.schema.createTable(STATE, table => {
      table.string('id').primary();
      table.text('url').notNullable();
      table.string('position').notNullable().comment('after of the next request to the feed');
      table.integer('generation').notNullable();
      table.boolean('complete').notNullable();
      table.string('holder').nullable().comment('the replica that follows the feed');
      table.bigInteger('held_until').notNullable().comment('milliseconds since 1970');
    });
    await knex.schema.createTable(ENTITIES, table => {
      table.string('source').notNullable();
      table.text('ref').notNullable();
      table.text('entity_ref').notNullable();
      table.integer('generation').notNullable();
      table.primary(['source', 'ref']);
      table.index('entity_ref', 'tideline_entities_entity_ref');
      table.index('generation', 'tideline_entities_generation');
    });
  },
  async down(knex) {
    await knex.schema.dropTable(ENTITIES);
    await knex.schema.dropTable(STATE);
  },
};

const migrations: Knex.MigrationSource<Migration> = {
  getMigrations: async () => [first],
  getMigrationName: migration => migration.name,
  getMigration: async migration => migration,
};
