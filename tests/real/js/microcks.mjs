// A Microcks that keeps its services in memory and refuses what Microcks refuses. It verifies tokens by the keys of their issuer (npm's
// jose) and looks at the roles of `microcks-app`, as Microcks does. PUT /control sets {before}: tokens issued earlier (seconds) are
// not accepted any more.
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { parse } from 'yaml';

const [port, issuer] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
const control = { before: 0 };
const services = new Map();
let next = 1;

const find = (id) => services.get(id) ?? [...services.values()].find((one) => `${one.name}:${one.version}` === id);

async function roles(request) {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (!token) return null;
  try {
    const { payload } = await jwtVerify(token, keys, { issuer });
    if (payload.iat < control.before) return null;
    return payload.resource_access?.['microcks-app']?.roles ?? [];
  } catch (error) {
    console.log(`refused ${error.code}`);
    return null;
  }
}

// RFC 7578, with one part named `file`.
function part(request, body) {
  const boundary = /boundary=(.+)$/.exec(request.headers['content-type'] ?? '')?.[1];
  const text = body.toString();
  const start = text.indexOf('\r\n\r\n') + 4;
  const end = text.indexOf(`\r\n--${boundary}--`);
  return { name: /filename="([^"]*)"/.exec(text)?.[1], text: text.slice(start, end) };
}

function upload({ name: file, text }, main) {
  let document;
  try {
    document = parse(text);
  } catch (error) {
    return [400, `${file} could not be parsed: ${error.message}`];
  }
  if (document?.openapi) {
    const { title, version } = document.info;
    const service = find(`${title}:${version}`) ?? { id: String(next++).padStart(24, '0'), name: title, version, imports: 0, labels: {}, set: {} };
    if (main) {
      const methods = Object.entries(document.paths ?? {}).flatMap(([path, item]) => Object.keys(item).map((verb) => `${verb.toUpperCase()} ${path}`));
      Object.assign(service, { operations: methods, imports: service.imports + 1 });
      services.set(service.id, service);
    }
    return [201, `${title}:${version}`];
  }
  if (document?.kind !== 'APIMetadata') return [400, `${file} is no valid HAR`];
  const { name, version, labels } = document.metadata;
  const service = find(`${name}:${version}`);
  // Skipped without a word.
  if (!service) return [201, `${name}:${version}`];
  Object.assign(service.labels, labels);
  for (const [operation, set] of Object.entries(document.operations ?? {})) {
    if (service.operations.includes(operation)) service.set[operation] = { defaultDelay: set.delay, dispatcher: set.dispatcher, dispatcherRules: set.dispatcherRules };
  }
  return [201, `${name}:${version}`];
}

const json = ({ id, name, version, labels, operations, set }) => ({
  id, name, version, type: 'REST', metadata: { labels },
  operations: operations.map((operation) => ({ name: operation, method: operation.split(' ')[0], ...set[operation] })),
});

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const url = new URL(request.url, `http://${request.headers.host}`);
  const answer = (status, content) => {
    console.log(`${request.method} ${url.pathname} ${status}`);
    const text = typeof content === 'string' ? content : JSON.stringify(content ?? '');
    response.writeHead(status, { 'content-type': typeof content === 'string' ? 'text/plain' : 'application/json' }).end(text);
  };
  if (url.pathname === '/control') {
    Object.assign(control, JSON.parse(body.toString()));
    return answer(204);
  }
  const has = await roles(request);
  if (!has) return answer(401, 'Unauthorized');
  const id = /^\/api\/services\/([^/]+)$/.exec(url.pathname)?.[1];
  // A service is read with the role `user`; everything else wants `manager`.
  const may = id && request.method === 'GET' ? has.includes('user') : has.includes('manager');
  if (!may) return answer(403, 'Forbidden');
  if (url.pathname === '/api/services') {
    const page = Number(url.searchParams.get('page') ?? 0), size = Number(url.searchParams.get('size') ?? 20);
    return answer(200, [...services.values()].slice(page * size, (page + 1) * size).map(json));
  }
  if (url.pathname === '/api/artifact/upload' && request.method === 'POST') {
    return answer(...upload(part(request, body), url.searchParams.get('mainArtifact') === 'true'));
  }
  const service = id && find(decodeURIComponent(id).replaceAll('+', ' '));
  if (id && request.method === 'DELETE') {
    if (service) services.delete(service.id);
    return answer(200);
  }
  if (!service) return answer(404);
  return answer(200, url.searchParams.get('messages') === 'false' ? json(service) : { service: json(service), messagesMap: {} });
}).listen(Number(port), '127.0.0.1', () => console.log('listens'));
