// Webhook receiver: verify the signature, decrypt, drop repeats, answer 204. Settings: README.md.
import { createServer } from 'node:http';
import { createHmac, createPrivateKey, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { compactDecrypt } from 'jose';

const BODY_LIMIT = 1024 * 1024, TOLERANCE = 300, REMEMBERED = 100_000, env = process.env;
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const fail = (why) => { console.error(`receiver: ${why}`); process.exit(1); };
const reject = (reason, status = 400) => { throw Object.assign(new Error(reason), { status }); };
const list = (name) => (env[name] ?? '').split(',').map((s) => s.trim()).filter(Boolean);
const secrets = list('SIGNING_SECRET'); // each used whole, including "whsec_"
const keys = new Map(list('PRIVATE_KEY_FILE').map((entry) => {
  const cut = entry.lastIndexOf('='), kid = entry.slice(0, cut).trim(); // a kid may contain "="
  if (cut < 1) fail('PRIVATE_KEY_FILE needs kid=path');
  try { // PEM, a JWK, or the member of a JWKS that has this kid
    const text = readFileSync(entry.slice(cut + 1).trim(), 'utf8');
    const jwks = text.trimStart().startsWith('{') ? [JSON.parse(text)].flatMap((j) => j.keys ?? j) : null;
    const jwk = jwks?.find((k) => k.kid === kid || (jwks.length === 1 && k.kid === undefined));
    const key = createPrivateKey(jwks ? { key: jwk, format: 'jwk' } : text);
    return key.asymmetricKeyType === 'rsa' ? [kid, key] : fail(`the key for kid ${kid} is not RSA`);
  } catch (e) { return fail(`no usable private key for kid ${kid} (${e.code ?? e.name})`); }
}));
if (!secrets.length || !keys.size) fail('SIGNING_SECRET and PRIVATE_KEY_FILE are required');
async function readBody(req) {
  const chunks = []; let size = 0;
  for await (const chunk of req) { // reads past the limit so that the answer arrives, but not for ever
    if ((size += chunk.length) <= BODY_LIMIT) chunks.push(chunk);
    else if (size > 8 * BODY_LIMIT) break; // destroys req, see answer()
  }
  return size > BODY_LIMIT ? reject('too_large') : Buffer.concat(chunks);
}
function verify(header = '', body) {
  const parts = header.split(',').map((p) => p.trim().split(/\s*=\s*/));
  const values = (name) => parts.filter((p) => p.length === 2 && p[0] === name).map((p) => p[1]);
  const [t, ...more] = values('t'), given = values('v1').map((v) => Buffer.from(v.toLowerCase()));
  if (more.length || !/^\d{1,15}$/.test(t)) reject('bad_signature', 401);
  if (Math.abs(Math.floor(Date.now() / 1000) - Number(t)) > TOLERANCE) reject('stale', 401);
  const good = secrets.map((s) => Buffer.from(createHmac('sha256', s).update(`${t}.`).update(body).digest('hex')));
  return good.some((g) => given.some((v) => v.length === g.length && timingSafeEqual(v, g))) ? body : reject('bad_signature', 401);
}
const ALLOWED = { keyManagementAlgorithms: ['RSA-OAEP-256'], contentEncryptionAlgorithms: ['A256GCM'], maxDecompressedLength: 0 };
const REASONS = { ERR_JOSE_ALG_NOT_ALLOWED: 'alg_not_allowed', ERR_JWE_INVALID: 'not_a_jwe' };
async function open(body) {
  const pick = ({ kid }) => keys.get(kid) ?? reject('unknown_key');
  const { plaintext } = await compactDecrypt(body.toString('latin1'), pick, ALLOWED)
    .catch((e) => reject(e.status ? e.message : REASONS[e.code] ?? 'decrypt_failed'));
  try { // a JSON error quotes its input, so it is dropped
    const event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext));
    const { type, data, metadata: { contract_version: version, event_id: id } } = event;
    if (version === 1 && [type, id].every((s) => s && typeof s === 'string') && Object.keys(data)) return event;
  } catch { /* rejected below */ }
  return reject('bad_payload');
}
const seen = new Set(); // in production a unique column, written together with the queued work
function handle({ type, data, metadata: { event_id, verification_session_id: session_id } }) {
  if (seen.has(event_id)) return print({ outcome: 'duplicate', event_id, type, session_id });
  if (seen.add(event_id).size > REMEMBERED) seen.delete(seen.values().next().value);
  // Queue the work here. A cancelled event whose reason begins with "privacy_" means: erase what the session gave you.
  const shown = { data_keys: Object.keys(data).sort(), ...(env.PRINT_DATA === '1' && { data }) };
  return print({ outcome: 'accepted', event_id, type, session_id, ...shown });
}
const server = createServer({ requestTimeout: 15_000, connectionsCheckingInterval: 5_000 }, async (req, res) => {
  const last = () => !server.listening || (req.destroyed && !req.complete); // then this ends the connection
  const answer = (status, headers) => res.writeHead(status, { ...headers, ...(last() && { Connection: 'close' }) }).end();
  if (req.method !== 'POST') return answer(405, { Allow: 'POST' });
  try {
    handle(await open(verify(req.headers['x-kayle-signature'], await readBody(req))));
    return answer(204); // answers never have a body
  } catch (e) {
    print({ outcome: 'rejected', reason: e.status ? e.message : e.code === 'ECONNRESET' ? 'aborted' : 'internal_error' });
    return answer(e.status ?? 500);
  }
}).on('error', (e) => fail(e.message)).listen(Number(env.PORT || 3000), env.HOST || '127.0.0.1', () => {
  const { address, family, port } = server.address();
  print({ listening: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/` });
});
const stop = () => server.close() && setTimeout(() => server.closeAllConnections(), 10_000).unref();
process.on('SIGTERM', stop).on('SIGINT', stop);
