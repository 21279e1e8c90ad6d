"""The preset `openchoreo` against OpenChoreo's own OpenAPI document by Prism: first answered by Prism itself from the examples of the
document, then by the fake of the tests with Prism between them."""

import os
import re
import subprocess
from pathlib import Path

from real import ROOT, Process, binary, check, export, fake, folder, free_port, node, npm, prism_proxy, say, skip, until

DOCUMENT = Path(os.environ.get("TIDELINE_REAL_OPENCHOREO", ROOT.parent / "shared" / "data" / "openchoreo" / "openchoreo-api.yaml"))


TOKEN = "openchoreo-test-token"


def source(url, token):
    return f"""
  - name: platform
    type: openchoreo
    base_url: {url}
    auth: {{ bearer: {token} }}
    burst: {{ length: 5s, interval: 1s }}
"""


def proxied():
    """The fake keeps to the document, and so does Tideline while it reads everything there is."""
    with folder() as path, fake("openchoreo", path) as upstream, prism_proxy(DOCUMENT, upstream, path) as url:
        direct = export(path / "direct", source(upstream, TOKEN))
        checked = export(path / "checked", source(url, TOKEN))
        kinds = sorted({entity["kind"] for entity in direct})
        check(f"there are {len(direct)} entities of {len(kinds)} kinds", {"API", "Component", "Domain", "System"} <= set(kinds), kinds)
        names = [[(entity["kind"], entity["metadata"]["name"]) for entity in found] for found in (direct, checked)]
        check("through Prism they are the same", names[0] == names[1], (len(direct), len(checked)))


def mocked():
    packages = npm("prism", ["@stoplight/prism-cli@5.14.2"])
    port = free_port()
    with folder() as path:
        prism = packages / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
        command = [node(packages), prism, "mock", "--host", "127.0.0.1", "--port", port, "--errors", DOCUMENT]
        server = Process(command, path / "prism.log", path)
        try:
            def listens():
                server.check_runs()
                return "Prism is listening" in server.text()

            until("Prism listens", listens, 120)
            config = source(f"http://127.0.0.1:{port}", "not-checked")
            (path / "tideline.yaml").write_text(f"store: sqlite://tideline.db\nsources:{config}")
            done = subprocess.run([binary(), "try", "platform", "--json"], cwd=path, capture_output=True, text=True, timeout=120)
            check("`tideline try` reads the first page", done.returncode == 0, (done.stdout + done.stderr)[-2000:])
            # Prism answers every request with the same examples, so lists have no end and names repeat. What counts is that each
            # request is one that OpenChoreo's document allows, and each answer is understood.
            limits = [binary(), "run", "--once", "--timeout", "60"]
            done = subprocess.run(limits, cwd=path, capture_output=True, text=True, timeout=180)
            lines = server.text().splitlines()
            asked = {match.group(1) for line in lines if (match := re.search(r"(?:get|post) (/\S*) .*Request received", line))}
            kinds = sorted({path.split("/")[-1] for path in asked})
            say(f"a cycle asked for {len(asked)} addresses: {', '.join(kinds)}")
            check("the lists of the namespaces were asked for", len(kinds) > 5, "\n".join(lines[-20:]) + done.stderr[-2000:])
            broken = [line for line in lines if "Violation: request" in line or "Route not resolved" in line]
            check("no request breaks OpenChoreo's contract", not broken, broken[:5])
            errors = [line for line in (done.stdout + done.stderr).splitlines() if "malformed" in line.lower() or "expression" in line]
            check("no answer was misunderstood", not errors, errors[:5])
        finally:
            server.end()


def main():
    if not DOCUMENT.is_file():
        skip("OpenChoreo's openapi/openchoreo-api.yaml is not there: name it by TIDELINE_REAL_OPENCHOREO")
    mocked()
    proxied()


if __name__ == "__main__":
    main()
