// What GitHub's own clients see: `octokit.mjs URL DIRECT_URL TOKEN KEYFILE`, as JSON. Files are read at the direct address: as GitHub
// does, the server calls a raw file `application/vnd.github.raw+json`, which Prism takes for JSON.
import { readFileSync } from 'node:fs';
import { createAppAuth } from '@octokit/auth-app';
import { Octokit } from '@octokit/rest';

const [baseUrl, directUrl, token, keyFile] = process.argv.slice(2);
const versioned = octokit => {
  octokit.hook.before('request', options => {
    options.headers['x-github-api-version'] = '2022-11-28';
  });
  return octokit;
};
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };

const plain = versioned(new Octokit({ baseUrl, auth: token, log: quiet }));
const listed = (await plain.paginate(plain.rest.repos.listForOrg, { org: 'acme', per_page: 10 })).map(repository => repository.id);

const app = versioned(
  new Octokit({
    baseUrl,
    authStrategy: createAppAuth,
    auth: { appId: 12345, privateKey: readFileSync(keyFile, 'utf8'), installationId: 678 },
    log: quiet,
  }),
);
const installed = (await app.paginate(app.rest.apps.listReposAccessibleToInstallation, { per_page: 10 })).map(repository => repository.id);
const direct = versioned(new Octokit({ baseUrl: directUrl, auth: token, log: quiet }));
const file = await direct.rest.repos.getContent({ owner: 'acme', repo: 'repo-1', path: 'catalog-info.yaml', ref: 'main', mediaType: { format: 'raw' } });

console.log(JSON.stringify({ listed: listed.sort(), installed: installed.sort(), bytes: file.data.length }));
