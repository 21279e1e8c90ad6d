// A Keycloak as far as Microcks looks at it: npm's oidc-provider with client credentials, whose access tokens are JWTs with the roles of
// `microcks-app`. PUT /control sets {roles, refuse}: the roles of further tokens, and whether the client is refused. Prints each token
// that is given.
import { Provider } from 'oidc-provider';

const [port, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const control = { roles: ['user', 'manager'] };

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'sync', client_secret: secret, grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:microcks',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: '', audience: 'microcks', accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: () => ({ resource_access: { 'microcks-app': { roles: control.roles } } }),
});
provider.on('client_credentials.issued', () => console.log(`given ${control.roles.join(',')}`));
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
