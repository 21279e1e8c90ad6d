"""The preset `openchoreo` against OpenChoreo's own OpenAPI document, served by Prism: the paths, parameters and shapes are theirs."""

import os
import re
import subprocess
from pathlib import Path

from real import ROOT, Process, binary, check, folder, free_port, node, npm, say, skip, until

DOCUMENT = Path(os.environ.get("TIDELINE_REAL_OPENCHOREO", ROOT.parent / "shared" / "data" / "openchoreo" / "openchoreo-api.yaml"))


def main():
    if not DOCUMENT.is_file():
        skip("OpenChoreo's openapi/openchoreo-api.yaml is not there: name it by TIDELINE_REAL_OPENCHOREO")
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
            (path / "tideline.yaml").write_text(f"""
store: sqlite://tideline.db
sources:
  - name: platform
    type: openchoreo
    base_url: http://127.0.0.1:{port}
    auth: {{ bearer: not-checked }}
    burst: {{ length: 5s, interval: 1s }}
""")
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


if __name__ == "__main__":
    main()
