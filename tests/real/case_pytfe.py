"""HashiCorp's Python client against the fake of HCP Terraform that the tests use: what `pytfe` sees is what Tideline reads."""

import json
import subprocess

from real import HERE, binary, check, fake, folder, pip

TOKEN = "tfc-token-0123456789"


def main():
    programs = pip("pytfe", ["pytfe==1.5.0"])
    with folder() as path, fake("terraform", path) as url:
        done = subprocess.run([programs / "python", HERE / "py" / "terraform.py", url, TOKEN], capture_output=True, text=True, timeout=120)
        check("the client reads workspaces and state versions", done.returncode == 0, done.stderr[-2000:])
        seen = json.loads(done.stdout)
        (path / "tideline.yaml").write_text(f"""
store: sqlite://tideline.db
sources:
  - name: infra
    type: terraform
    organization: acme
    base_url: {url}
    auth: {{ bearer: {TOKEN} }}
    burst: {{ interval: 0s }}
    max_requests_per_second: none
""")
        done = subprocess.run([binary(), "run", "--once", "--timeout", "120"], cwd=path, capture_output=True, text=True, timeout=180)
        check("Tideline reads the organization", done.returncode == 0, (done.stdout + done.stderr)[-2000:])
        done = subprocess.run([binary(), "export", "--kind", "System"], cwd=path, capture_output=True, text=True)
        entities = [json.loads(line) for line in done.stdout.splitlines()]
        found = {body["metadata"]["title"]: body["metadata"]["annotations"].get("terraform.io/serial") for body in entities}
        expected = {name: None if serial is None else str(serial) for name, serial in seen.items()}
        check(f"its {len(found)} workspaces have the serials that the client sees", found == expected, (found, expected))


if __name__ == "__main__":
    main()
