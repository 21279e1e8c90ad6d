"""integrations/backstage in a real Backstage backend on Postgres, in two parts.

`served`: what Backstage's API answers, its own processing and stitching included: same set, lag, removals, restarts.
`bulk`: many entities, processing switched off (`catalog.processingInterval: false`), compared with the table that providers
write: first fill with a kill in the middle, removals, restarts of both sides, a wiped catalog.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

from real import ROOT, Process, ask, check, folder, free_port, node, postgres, say, skip, tideline, until

BULK = int(os.environ.get("TIDELINE_REAL_ENTITIES", "50000"))
SERVED = int(os.environ.get("TIDELINE_REAL_SERVED", "1000"))
MODULE = ROOT / "integrations" / "backstage"
TOKEN = "only-for-this-test"
#: What the log says at the end of a reading from the beginning.
READ = "from its beginning to its end"


def entity(at, title=None):
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": f"component-{at}", "namespace": f"team-{at % 50}", "title": title or f"Component {at}"},
        "spec": {"type": "service", "lifecycle": "production", "owner": "group:default/owners"},
    }


def reference(at):
    return f"component:team-{at % 50}/component-{at}"


def build():
    """The module and the backend of its folder `dev`, with the versions of its lock file."""
    if not shutil.which("npm"):
        skip("npm is not installed (Debian: apt-get install npm)")
    if not (MODULE / "node_modules" / ".bin" / "tsc").exists():
        installed = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=MODULE, capture_output=True, text=True)
        if installed.returncode != 0:
            skip(f"npm cannot install Backstage: {installed.stderr.strip().splitlines()[-1:]}")
    compiled = subprocess.run([node(MODULE), "node_modules/typescript/bin/tsc"], cwd=MODULE, capture_output=True, text=True)
    check("the module compiles", compiled.returncode == 0, compiled.stdout)


def check_line(line, wanted):
    assert line.strip() == wanted, f"the looking program said {line!r}"


class Backend:
    """A Backstage with nothing but the catalog and the module; `prefix` names its databases."""

    program = "build/dev/index.js"

    def __init__(self, path, database, source, prefix, processing):
        self.path, self.database, self.name = path, database, f"{prefix}catalog"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        connection = {"host": "127.0.0.1", "port": database, "user": "postgres"}
        self.config = path / f"{prefix}app-config.json"
        self.config.write_text(json.dumps({
            "app": {"title": "test", "baseUrl": self.url},
            "backend": {
                "baseUrl": self.url,
                "listen": {"host": "127.0.0.1", "port": self.port},
                "database": {"client": "pg", "prefix": prefix, "connection": connection},
                "auth": {"externalAccess": [{"type": "static", "options": {"token": TOKEN, "subject": "test"}}]},
            },
            "catalog": {"rules": [{"allow": ["Component"]}], "processingInterval": processing},
            "tideline": {"url": source},
        }))
        self.log = path / f"{prefix}backstage.log"

    def start(self):
        env = {"NODE_ENV": "development", "LOG_LEVEL": "info"}
        self.process = Process([node(MODULE), self.program, "--config", self.config], self.log, MODULE, env)

        def ready():
            self.process.check_runs()
            return ask("GET", self.url + "/.backstage/health/v1/readiness").status == 200

        until("Backstage is ready", ready, 300, 0.5)
        return self

    def end(self, how=signal.SIGTERM):
        self.process.end(how)

    def ask(self, path):
        answer = ask("GET", f"{self.url}/api/catalog{path}", headers={"authorization": f"Bearer {TOKEN}"}, seconds=120)
        return answer.json() if answer.status == 200 else {}

    def title(self, at):
        found = self.ask(f"/entities/by-name/component/team-{at % 50}/component-{at}")
        return found.get("metadata", {}).get("title")

    def served(self):
        """Title by reference, of all that the API answers."""
        found, cursor = {}, None
        while True:
            more = f"cursor={cursor}" if cursor else "fields=kind,metadata.name,metadata.namespace,metadata.title"
            page = self.ask(f"/entities/by-query?limit=1000&{more}")
            for item in page.get("items", []):
                metadata = item["metadata"]
                found[f"{item['kind'].lower()}:{metadata['namespace']}/{metadata['name']}"] = metadata.get("title")
            cursor = page.get("pageInfo", {}).get("nextCursor")
            if not cursor:
                return found

    def sql(self, text):
        """Rows of a statement in the catalog's database."""
        script = """
            const { Client } = require('pg');
            const client = new Client({ host: '127.0.0.1', port: +process.argv[1], user: 'postgres', database: process.argv[2] });
            client.connect()
              .then(() => client.query(process.argv[3]))
              .then(result => { process.stdout.write(JSON.stringify(result.rows)); return client.end(); });
        """
        command = [node(MODULE), "-e", script, str(self.database), self.name, text]
        done = subprocess.run(command, cwd=MODULE, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else []

    @contextlib.contextmanager
    def watch(self, text):
        """Asks again and again from now on; the block gets a function that returns when there are rows."""
        script = """
            const { Client } = require('pg');
            const client = new Client({ host: '127.0.0.1', port: +process.argv[1], user: 'postgres', database: process.argv[2] });
            const look = async () => (await client.query(process.argv[3])).rows.length > 0;
            client.connect().then(look).then(async found => {
              console.log('looking');
              while (!found) { await new Promise(resolve => setTimeout(resolve, 20)); found = await look(); }
              console.log('there');
              await client.end();
            });
        """
        command = [node(MODULE), "-e", script, str(self.database), self.name, text]
        with subprocess.Popen(command, cwd=MODULE, stdout=subprocess.PIPE, text=True) as looking:
            try:
                check_line(looking.stdout.readline(), "looking")
                yield lambda: check_line(looking.stdout.readline(), "there")
            finally:
                looking.kill()

    def given(self):
        """Title by reference, of all that providers gave to the catalog."""
        rows = self.sql("SELECT entity_ref, unprocessed_entity::json #>> '{metadata,title}' AS title FROM refresh_state")
        return {row["entity_ref"]: row["title"] for row in rows}

    def count(self):
        rows = self.sql("SELECT count(*)::int AS count FROM refresh_state")
        return rows[0]["count"] if rows else 0

    def readings(self):
        return self.process.text().count(READ)


class Source:
    """What the push source has, and should be in the catalog."""

    def __init__(self, to):
        self.to, self.titles = to, {}

    def push(self, upserts=(), removals=()):
        upserts, removals = list(upserts), list(removals)
        requests = [{"upserts": [{"body": one} for one in upserts[at:at + 1000]]} for at in range(0, len(upserts), 1000)]
        requests += [{"removals": [{"ref": reference(one)} for one in removals[at:at + 1000]]} for at in range(0, len(removals), 1000)]
        for body in requests:
            answer = ask("PUT", f"{self.to.url}/v1/sources/catalog/entities", body)
            assert answer.status == 200, answer.body
        for one in upserts:
            metadata = one["metadata"]
            self.titles[f"component:{metadata['namespace']}/{metadata['name']}"] = metadata.get("title")
        for one in removals:
            del self.titles[reference(one)]


def same(source, look, what, seconds=900):
    began = time.monotonic()
    until(f"{what}: the same {len(source.titles)} entities", lambda: look() == source.titles, seconds, 1)
    check(f"{what}: the same {len(source.titles):,} entities, after {time.monotonic() - began:.0f} s", True)


def served(path, database, feed, source):
    source.push(entity(at) for at in range(SERVED))
    backend = Backend(path, database, feed.url, "served_", {"hours": 6}).start()
    try:
        same(source, backend.served, "served: first fill")
        worst = 0
        for at in range(10):
            source.push([entity(at, f"changed {at}")])
            began = time.monotonic()
            until("a change is served", lambda: backend.title(at) == f"changed {at}", 120, 0.05)
            worst = max(worst, time.monotonic() - began)
        say(f"served: a change is in Backstage's API after {worst:.1f} s at worst of 10")
        source.push([entity(at, "again") for at in range(100, 150)], range(SERVED - 100, SERVED))
        same(source, backend.served, "served: 50 changes and 100 removals")
        backend.end(signal.SIGKILL)
        source.push([entity(at, "while Backstage was killed") for at in range(50)], range(SERVED - 150, SERVED - 100))
        backend.start()
        same(source, backend.served, "served: Backstage killed, and started again after more changes")
    finally:
        backend.end()


def bulk(path, database, feed, source):
    source.push(entity(at) for at in range(SERVED, BULK))
    source.push(entity(at) for at in range(SERVED) if reference(at) not in source.titles)
    backend = Backend(path, database, feed.url, "bulk_", False).start()
    try:
        began = time.monotonic()
        until("some are given to the catalog", lambda: backend.count() > BULK // 5, 900, 0.5)
        backend.end(signal.SIGKILL)
        say(f"bulk: Backstage is killed with {backend.count():,} entities in the catalog")
        backend.start()
        until("the feed is read", backend.readings, 1800, 0.5)
        taken = time.monotonic() - began
        same(source, backend.given, "bulk: first fill with a kill in the middle")
        say(f"bulk: {len(source.titles):,} entities in {taken:.0f} s ({len(source.titles) / taken:,.0f}/s), the restart included")

        worst = 0
        for at in range(20):
            title = f"measured {at}"
            with backend.watch(f"SELECT 1 FROM refresh_state WHERE entity_ref = '{reference(at)}' AND unprocessed_entity LIKE '%{title}\"%'") as seen:
                source.push([entity(at, title)])
                pushed = time.monotonic()
                seen()
                worst = max(worst, time.monotonic() - pushed)
        say(f"bulk: a change is given to the catalog {worst:.2f} s after the push was answered, at worst of 20")

        source.push([entity(at, "again") for at in range(1000, 2000)], range(BULK // 2, BULK // 2 + BULK // 10))
        same(source, backend.given, f"bulk: 1,000 changes and {BULK // 10:,} removals")

        feed.end(signal.SIGKILL)
        until("the loss is said", lambda: "cannot be followed" in backend.process.text(), 60)
        feed.start()
        source.push([entity(at, "after Tideline was killed") for at in range(500)], range(BULK - 500, BULK))
        same(source, backend.given, "bulk: Tideline killed and started again")
        check("bulk: nothing was read from the beginning again", backend.readings() == 1)

        # An operator empties the catalog's table behind its back.
        backend.end()
        backend.sql("DELETE FROM refresh_state")
        check("bulk: the catalog is wiped", backend.count() == 0)
        backend.start()
        same(source, backend.given, "bulk: a wiped catalog is filled again", 1800)
    finally:
        backend.end()


def main():
    build()
    with folder() as path, postgres() as database, tideline("sources: [{ name: catalog, type: push }]\n") as feed:
        source = Source(feed)
        served(path, database, feed, source)
        bulk(path, database, feed, source)
        check("no panic is in Tideline's log", "panicked" not in feed.process.text())


if __name__ == "__main__":
    main()
