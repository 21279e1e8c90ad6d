// npm's oidc-provider with its own pages to log in: whoever logs in as NAME is in the groups of PUT /control {groups: {NAME: [...]}}.
// Prints each request. CLAIMS: `id_token`, or `userinfo` as the specification has it.
import { Provider } from 'oidc-provider';

const [port, secret, redirect, claims] = process.argv.slice(2);
const control = { groups: {} };

const provider = new Provider(`http://127.0.0.1:${port}`, {
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
provider.on('grant.error', (_, error) => console.log(`refused ${error.error}`));
provider.use(async (ctx, next) => {
  console.log(`${ctx.method} ${ctx.path}`);
  if (ctx.path !== '/control') return next();
  const chunks = [];
  for await (const chunk of ctx.req) chunks.push(chunk);
  Object.assign(control, JSON.parse(Buffer.concat(chunks).toString()));
  ctx.status = 204;
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listens'));
