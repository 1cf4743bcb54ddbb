// Black-box tests: every receiver is a child process, every delivery is made here with node:crypto only.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  constants, createCipheriv, createHmac, generateKeyPairSync, publicEncrypt, randomBytes,
} from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const RECEIVER = fileURLToPath(new URL('./receiver.mjs', import.meta.url));
const SECRET = 'whsec_0123456789abcdefghijklmnopqrstuv';
const OTHER = 'whsec_vutsrqponmlkjihgfedcba9876543210';
const MIB = 1024 * 1024;

const dir = mkdtempSync(join(tmpdir(), 'receiver-test-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const pair = (options) => generateKeyPairSync('rsa', { modulusLength: 2048, ...options });
const k1 = pair(), k2 = pair({ modulusLength: 3072 }), k3 = pair({ publicExponent: 3 }), stranger = pair();
const file = (name, content) => {
  writeFileSync(join(dir, name), content, { mode: 0o600 });
  return join(dir, name);
};
const pem = (key) => key.privateKey.export({ type: 'pkcs8', format: 'pem' });
const jwk = (key, kid) => ({ ...key.privateKey.export({ format: 'jwk' }), ...(kid && { kid }) });
const K1 = `k1=${file('k1.pem', pem(k1))}`;

// --- the sending side, from sections 7.3 and 7.4 of the contract
const b64 = (x) => Buffer.from(x).toString('base64url');
function seal(plaintext, { key = k1, kid = 'k1', header, oaepHash = 'sha256', cipher = 'aes-256-gcm' } = {}) {
  const head = b64(JSON.stringify(header ?? { alg: 'RSA-OAEP-256', enc: 'A256GCM', kid }));
  const cek = randomBytes(cipher === 'aes-256-gcm' ? 32 : 16), iv = randomBytes(12);
  const wrapped = publicEncrypt({ key: key.publicKey, oaepHash, padding: constants.RSA_PKCS1_OAEP_PADDING }, cek);
  const gcm = createCipheriv(cipher, cek, iv).setAAD(Buffer.from(head));
  const text = Buffer.concat([gcm.update(plaintext), gcm.final()]);
  return [head, b64(wrapped), b64(iv), b64(text), b64(gcm.getAuthTag())].join('.');
}
let serial = 0;
const newEvent = (more) => ({
  type: 'verification.session.succeeded',
  metadata: {
    contract_version: 1, event_id: `evt_${String(serial += 1).padStart(26, '0')}`, verification_session_id: 'vs_1',
  },
  data: { selected_field_keys: ['family_name'], claims: { family_name: 'MARKERDOE', date_of_birth: null } },
  ...more,
});
const now = () => Math.floor(Date.now() / 1000);
const mac = (body, t, secret = SECRET) => createHmac('sha256', secret).update(`${t}.`).update(body).digest('hex');
const sign = (body, t = now(), ...secrets) => (secrets.length ? secrets : [SECRET])
  .reduce((header, secret) => `${header},v1=${mac(body, t, secret)}`, `t=${t}`);

// --- the receiver as a child process
async function start(t, { env = {}, clock } = {}) {
  const fixed = clock === undefined ? [] : ['--import', `data:text/javascript,Date.now=()=>${clock * 1000}`];
  const child = spawn(process.execPath, [...fixed, RECEIVER], {
    env: { PATH: process.env.PATH, SIGNING_SECRET: SECRET, PRIVATE_KEY_FILE: K1, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const r = { child, log: '', errors: '' }, lines = [], waiting = [];
  const exited = once(child, 'close');
  createInterface({ input: child.stdout }).on('line', (line) => {
    r.log += `${line}\n`;
    (waiting.shift() ?? ((l) => lines.push(l)))(line);
  });
  child.stderr.on('data', (d) => { r.errors += d; });
  t.after(() => child.kill('SIGKILL'));
  r.exit = async () => { const [code, signal] = await exited; return { code, signal }; };
  const line = () => (lines.length ? Promise.resolve(lines.shift()) : new Promise((ok) => { waiting.push(ok); }));
  r.line = async () => JSON.parse(await line());
  r.unread = () => lines.length;
  const first = await Promise.race([r.line(), r.exit()]);
  r.url = first.listening;
  r.failed = first.code;
  // sends one delivery, checks that the answer has no body, returns [status, outcome line]
  r.post = async (body, signature = sign(body)) => {
    const headers = { 'Content-Type': 'application/jose', 'X-Kayle-Event': 'x', 'X-Kayle-Delivery-Id': 'whd_x' };
    if (signature !== null) headers['X-Kayle-Signature'] = signature;
    const res = await fetch(r.url, { method: 'POST', body, headers });
    assert.equal(await res.text(), '');
    assert.notEqual(res.headers.get('connection'), 'close');
    return [res.status, await r.line()];
  };
  return r;
}
const rejected = (reason, status = 400) => [status, { outcome: 'rejected', reason }];
const seal1 = (event, options) => seal(JSON.stringify(event), options);
const accepted = (event) => [204, {
  outcome: 'accepted', event_id: event.metadata.event_id, type: event.type,
  session_id: event.metadata.verification_session_id, data_keys: Object.keys(event.data).sort(),
}];

test('accepts a valid delivery, keeps personal data out of the log', async (t) => {
  const r = await start(t), event = newEvent();
  assert.match(r.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*\/$/);
  assert.deepEqual(await r.post(seal1(event)), accepted(event));
  assert.deepEqual(accepted(event)[1].data_keys, ['claims', 'selected_field_keys']);
  assert.ok(!r.log.includes('MARKERDOE') && r.errors === '');
});

test('every event type; webhook.test has no session', async (t) => {
  const r = await start(t), tries = { nfc_tries_used: 3, liveness_tries_used: 0 };
  const all = [
    newEvent({ type: 'verification.session.failed', data: { failure_code: 'liveness_failed', ...tries } }),
    newEvent({ type: 'verification.session.expired', data: {} }),
    newEvent({ type: 'verification.session.cancelled', data: { outcome: 'not_verified', reason: 'cancelled', ...tries } }),
    newEvent({ type: 'webhook.test', data: { message: 'hello' } }),
  ];
  all[3].metadata.verification_session_id = null;
  for (const event of all) assert.deepEqual(await r.post(seal1(event)), accepted(event));
});

test('PRINT_DATA=1 prints the data', async (t) => {
  const r = await start(t, { env: { PRINT_DATA: '1' } }), event = newEvent();
  const [, line] = await r.post(seal1(event));
  assert.deepEqual(line, { ...accepted(event)[1], data: event.data });
});

test('a replayed event is a duplicate, under a new ciphertext and time too', async (t) => {
  const r = await start(t), event = newEvent(), body = seal1(event), { data_keys, ...ids } = accepted(event)[1];
  const duplicate = [204, { ...ids, outcome: 'duplicate' }];
  assert.ok(data_keys);
  assert.deepEqual(await r.post(body), accepted(event));
  assert.deepEqual(await r.post(body), duplicate);
  assert.deepEqual(await r.post(body, sign(body, now() - 5)), duplicate);
  assert.deepEqual(await r.post(seal1(event)), duplicate);
  const next = newEvent();
  assert.deepEqual(await r.post(seal1(next)), accepted(next));
});

test('repeats at the same moment are accepted once', async (t) => {
  const r = await start(t), body = seal1(newEvent());
  const outcomes = (await Promise.all(Array.from({ length: 20 }, () => r.post(body)))).map(([s, l]) => `${s} ${l.outcome}`);
  assert.deepEqual([...new Set(outcomes)].sort(), ['204 accepted', '204 duplicate']);
  assert.equal(outcomes.filter((o) => o === '204 accepted').length, 1);
});

test('a tampered body fails the signature', async (t) => {
  const r = await start(t), body = seal1(newEvent()), header = sign(body);
  const at = body.length - 10, flipped = body.slice(0, at) + (body[at] === 'A' ? 'B' : 'A') + body.slice(at + 1);
  for (const changed of [flipped, `${body}\n`, ` ${body}`, body.slice(1), '']) {
    assert.deepEqual(await r.post(changed, header), rejected('bad_signature', 401));
  }
  assert.deepEqual(await r.post(flipped), rejected('decrypt_failed')); // signed as changed: GCM finds it
});

test('time window: 300 s either way', async (t) => {
  const clock = 1_790_000_000, r = await start(t, { clock });
  for (const off of [-300, 300]) {
    const event = newEvent(), body = seal1(event);
    assert.deepEqual(await r.post(body, sign(body, clock + off)), accepted(event));
  }
  const body = seal1(newEvent());
  for (const off of [-301, 301, -86_400, 86_400]) {
    assert.deepEqual(await r.post(body, sign(body, clock + off)), rejected('stale', 401));
  }
});

test('stale and future timestamps against the real clock', async (t) => {
  const r = await start(t), body = seal1(newEvent());
  for (const off of [-310, 310]) assert.deepEqual(await r.post(body, sign(body, now() + off)), rejected('stale', 401));
  const moved = sign(body, now() - 310).replace(/t=\d+/, `t=${now()}`); // fresh time, old hash
  assert.deepEqual(await r.post(body, moved), rejected('bad_signature', 401));
});

test('wrong secret, missing and malformed signature headers', async (t) => {
  const r = await start(t), body = seal1(newEvent()), s = now(), v1 = mac(body, s);
  const bad = [
    null, 'nonsense', `t=${s}`, `v1=${v1}`, `t=,v1=${v1}`, `t=${s},v1=`, `t=${s},v1=${v1.slice(2)}`, `t=${s},v1=${v1}00`,
    `t=x${s},v1=${v1}`, `t=-${s},v1=${v1}`, `t=${s}.0,v1=${v1}`, `t=${s},t=${s},v1=${v1}`, `t=${s},v0=${v1}`,
    `T=${s},V1=${v1}`, `t=${s};v1=${v1}`, `t=${s},v1=${v1}=`, sign(body, s, OTHER),
    sign(body, s, SECRET.slice('whsec_'.length)), // prefix left out of the key
  ];
  for (const header of bad) assert.deepEqual(await r.post(body, header), rejected('bad_signature', 401), String(header));
});

test('signature forms that are fine: upper-case hex, spaces, other parts, any order', async (t) => {
  const r = await start(t);
  const forms = [
    (s, v) => `t=${s},v1=${v.toUpperCase()}`,
    (s, v) => ` t=${s} , v1=${v} `,
    (s, v) => `t = ${s},\tv1 = ${v}`,
    (s, v) => `v1=${v},t=${s}`,
    (s, v) => `t=${s},v2=later,v1=${v},`,
  ];
  for (const form of forms) {
    const event = newEvent(), body = seal1(event), s = now();
    assert.deepEqual(await r.post(body, form(s, mac(body, s))), accepted(event), String(form));
  }
});

test('two v1 values during a rotation, in both orders, with either secret or both here', async (t) => {
  for (const here of [SECRET, OTHER, `${SECRET},${OTHER}`, ` ${OTHER} , ${SECRET} `]) {
    const r = await start(t, { env: { SIGNING_SECRET: here } });
    for (const order of [[SECRET, OTHER], [OTHER, SECRET]]) {
      const event = newEvent(), body = seal1(event);
      assert.deepEqual(await r.post(body, sign(body, now(), ...order)), accepted(event));
    }
    const body = seal1(newEvent());
    assert.deepEqual(await r.post(body, sign(body, now(), 'whsec_a', 'whsec_b')), rejected('bad_signature', 401));
  }
});

test('unknown kid, wrong key, other algorithms, not a JWE', async (t) => {
  const r = await start(t), text = JSON.stringify(newEvent()), base = { alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: 'k1' };
  const { kid: _, ...nameless } = base;
  const cases = [
    [seal(text, { kid: 'k9' }), 'unknown_key'],
    [seal(text, { kid: '__proto__' }), 'unknown_key'],
    [seal(text, { header: nameless }), 'unknown_key'],
    [seal(text, { key: stranger }), 'decrypt_failed'],
    [seal(text, { oaepHash: 'sha1' }), 'decrypt_failed'],
    [seal(text, { header: { ...base, zip: 'DEF' } }), 'decrypt_failed'],
    [seal(text, { header: { ...base, crit: ['x'], x: 1 } }), 'not_a_jwe'],
    [seal(text, { header: { ...base, alg: 'RSA-OAEP' }, oaepHash: 'sha1' }), 'alg_not_allowed'],
    [seal(text, { header: { ...base, alg: 'dir' } }), 'alg_not_allowed'],
    [seal(text, { header: { ...base, enc: 'A128GCM' }, cipher: 'aes-128-gcm' }), 'alg_not_allowed'],
    [text, 'not_a_jwe'],
    ['', 'not_a_jwe'],
    ['a.b.c', 'not_a_jwe'],
  ];
  for (const [body, reason] of cases) {
    const [status, line] = await r.post(body);
    assert.equal(status, 400);
    if (reason === 'not_a_jwe') assert.match(line.reason, /^(not_a_jwe|decrypt_failed)$/);
    else assert.deepEqual(line, { outcome: 'rejected', reason });
  }
  assert.ok(!r.log.includes('MARKERDOE') && r.errors === '');
});

test('a plaintext that is not an event', async (t) => {
  const r = await start(t), e = newEvent();
  const bad = [
    'MARKERDOE', '', 'null', '[]', '{}', Buffer.from([0x22, 0xff, 0x22]), JSON.stringify({ ...e, metadata: null }),
    JSON.stringify({ ...e, data: null }), JSON.stringify({ ...e, type: 1 }), JSON.stringify({ ...e, type: undefined }),
    JSON.stringify({ ...e, metadata: { ...e.metadata, contract_version: 2 } }),
    JSON.stringify({ ...e, metadata: { ...e.metadata, event_id: '' } }),
  ];
  for (const text of bad) assert.deepEqual(await r.post(seal(text)), rejected('bad_payload'), String(text));
  assert.ok(!r.log.includes('MARKERDOE') && r.errors === '');
  assert.deepEqual(await r.post(seal1(e)), accepted(e)); // none of them counted as seen
});

test('several keys: PEM, JWK, JWKS, chosen by kid', async (t) => {
  const set = file('set.json', JSON.stringify({ keys: [jwk(stranger, 'old'), jwk(k3, 'key=3 x')] }));
  const env = { PRIVATE_KEY_FILE: `${K1}, k2=${file('k2.json', JSON.stringify(jwk(k2)))},key=3 x=${set}` };
  const r = await start(t, { env });
  for (const [kid, key] of [['k1', k1], ['k2', k2], ['key=3 x', k3]]) {
    const event = newEvent();
    assert.deepEqual(await r.post(seal1(event, { kid, key })), accepted(event), kid);
  }
  assert.deepEqual(await r.post(seal1(newEvent(), { kid: 'k2', key: k1 })), rejected('decrypt_failed'));
  assert.deepEqual(await r.post(seal1(newEvent(), { kid: 'old', key: stranger })), rejected('unknown_key'));
});

test('anything but POST is 405', async (t) => {
  const r = await start(t), body = seal1(newEvent());
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const res = await fetch(r.url, { method, headers: { 'X-Kayle-Signature': sign(body) }, ...(method === 'PUT' && { body }) });
    assert.deepEqual([res.status, res.headers.get('allow'), await res.text()], [405, 'POST', '']);
  }
  assert.equal(r.unread(), 0);
});

test('body limit of 1 MiB, with and without a length', async (t) => {
  const r = await start(t);
  assert.notEqual((await r.post('a'.repeat(MIB)))[1].reason, 'too_large');
  assert.deepEqual(await r.post('a'.repeat(MIB + 1)), rejected('too_large'));
  assert.deepEqual(await r.post('a'.repeat(4 * MIB)), rejected('too_large'));
  const req = request(r.url, { method: 'POST', headers: { 'X-Kayle-Signature': 't=1,v1=00' } });
  for (let i = 0; i < 20; i += 1) req.write('a'.repeat(MIB / 16));
  const answered = once(req, 'response');
  req.end();
  const [res] = await answered;
  res.resume();
  assert.deepEqual([res.statusCode, await r.line()], rejected('too_large'));
  const endless = request(r.url, { method: 'POST', headers: { 'Content-Length': 64 * MIB } });
  const dropped = once(endless, 'close').catch(() => {});
  endless.on('error', () => {});
  endless.write('a'.repeat(16 * MIB));
  assert.deepEqual(await r.line(), rejected('too_large')[1]);
  const since = Date.now();
  await dropped;
  assert.ok(Date.now() - since < 3000, 'the connection is dropped at once');
  const event = newEvent(); // and it still works
  assert.deepEqual(await r.post(seal1(event)), accepted(event));
});

test('an upload that breaks off is survived', async (t) => {
  const r = await start(t), event = newEvent();
  const req = request(r.url, { method: 'POST', headers: { 'Content-Length': 100 } });
  req.on('error', () => {});
  req.write('abc', () => setTimeout(() => req.destroy(), 50));
  assert.deepEqual(await r.line(), { outcome: 'rejected', reason: 'aborted' });
  assert.deepEqual(await r.post(seal1(event)), accepted(event));
});

test('SIGTERM: answers what has begun, takes nothing new, exits 0', async (t) => {
  const r = await start(t), event = newEvent(), body = seal1(event);
  const req = request(r.url, {
    method: 'POST', headers: { 'X-Kayle-Signature': sign(body), 'Content-Length': body.length, Connection: 'keep-alive' },
  });
  const answered = once(req, 'response');
  req.write(body.slice(0, 20));
  await new Promise((ok) => { setTimeout(ok, 100); });
  r.child.kill('SIGTERM');
  await new Promise((ok) => { setTimeout(ok, 100); });
  await assert.rejects(fetch(r.url, { method: 'POST', body }));
  req.end(body.slice(20));
  const [res] = await answered;
  res.resume();
  assert.deepEqual([res.statusCode, await r.line()], accepted(event));
  assert.equal(res.headers.connection, 'close');
  assert.deepEqual(await r.exit(), { code: 0, signal: null });
});

test('bad settings: exit code 1, a reason on stderr, no secret in it', async (t) => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const set = file('two.json', JSON.stringify({ keys: [jwk(k1, 'a'), jwk(k2, 'b')] }));
  const cases = [
    { SIGNING_SECRET: '' }, { SIGNING_SECRET: ' , ' }, { PRIVATE_KEY_FILE: '' }, { PRIVATE_KEY_FILE: file('k.pem', pem(k1)) },
    { PRIVATE_KEY_FILE: `k1=${join(dir, 'absent.pem')}` }, { PRIVATE_KEY_FILE: `k1=${file('junk', 'junk')}` },
    { PRIVATE_KEY_FILE: `k1=${file('junk.json', '{"d":')}` }, { PRIVATE_KEY_FILE: `c=${set}` },
    { PRIVATE_KEY_FILE: `k1=${file('misnamed.json', JSON.stringify(jwk(k1, 'k2')))}` },
    { PRIVATE_KEY_FILE: `k1=${file('ec.pem', pem(ec))}` },
    { PRIVATE_KEY_FILE: `k1=${file('pub.pem', k1.publicKey.export({ type: 'spki', format: 'pem' }))}` },
  ];
  for (const env of cases) {
    const r = await start(t, { env });
    assert.equal(r.failed, 1, JSON.stringify(env));
    assert.match(r.errors, /^receiver: [^\n]+\n$/);
    assert.ok(!r.errors.includes(SECRET) && r.log === '');
  }
});

// --- vectors of section 13. The clock is set to each vector's time; their bodies are not JWEs, so a good
// signature shows as a rejection after it (400), a bad one as 401.
const NEW = 'b8a5d29d71d2e70540fe9882746f031d11aecdb95effc79e615eedd47aa35a2d';
const OLD = '04248edd8b6e12c320961b7330c6c10446a4a80a2375a96b6874fa6dfa552304';
const VECTORS = [
  ['secret', 1764180000000, '{"name":"John Doe","email":"john.doe@example.com"}',
    '631a0bfeb29ef73049d328d97d3931f39e412104d5775502329732dfd20d766b'],
  ['whsec_test_secret', 1742404800, 'encrypted-payload',
    '4e4a7ec092b53b027f0b504e4f1c0383af4dc960d2a869d9961d50586f46105b'],
  [SECRET, 1767225600, 'aaa.bbb.ccc.ddd.eee', NEW],
  [OTHER, 1767225600, 'aaa.bbb.ccc.ddd.eee', OLD],
];
for (const [secret, clock, body, v1] of VECTORS) {
  test(`signature vector of ${secret}`, async (t) => {
    assert.equal(mac(body, clock, secret), v1);
    const r = await start(t, { clock, env: { SIGNING_SECRET: secret } });
    const [status, { reason }] = await r.post(body, `t=${clock},v1=${v1}`);
    assert.equal(status, 400);
    assert.match(reason, /^(not_a_jwe|decrypt_failed)$/);
    const wrong = v1.replace(/.$/, (c) => (c === '0' ? '1' : '0'));
    assert.deepEqual(await r.post(body, `t=${clock},v1=${wrong}`), rejected('bad_signature', 401));
    assert.deepEqual(await r.post(body, `t=${clock + 1},v1=${v1}`), rejected('bad_signature', 401));
  });
}
test('signature header vector of an overlap', async (t) => {
  const header = `t=1767225600,v1=${NEW},v1=${OLD}`;
  for (const [secret, status] of [[SECRET, 400], [OTHER, 400], [`${OTHER},${SECRET}`, 400], ['whsec_x', 401]]) {
    const r = await start(t, { clock: 1767225600, env: { SIGNING_SECRET: secret } });
    assert.equal((await r.post('aaa.bbb.ccc.ddd.eee', header))[0], status);
  }
});
