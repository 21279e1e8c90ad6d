"""datasette over the Debian package list as an `http` source, by the configuration of examples/datasette."""

import os
import sqlite3
import subprocess
import sys

from real import ROOT, Process, ask, binary, check, folder, free_port, pip, say, until

EXAMPLE = ROOT / "examples" / "datasette"
PACKAGES = int(os.environ.get("TIDELINE_REAL_PACKAGES", "20000"))


def packages(path):
    """The packages of this machine, or made ones where there is no apt."""
    database = path / "debian.db"
    done = subprocess.run([sys.executable, EXAMPLE / "load_packages.py", database], capture_output=True, text=True)
    client = sqlite3.connect(database)
    count = client.execute("SELECT count(*) FROM packages").fetchone()[0] if done.returncode == 0 else 0
    if count == 0:
        client.execute("""CREATE TABLE IF NOT EXISTS packages (package TEXT PRIMARY KEY, version TEXT, architecture TEXT, section TEXT,
            installed_size INTEGER, sha256 TEXT)""")
        rows = [(f"package-{at:06}", "1.0", "amd64", f"section-{at % 7}", at, f"{at:064x}") for at in range(PACKAGES)]
        client.executemany("INSERT INTO packages VALUES (?, ?, ?, ?, ?, ?)", rows)
        say("there is no package list on this machine; the packages are made")
    client.execute("DELETE FROM packages WHERE rowid NOT IN (SELECT rowid FROM packages ORDER BY package LIMIT ?)", (PACKAGES,))
    client.commit()
    return client


def main():
    tools = pip("datasette", ["datasette==0.65.5"])
    with folder() as path:
        database = packages(path)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        server = Process([tools / "datasette", "serve", path / "debian.db", "-p", port], path / "datasette.log", path)
        try:
            until("datasette answers", lambda: ask("GET", url + "/-/versions.json").status == 200)
            (path / "tideline.yaml").write_text((EXAMPLE / "tideline.yaml").read_text())
            environment = {**os.environ, "DATASETTE_URL": url}

            def cycle():
                command = [binary(), "run", "--once"]
                done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True)
                check("a cycle completes", done.returncode == 0, done.stderr[-2000:])
                compare = [sys.executable, EXAMPLE / "check_counts.py", path / "debian.db", path / "tideline.db"]
                compared = subprocess.run(compare, capture_output=True, text=True)
                for line in compared.stdout.splitlines():
                    say(line)
                check("catalog and source are the same by SQL", compared.returncode == 0, compared.stdout + compared.stderr)

            cycle()
            database.execute("UPDATE packages SET version = version || '+changed' WHERE package LIKE 'lib%-dev'")
            database.execute("DELETE FROM packages WHERE rowid % 50 = 0")
            database.execute("INSERT INTO packages (package, version, architecture) VALUES ('tideline', '0.1.0', 'amd64')")
            database.commit()
            say("changed some, deleted one of 50 and added one; next_url is no stable cursor, so a removal is confirmed by a second cycle")
            subprocess.run([binary(), "run", "--once"], cwd=path, env=environment, capture_output=True)
            cycle()
        finally:
            server.end()


if __name__ == "__main__":
    main()
