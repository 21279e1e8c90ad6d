// What both providers have in common. Each request is printed; PUT /control changes `control`.
import { Provider } from 'oidc-provider';

export function start(port, control, configuration) {
  const provider = new Provider(`http://127.0.0.1:${port}`, configuration);
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
  return provider;
}
