"""Webhook receiver: verify the signature, decrypt, drop repeats, answer 204. Settings: README.md."""

import hashlib, hmac, json, os, re, signal, sys, threading, time  # noqa: E401
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jwcrypto import common, jwe, jwk

BODY_LIMIT, TOLERANCE, REMEMBERED = 1024 * 1024, 300, 100_000


class Rejected(Exception):
    """args: reason, status"""


def setting(name):
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def load(entry):
    kid, _, path = entry.rpartition("=")  # a kid may contain "="
    with open(path, "rb") as file:
        return kid, jwk.JWK.from_pem(file.read())


def verify(header, body, secrets):
    parts = [tuple(s.strip() for s in part.partition("=")[::2]) for part in header.split(",")]
    times, given = [v for n, v in parts if n == "t"], [v.lower() for n, v in parts if n == "v1"]
    if len(times) != 1 or not re.fullmatch(r"[0-9]{1,15}", times[0]):
        raise Rejected("bad_signature", 401)
    if abs(int(time.time()) - int(times[0])) > TOLERANCE:
        raise Rejected("stale", 401)
    message = times[0].encode() + b"." + body
    good = [hmac.new(s.encode(), message, hashlib.sha256).hexdigest().encode() for s in secrets]
    if not any(hmac.compare_digest(g, v.encode()) for g in good for v in given):
        raise Rejected("bad_signature", 401)


def decrypt(body, keys):
    token = jwe.JWE(algs=["RSA-OAEP-256", "A256GCM"])
    try:
        token.deserialize(body.decode("ascii"))
        header = token.jose_header
        if header.get("alg") != "RSA-OAEP-256" or header.get("enc") != "A256GCM" or "zip" in header:
            raise Rejected("alg_not_allowed", 400)
        if header.get("kid") not in keys:
            raise Rejected("unknown_key", 400)
        token.decrypt(keys[header["kid"]])
    except (common.JWException, ValueError) as error:
        raise Rejected("decrypt_failed", 400) from error
    try:
        event = json.loads(token.payload.decode("utf-8"))
        if event["metadata"]["contract_version"] == 1 and event["metadata"]["event_id"] and isinstance(event["data"], dict):
            return event
    except (ValueError, TypeError, KeyError):
        pass  # the error quotes its input, so it is dropped
    raise Rejected("bad_payload", 400)


class Receiver(BaseHTTPRequestHandler):
    secrets, keys, seen, lock = setting("SIGNING_SECRET"), dict(map(load, setting("PRIVATE_KEY_FILE"))), {}, threading.Lock()
    timeout = 15

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= BODY_LIMIT:
                raise Rejected("too_large", 400)
            body = self.rfile.read(length)
            verify(self.headers.get("X-Kayle-Signature", ""), body, self.secrets)
            status, line = 204, self.take(decrypt(body, self.keys))
        except Rejected as rejected:
            status, line = rejected.args[1], {"outcome": "rejected", "reason": rejected.args[0]}
        print(json.dumps(line), flush=True)
        self.send_response(status)  # answers never have a body
        self.send_header("Content-Length", "0")
        self.end_headers()

    def take(self, event):
        meta = event["metadata"]
        line = {"event_id": meta["event_id"], "type": event["type"], "session_id": meta["verification_session_id"]}
        with self.lock:  # in production a unique column, written together with the queued work
            if meta["event_id"] in self.seen:
                return {"outcome": "duplicate", **line}
            self.seen[meta["event_id"]] = True
            if len(self.seen) > REMEMBERED:
                del self.seen[next(iter(self.seen))]
        # Queue the work here. A cancelled event whose reason begins with "privacy_" means: erase what the session gave you.
        return {"outcome": "accepted", **line, **({"data": event["data"]} if os.environ.get("PRINT_DATA") == "1" else {})}

    def log_message(self, *_):
        """Nothing: what matters is printed above."""


if not Receiver.secrets or not Receiver.keys:
    sys.exit("receiver: SIGNING_SECRET and PRIVATE_KEY_FILE are required")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "3000"))), Receiver)
print(json.dumps({"listening": "http://%s:%d/" % server.server_address}), flush=True)
server.serve_forever()
