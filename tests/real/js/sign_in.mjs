// npm's oidc-provider with its own pages to log in: whoever logs in as NAME is in the groups of PUT /control {groups: {NAME: [...]}}.
// CLAIMS: `id_token`, or `userinfo` as the specification has it.
import { start } from './provider.mjs';

const [port, secret, redirect, claims] = process.argv.slice(2);
const control = { groups: {} };

start(port, control, {
  clients: [{
    client_id: 'tideline', client_secret: secret, grant_types: ['authorization_code'], response_types: ['code'], redirect_uris: [redirect],
  }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
  conformIdTokenClaims: claims === 'userinfo',
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id.toUpperCase(), groups: control.groups[id] }),
  }),
});
