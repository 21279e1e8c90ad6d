"""People sign in to the dashboard at npm's `oidc-provider`, with its own pages to log in and to agree: authorization code with PKCE, an
ID token signed with RSA, groups in the ID token and in userinfo, somebody without a role, a wrong client secret, and a provider that is
away."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request

from real import Process, Tideline, ask, check, folder, free_port, node, npm, scripts, until

SECRET = "a secret: with/characters+that%are encoded"


class Browser:
    """Cookies and redirects, as far as signing in needs them."""

    def __init__(self):
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def open(self, url, form=None):
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(url, data, {"sec-fetch-site": "same-origin"})
        try:
            answer = self.opener.open(request, timeout=30)
        except urllib.error.HTTPError as refused:
            answer = refused
        return answer.status, answer.geturl(), answer.read().decode()

    def sign_in(self, url, name):
        """Follows the button, logs in, agrees; the last page."""
        status, at, page = self.open(f"{url}/sign-in/provider?next=/jobs")
        for _ in range(3):
            action = re.search(r'<form[^>]*action="([^"]+)"', page)
            if status != 200 or not action or at.startswith(url):
                break
            prompt = re.search(r'name="prompt" value="(\w+)"', page).group(1)
            form = {"prompt": prompt, **({"login": name, "password": "x"} if prompt == "login" else {})}
            status, at, page = self.open(urllib.parse.urljoin(at, action.group(1)), form)
        return status, at, page


def config(issuer):
    return lambda url: f"""
public_url: {url}
dashboard:
  oidc:
    name: The provider
    issuer: {issuer}
    client_id: tideline
    client_secret: ${{SECRET}}
    roles: {{ admin: [platform], read: [everybody] }}
"""


def main():
    packages = npm("oidc", ["oidc-provider@9.13.3", "jose@6.2.18", "yaml@2.9.1"])
    scripts(packages, "provider.mjs", "sign_in.mjs")
    for claims in ("id_token", "userinfo"):
        with folder() as path:
            port = free_port()
            issuer = f"http://127.0.0.1:{port}"
            to = Tideline(path, config(issuer), {"SECRET": SECRET})
            words = [node(packages), "sign_in.mjs", port, SECRET, f"{to.url}/sign-in/callback", claims]
            provider = Process(words, path / "provider.log", packages)
            try:
                until("the provider listens", lambda: "listens" in provider.text())
                to.start()
                sign_in(to, issuer, provider, claims)
            finally:
                to.end()
                provider.end()
    with folder() as path:
        wrong(path, packages)


def sign_in(to, issuer, provider, claims):
    ask("PUT", f"{issuer}/control", {"groups": {"ana": ["cooks", "platform"], "bob": ["everybody"], "eve": ["guests"]}})
    ana = Browser()
    status, at, page = ana.sign_in(to.url, "ana")
    check(f"{claims}: ana is led back to where she was going", status == 200 and "url=/jobs" in page, f"{status} {at} {page[:500]}")
    status, _, page = ana.open(to.url + "/")
    check("she is there by her name, with the role of her group", "ANA · admin" in page, page[:500])
    asked = "GET /me" in provider.text()
    check("userinfo is asked only if the ID token has no groups", asked == (claims == "userinfo"), provider.text())
    check("the key was read once", provider.text().count("GET /jwks") == 1, provider.text())
    record = to.get("/v1/audit")["items"][0]
    check("the audit log has who that was", (record["act"], record["actor"], record["target"]) == ("sessions.sign_in", "ANA", "ana"), record)
    bob = Browser()
    bob.sign_in(to.url, "bob")
    check("bob only looks", "BOB · read" in bob.open(to.url + "/")[2])
    eve = Browser()
    status, _, page = eve.sign_in(to.url, "eve")
    check("eve has no role, and is told so", status == 403 and "none of your groups has a role here" in page, f"{status} {page[:500]}")
    check("she stays outside", "/sign-in" in eve.open(to.url + "/")[1])
    status, at, _ = ana.open(to.url + "/sign-out", {})
    check("ana signs out", "/sign-in" in at and "/sign-in" in ana.open(to.url + "/")[1], at)


def wrong(path, packages):
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    to = Tideline(path, config(issuer), {"SECRET": "not-the-secret-4711"})
    to.start()
    provider = None
    try:
        status, _, page = Browser().open(to.url + "/sign-in/provider")
        check("while the provider is away that is said", status == 503 and "The provider cannot be reached" in page, page[:500])
        words = [node(packages), "sign_in.mjs", port, SECRET, f"{to.url}/sign-in/callback", "id_token"]
        provider = Process(words, path / "provider.log", packages)
        until("the provider listens", lambda: "listens" in provider.text())
        until("Tideline finds it again", lambda: "interaction" in Browser().open(to.url + "/sign-in/provider")[1])
        status, _, page = Browser().sign_in(to.url, "ana")
        check("a wrong client secret is named", status == 401 and "refused the sign-in" in page and "client" in page, page[:800])
        check("the secret is in no log", "4711" not in to.process.text() + page and "panicked" not in to.process.text())
    finally:
        to.end()
        if provider:
            provider.end()


if __name__ == "__main__":
    main()
