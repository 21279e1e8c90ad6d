// A Keycloak as far as Microcks looks at it: npm's oidc-provider with client credentials, whose access tokens are JWTs with the roles of
// `microcks-app`. PUT /control {roles: [...]}: those of further tokens. Prints each token that is given.
import { start } from './provider.mjs';

const [port, secret] = process.argv.slice(2);
const control = { roles: ['user', 'manager'] };

const provider = start(port, control, {
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
