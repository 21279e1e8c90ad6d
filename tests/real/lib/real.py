"""What the cases share: programs from registries, a running Tideline, HTTP, and checks that say what they checked.

Nothing but Python's standard library. Everything that is installed or written goes below target/real.
"""

import contextlib
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT / "tests" / "real"
WORK = ROOT / "target" / "real"
#: Exit code of a case whose program cannot be installed.
SKIPPED = 77
#: Of what is installed.
NODE_VERSION = "22.23.3"


def say(text):
    print(f"  {text}", flush=True)


def check(text, holds, otherwise=""):
    """Says that `text` holds, or ends the case."""
    if not holds:
        print(f"  NOT: {text}. {otherwise}", flush=True)
        sys.exit(1)
    say(f"ok: {text}")


def skip(why):
    print(f"  skipped: {why}", flush=True)
    sys.exit(SKIPPED)


def until(what, look, seconds=60, pause=0.1):
    """The first true answer of `look`, within so many seconds."""
    deadline = time.monotonic() + seconds
    error = None
    while time.monotonic() < deadline:
        try:
            found = look()
            if found:
                return found
            error = None
        except (OSError, AssertionError, KeyError) as failed:
            error = failed
        time.sleep(pause)
    print(f"  NOT within {seconds} s: {what} {error or ''}", flush=True)
    sys.exit(1)


# --- programs ---------------------------------------------------------------------------------------------------------------


def npm(name, packages):
    """A folder with these npm packages, each `name@version`, and with Node 22 as `node_modules/.bin/node`."""
    if not shutil.which("npm"):
        skip("npm is not installed (Debian: apt-get install npm)")
    folder = WORK / "npm" / name
    wanted = json.dumps([f"node@{NODE_VERSION}", *packages])
    done = folder / "installed.json"
    if not done.is_file() or done.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True, "allowScripts": {"node": True}}))
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", *json.loads(wanted)]
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if installed.returncode != 0:
            skip(f"npm cannot install {', '.join(packages)}: {installed.stderr.strip().splitlines()[-1:]}")
        done.write_text(wanted)
    return folder


def scripts(folder, *names):
    """Copies scripts of `js` beside the packages that they need: modules are found from where a script is."""
    for name in names:
        (folder / name).write_text((HERE / "js" / name).read_text())


def node(folder):
    """Node as `npm` installed it."""
    return str(folder / "node_modules" / ".bin" / "node")


def pip(name, packages):
    """The bin folder of a virtual environment with these packages, each `name==version`."""
    folder = WORK / "venv" / name
    done = folder / "installed.json"
    if not done.is_file() or done.read_text() != json.dumps(packages):
        made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
        if made.returncode != 0:
            skip("Python cannot make a virtual environment (Debian: apt-get install python3-venv)")
        command = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        installed = subprocess.run(command, capture_output=True, text=True)
        if installed.returncode != 0:
            skip(f"pip cannot install {', '.join(packages)}: {installed.stderr.strip().splitlines()[-1:]}")
        done.write_text(json.dumps(packages))
    return folder / "bin"


def binary():
    """The `tideline` program: TIDELINE_BIN, or the newest that was built here."""
    given = os.environ.get("TIDELINE_BIN")
    if given:
        return given
    built = [path for path in (ROOT / "target" / kind / "tideline" for kind in ("release", "debug")) if path.is_file()]
    if not built:
        skip("there is no tideline: run `make build`, or name one by TIDELINE_BIN")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def fakes():
    """The program that serves the fakes of APIs: TIDELINE_FAKES, or the newest that was built here."""
    given = os.environ.get("TIDELINE_FAKES")
    if given:
        return given
    built = [path for path in (ROOT / "target" / kind / "fakes" for kind in ("release", "debug")) if path.is_file()]
    if not built:
        skip("there is no program `fakes`: run `cargo build -p tideline-tests --bin fakes`, or name one by TIDELINE_FAKES")
    return str(max(built, key=lambda path: path.stat().st_mtime))


@contextlib.contextmanager
def fake(name, path):
    """A running fake, by its address. At its end, every exchange was as the provider's document has it."""
    log = path / f"{name}.log"
    with open(log, "ab") as output:
        process = subprocess.Popen([fakes(), name], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        until(f"the fake of {name} listens", lambda: "listening at " in log.read_text())
        yield log.read_text().split("listening at ")[1].split()[0]
        process.stdin.close()
        process.wait(20)
        said = log.read_text()
        check(f"every exchange with the fake of {name} is one of its document", process.returncode == 0, said[-3000:])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def prism_proxy(document, upstream, path):
    """Prism between a client and `upstream`, by its address; it logs what breaks the document."""
    packages = npm("prism", ["@stoplight/prism-cli@5.14.2"])
    port = free_port()
    program_file = packages / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    command = [node(packages), program_file, "proxy", "--host", "127.0.0.1", "--port", port, document, upstream]
    with program(command, path / "prism.log", path) as server:

        def listens():
            server.check_runs()
            return "Prism is listening" in server.text()

        until("Prism listens", listens, 180)
        yield f"http://127.0.0.1:{port}"
        broken = sorted({line.split("Violation: ")[1] for line in server.text().splitlines() if "Violation: " in line})
        check("Prism found no exchange that breaks the document", not broken, broken[:10])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="tideline-real-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


class Process:
    """A program that runs beside the case, with its output in a file."""

    def __init__(self, command, log, cwd, env=None, user=None):
        self.log = Path(log)
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                start_new_session=True,
            )

    def text(self):
        return self.log.read_text(errors="replace")

    def check_runs(self):
        if self.process.poll() is not None:
            print(f"  it ended with {self.process.returncode}:\n{self.text()[-3000:]}", flush=True)
            sys.exit(1)

    def end(self, how=signal.SIGTERM, seconds=40):
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@contextlib.contextmanager
def program(command, log, cwd, **more):
    process = Process(command, log, cwd, **more)
    try:
        yield process
    finally:
        process.end()


def export(path, source):
    """The bodies of what one cycle of a source brings into a catalog of its own, in the order of their references."""
    path.mkdir()
    (path / "tideline.yaml").write_text(f"store: sqlite://tideline.db\nsources:{source}")
    run = [binary(), "run", "--once", "--timeout", "120"]
    done = subprocess.run(run, cwd=path, capture_output=True, text=True, timeout=180)
    check(f"Tideline reads the source ({path.name})", done.returncode == 0, (done.stdout + done.stderr)[-2000:])
    done = subprocess.run([binary(), "export"], cwd=path, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- HTTP -------------------------------------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def ask(method, url, body=None, headers=None, seconds=60):
    """One request; a body that is no text is sent as JSON. Every status is an answer."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("content-type", "application/json")
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as refused:
        return Answer(refused.code, refused.headers, refused.read())


# --- servers ----------------------------------------------------------------------------------------------------------------


class Tideline:
    """`tideline run` on a SQLite file in `path`, with this configuration below store and listen; or with what a function makes of its URL."""

    def __init__(self, path, config, env=None):
        self.path, self.env, self.process = path, env, None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        head = f"store: sqlite://{path}/tideline.db\nlisten: 127.0.0.1:{self.port}\n"
        (path / "tideline.yaml").write_text(head + (config(self.url) if callable(config) else config))

    def start(self):
        self.process = Process([binary(), "run", "--config", "tideline.yaml"], self.path / "tideline.log", self.path, self.env)

        def ready():
            self.process.check_runs()
            return ask("GET", self.url + "/readyz").status == 200

        until("tideline is ready", ready)
        return self

    def end(self, how=signal.SIGTERM):
        self.process.end(how)

    def command(self, *words):
        """Output of a command of operators on the same store."""
        line = [binary(), *words, "--config", "tideline.yaml"]
        done = subprocess.run(line, cwd=self.path, capture_output=True, text=True, env={**os.environ, **(self.env or {})})
        return done.stdout + done.stderr

    def get(self, path):
        answer = ask("GET", self.url + path)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:300]}"
        return answer.json()

    def document(self):
        """A file with the OpenAPI document of this version (docs/openapi.json is the same, as a test checks)."""
        file = self.path / "openapi.json"
        file.write_bytes(ask("GET", self.url + "/openapi.json").body)
        return file

    def events(self):
        """All events that are kept."""
        items, token = [], None
        while True:
            more = f"&page_token={token}" if token else ""
            page = self.get(f"/v1/events?limit=1000{more}")
            items += page["items"]
            token = page.get("next_page_token")
            if not token:
                return items


@contextlib.contextmanager
def tideline(config, env=None):
    with folder() as path:
        running = Tideline(path, config, env).start()
        try:
            yield running
        finally:
            running.end()


@contextlib.contextmanager
def postgres():
    """A Postgres of its own; the port."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    search = os.pathsep.join([os.environ.get("PATH", ""), *folders])
    initdb, server = shutil.which("initdb", path=search), shutil.which("postgres", path=search)
    if not initdb or not server:
        skip("Postgres is not installed (Debian: apt-get install postgresql)")
    user = plain_user()
    with folder() as path:
        if user:
            os.chown(path, user.pw_uid, user.pw_gid)
        data, port = path / "data", free_port()
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "--auth", "trust", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, cwd=path, **owner,
        )
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=100"]
        words = [word for setting in settings for word in ("-c", setting)]
        log = WORK / f"postgres-{port}.log"
        with program([server, "-D", data, "-p", port, *words], log, path, user=user) as process:
            def listens():
                process.check_runs()
                with socket.create_connection(("127.0.0.1", port), 1):
                    return "ready to accept connections" in process.text()

            until("Postgres listens", listens)
            try:
                yield port
            finally:
                process.end(signal.SIGINT)
                log.unlink(missing_ok=True)


def plain_user():
    """Postgres refuses to run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return skip("Postgres refuses to run as root, and there is neither a user postgres nor nobody")


WORK.mkdir(parents=True, exist_ok=True)
# So that a case that is stopped from outside stops what it started.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
