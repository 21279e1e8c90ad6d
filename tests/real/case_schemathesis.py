"""schemathesis over the API's OpenAPI document against a running `tideline run`: no 5xx, no status and no body that is not documented."""

import os
import re
import subprocess

from real import ROOT, ask, check, pip, say, tideline

CONFIG = """
hooks: [{ name: open, provider: openchoreo, insecure: true }]
sources:
  - { name: pushed, type: push }
  - { name: files, type: files, path: . }
"""
TOKEN = "for-this-test-only-0123456789"
EXAMPLES = os.environ.get("TIDELINE_REAL_EXAMPLES", "20")


def main():
    program = pip("schemathesis", ["schemathesis==4.32.5"]) / "schemathesis"
    # An administrator: without any token, the first one that it makes would shut it out.
    with tideline(CONFIG, {"TIDELINE_API_TOKEN": TOKEN}) as to:
        admin = {"authorization": f"Bearer {TOKEN}"}
        for at in range(20):
            body = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": f"c{at}"}}
            ask("PUT", f"{to.url}/v1/sources/pushed/entities", {"upserts": [{"body": body}]}, admin)
        ask("PUT", f"{to.url}/v1/subscriptions/sub", {"topics": ["open"], "from": "beginning"}, admin)
        ask("POST", f"{to.url}/hooks/open", {"kind": "Component", "name": "a", "action": "created"})
        command = [
            program, "run", to.document(), "--url", to.url,
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--header", f"Authorization: Bearer {TOKEN}",
            "--max-examples", EXAMPLES, "--seed", "1", "--no-color", "--continue-on-failure",
            # Waits up to 30 s, as it says.
            "--request-timeout", "45",
        ]
        done = subprocess.run([str(word) for word in command], cwd=to.path, capture_output=True, text=True)
        (ROOT / "target" / "real" / "schemathesis.txt").write_text(done.stdout + done.stderr)
        for line in done.stdout.splitlines():
            if re.search(r"(Operations|Test cases|generated|Selected|Tested|passed|failures)", line):
                say(line.strip())
        to.process.check_runs()
        check("no panic is in the log", "panicked" not in to.process.text())
        check("nothing undocumented was answered (all of it: target/real/schemathesis.txt)", done.returncode == 0)


if __name__ == "__main__":
    main()
