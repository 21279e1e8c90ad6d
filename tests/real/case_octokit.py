"""GitHub's own clients against the fake of GitHub that the tests use, with Prism before them: what `@octokit/rest` and
`@octokit/auth-app` see is what Tideline reads, and they do not break GitHub's document. Tideline itself reads files raw, which Prism
does not let through (octokit.mjs)."""

import json
import os
import subprocess
from pathlib import Path

from real import ROOT, binary, check, fake, folder, node, npm, prism_proxy, say, scripts, skip

DOCUMENT = Path(os.environ.get("TIDELINE_REAL_GITHUB", ROOT.parent / "shared" / "data" / "github" / "github-rest-cut-octokit-23.0.2.json"))
KEY = ROOT / "tests" / "src" / "fake" / "github" / "app-test-key.pem"
TOKEN = "ghp_test0123456789"


def main():
    if not DOCUMENT.is_file():
        skip("GitHub's OpenAPI document is not there: name it by TIDELINE_REAL_GITHUB")
    packages = npm("octokit", ["@octokit/rest@22.0.1", "@octokit/auth-app@8.3.1"])
    with folder() as path, fake("github", path) as upstream, prism_proxy(DOCUMENT, upstream, path) as url:
        scripts(packages, "octokit.mjs")
        command = [node(packages), "octokit.mjs", url, upstream, TOKEN, str(KEY)]
        done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=120)
        check("the clients read the repositories, a file, and by the App's token the same", done.returncode == 0, done.stderr[-2000:])
        seen = json.loads(done.stdout)
        check("by the token of the installation they see the same", seen["listed"] == seen["installed"], seen)
        (path / "tideline.yaml").write_text(f"""
store: sqlite://tideline.db
sources:
  - name: code
    type: github
    base_url: {upstream}
    installation: true
    archived: true
    forks: true
    auth: {{ github_app: {{ id: "12345", private_key_file: {KEY} }} }}
    burst: {{ interval: 0s }}
""")
        done = subprocess.run([binary(), "run", "--once", "--timeout", "120"], cwd=path, capture_output=True, text=True, timeout=180)
        check("Tideline reads the organization", done.returncode == 0, (done.stdout + done.stderr)[-2000:])
        done = subprocess.run([binary(), "export", "--kind", "Resource"], cwd=path, capture_output=True, text=True)
        names = sorted(json.loads(line)["metadata"]["name"] for line in done.stdout.splitlines())
        expected = sorted(f"github-{number}" for number in seen["listed"])
        check(f"its entities are the {len(expected)} repositories that the clients see", names == expected, (names, expected, done.stderr[-500:]))
        say(f"a catalog file has {seen['bytes']} bytes in both")


if __name__ == "__main__":
    main()
