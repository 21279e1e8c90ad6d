// Sends each example payload of @octokit/webhooks-examples to a hook, signed by @octokit/webhooks. Prints one line of JSON for each.
import { Webhooks } from '@octokit/webhooks';
import examples from '@octokit/webhooks-examples' with { type: 'json' };

const [url, secret] = process.argv.slice(2);
const webhooks = new Webhooks({ secret });

let number = 0;
for (const { name, examples: payloads } of examples) {
  for (const payload of payloads) {
    number += 1;
    const body = JSON.stringify(payload);
    const id = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
    const send = signature =>
      fetch(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'GitHub-Hookshot/0000000',
          'x-github-event': name,
          'x-github-delivery': id,
          'x-hub-signature-256': signature,
        },
      });
    const right = await send(await webhooks.sign(body));
    const wrong = number % 20 === 1 ? (await send(await webhooks.sign(body + ' '))).status : undefined;
    const repository = payload.repository?.full_name;
    console.log(JSON.stringify({ id, event: name, action: payload.action, repository, status: right.status, wrong, bytes: body.length }));
  }
}
