"""Every example payload of @octokit/webhooks-examples, signed by @octokit/webhooks, into /hooks/github."""

import json
import os
import subprocess

from real import HERE, check, node, npm, say, tideline

SECRET = "it's a secret to everybody"


def main():
    packages = npm("github", ["@octokit/webhooks@14.2.0", "@octokit/webhooks-examples@7.6.1"])
    # Modules are looked for beside the script.
    script = packages / "send_github.mjs"
    script.write_text((HERE / "js" / "send_github.mjs").read_text())
    config = 'hooks: [{ name: github, provider: github, secret: "${SECRET}" }]\nsources: []\n'
    with tideline(config, {"SECRET": SECRET}) as to:
        def send():
            command = [node(packages), script, f"{to.url}/hooks/github", SECRET]
            done = subprocess.run(command, capture_output=True, text=True, cwd=packages, env=os.environ)
            check("the payloads are sent", done.returncode == 0, done.stderr)
            return [json.loads(line) for line in done.stdout.splitlines()]

        sent = send()
        kinds = {one["event"] for one in sent}
        say(f"{len(sent)} payloads of {len(kinds)} events, {max(one['bytes'] for one in sent):,} bytes at most")
        refused = [one for one in sent if one["status"] != 202]
        check("each payload with the library's signature is accepted", not refused, refused[:3])
        wrong = [one["wrong"] for one in sent if "wrong" in one]
        check(f"{len(wrong)} signatures over another body are answered 401", set(wrong) == {401}, wrong)

        events = [event for event in to.events() if event["topic"].startswith("github.")]
        check("each delivery is in the log once", len(events) == len(sent), f"{len(events)} of {len(sent)}")
        topics = {event["topic"].split(".")[1] for event in events}
        check("each event has its topic", topics == {kind.replace("-", "_") for kind in kinds}, topics ^ kinds)
        verdicts = {event.get("verdict") for event in events}
        check("each is stored as verified", verdicts == {"verified"}, verdicts)

        again = send()
        check("sent again, all are accepted", all(one["status"] == 202 for one in again))
        after = [event for event in to.events() if event["topic"].startswith("github.")]
        check("and the log has none twice", len(after) == len(events), f"{len(after)} instead of {len(events)}")

        log = (to.path / "tideline.log").read_text()
        check("no secret and no panic is in the log", SECRET not in log and "panicked" not in log)


if __name__ == "__main__":
    main()
