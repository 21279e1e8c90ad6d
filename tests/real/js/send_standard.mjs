// Sends one webhook, signed by npm's standardwebhooks, to URL with SECRET; the id and the seconds to shift the clock by are
// the next words. Prints the status.
import { Webhook } from 'standardwebhooks';

const [url, secret, id, shift] = process.argv.slice(2);
const at = new Date(Date.now() + Number(shift) * 1000);
const body = JSON.stringify({ type: 'invoice.paid', timestamp: at.toISOString(), data: { id: 'inv_1', note: 'ünïcode ✓' } });
const signature = new Webhook(secret).sign(id, at, body);
const headers = {
  'content-type': 'application/json',
  'webhook-id': id,
  'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
  'webhook-signature': signature,
};
console.log((await fetch(url, { method: 'POST', headers, body })).status);
