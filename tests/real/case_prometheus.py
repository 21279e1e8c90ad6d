"""Prometheus itself on a running Tideline: it loads the alert rules, scrapes the page, and answers every query of the boards."""

import json
import re
import shutil
import subprocess
import urllib.parse

from real import ROOT, Process, ask, check, free_port, say, skip, tideline, until

CONFIG = """
hooks: [{ name: open, provider: openchoreo, insecure: true }]
sources:
  - { name: pushed, type: push }
  - { name: files, type: files, path: things, rest: 1s }
"""


def expressions():
    for board in sorted((ROOT / "deploy" / "grafana" / "boards").glob("*.json")):
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "1m")
                yield f"{board.stem}: {panel['title']}", re.sub(r"\$(source|kind|hook)\b", ".*", text)


def main():
    prometheus, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if not prometheus or not promtool:
        skip("Prometheus is not installed (Debian: apt-get install prometheus)")
    rules = ROOT / "deploy" / "prometheus" / "alerts.yaml"
    done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True)
    check("promtool accepts the alert rules", done.returncode == 0, done.stdout + done.stderr)
    with tideline(CONFIG) as to:
        (to.path / "things").mkdir(exist_ok=True)
        (to.path / "things" / "a.yaml").write_text("kind: Thing\nmetadata: { name: a }\n")
        ask("PUT", f"{to.url}/v1/subscriptions/slow", {"topics": ["open*"], "from": "beginning"})
        ask("POST", f"{to.url}/v1/sources/files/refresh", headers={"content-length": "0"})
        for at in range(5):
            ask("POST", f"{to.url}/hooks/open", {"kind": "Component", "name": f"c{at}", "action": "created"})
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        (to.path / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "tideline-producer", "static_configs": [{"targets": [f"127.0.0.1:{to.port}"]}]}],
        }))
        command = [prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
        server = Process(command, to.path / "prometheus.log", to.path)

        def query(text):
            answer = ask("GET", f"{url}/api/v1/query?{urllib.parse.urlencode({'query': text})}")
            return answer.json()

        try:
            up = lambda: query("up == 1")["data"]["result"] and query("tideline_cycles_total")["data"]["result"]
            until("Prometheus has scraped Tideline twice", lambda: up() and query("count_over_time(up[1m]) > 3")["data"]["result"])
            empty, count = [], 0
            for name, text in expressions():
                answer = query(text)
                check(f"Prometheus answers {name}", answer["status"] == "success", answer) if answer["status"] != "success" else None
                count += 1
                if not answer["data"]["result"]:
                    empty.append(name)
            check(f"all {count} queries of the boards are valid", True)
            say(f"{count - len(empty)} of them show something; nothing happened yet for: {'; '.join(empty) or 'none'}")
            groups = ask("GET", f"{url}/api/v1/rules").json()["data"]["groups"]
            states = {rule["name"]: (rule["health"], rule["state"]) for group in groups for rule in group["rules"]}
            check(f"all {len(states)} rules are evaluated", all(health == "ok" for health, _ in states.values()), states)
            quiet = {name: state for name, (_, state) in states.items() if state != "inactive"}
            check("none fires while all is well", not quiet, quiet)
        finally:
            server.end()


if __name__ == "__main__":
    main()
