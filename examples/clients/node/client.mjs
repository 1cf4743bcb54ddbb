// API client: Node.js 20 or later, nothing else. Settings: KAYLEHOOKS_URL, KAYLEHOOKS_API_KEY.
//   node client.mjs endpoint URL PUBLIC_JWK_FILE   create an endpoint and register the key; prints the signing secret, once
//   node client.mjs session                        create a session; send the person to its verification_url
//   node client.mjs failed                         go through all failed deliveries and send each again
import { readFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const { KAYLEHOOKS_URL: base, KAYLEHOOKS_API_KEY: apiKey } = process.env;
const print = (line) => console.log(JSON.stringify(line));

class Refused extends Error {
  constructor(res, error) {
    super(`${res.status} ${error.code}: ${error.message} ${JSON.stringify(error.fields ?? '')} (${res.headers.get('x-request-id')})`);
    this.code = error.code;
    this.status = res.status;
  }
}

// Waits out 429, and tries again when no answer came: the idempotency key of a request makes that safe.
async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${apiKey}` };
  if (method === 'POST') headers['Idempotency-Key'] = randomUUID();
  if (body) headers['Content-Type'] = 'application/json';
  for (let tries = 1; ; tries += 1) {
    const request = fetch(base + path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(30_000) });
    const res = await request.catch((e) => { if (tries === 5) throw e; });
    if (res?.ok) return res.status === 204 ? {} : res.json();
    if (res && (tries === 5 || (res.status !== 429 && res.status < 500))) throw new Refused(res, (await res.json()).error);
    await sleep(1000 * Number(res?.headers.get('retry-after') ?? tries));
  }
}

async function* deliveries(query) {
  for (let cursor = ''; cursor !== null;) {
    const page = await call('GET', `/v1/webhooks/deliveries?limit=100&${query}${cursor && `&starting_after=${cursor}`}`);
    yield* page.data;
    cursor = page.pagination.next_cursor;
  }
}

const commands = {
  async endpoint(url, jwkFile) {
    const jwk = JSON.parse(await readFile(jwkFile, 'utf8'));
    const { data: { endpoint, signing_secret } } = await call('POST', '/v1/webhooks/endpoints', { url });
    print({ endpoint_id: endpoint.id, signing_secret }); // also when the key is refused: the secret is shown once
    await call('POST', `/v1/webhooks/endpoints/${endpoint.id}/keys`, { key_id: jwk.kid, algorithm: 'RSA-OAEP-256', key_type: 'RSA', jwk });
  },
  async session() {
    const share_fields = { family_name: { required: true, reason: 'The contract needs your name' } };
    const { data } = await call('POST', '/v1/sessions', { share_fields });
    print({ session_id: data.id, verification_url: data.verification_url });
  },
  async failed() {
    for await (const { id } of deliveries('status=failed')) {
      try {
        const { data } = await call('POST', `/v1/webhooks/deliveries/${id}/retry`);
        print({ delivery_id: id, status: data.status });
      } catch (e) { // such as WEBHOOK_PAYLOAD_EXPIRED: nothing is left to send
        if (e.status !== 409) throw e;
        print({ delivery_id: id, error: e.code });
      }
    }
  },
};

const [command, ...args] = process.argv.slice(2);
if (!base || !apiKey || !Object.hasOwn(commands, command ?? '')) {
  console.error('usage: client.mjs endpoint URL PUBLIC_JWK_FILE | session | failed, with KAYLEHOOKS_URL and KAYLEHOOKS_API_KEY set');
  process.exit(2);
}
await commands[command](...args).catch((e) => { console.error(`client: ${e.message}`); process.exitCode = 1; });
