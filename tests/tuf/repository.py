"""A TUF repository made of plain values, honest unless somebody bends it, and a server that counts.

Used by protocol.py (named cases) and differential.py (random ones). The files are written and signed by
hand, so that everything can be wrong with them.
"""

import copy
import datetime
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner

TOP = ("root", "timestamp", "snapshot", "targets")


def in_days(days):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    return (now + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_key(rng, kind="ed25519"):
    raw = bytes(rng.randrange(256) for _ in range(32))
    if kind == "ed25519":
        return CryptoSigner(ed25519.Ed25519PrivateKey.from_private_bytes(raw))
    return CryptoSigner(ec.derive_private_key(int.from_bytes(raw[:31], "big") + 1, ec.SECP256R1()))


def key_dict(key):
    return key.public_key.to_dict()


class Repository:
    """`signed` has what each role says next; `files` has what is served."""

    def __init__(self, rng, kinds=("ed25519",), consistent=True, listed_hashes=False):
        self.rng, self.kinds = rng, kinds
        self.listed_hashes = listed_hashes
        self.signed, self.keys, self.files = {}, {}, {}
        self.missing, self.broken = set(), set()
        self.contents = {}
        common = {"spec_version": "1.0.31", "expires": in_days(30)}
        self.signed["root"] = {
            "_type": "root", "version": 0, "consistent_snapshot": consistent, "keys": {},
            "roles": {role: {"keyids": [], "threshold": 1} for role in TOP}, **common,
        }
        self.signed["timestamp"] = {
            "_type": "timestamp", "version": 0, "meta": {"snapshot.json": {"version": 1}}, **common}
        self.signed["snapshot"] = {"_type": "snapshot", "version": 0, "meta": {}, **common}
        self.signed["targets"] = {"_type": "targets", "version": 0, "targets": {}, **common}
        for role in TOP:
            self.give_keys(role, 1, 1)
        self.publish("root", "targets", "snapshot", "timestamp")

    # Who holds what

    def new_key(self):
        return new_key(self.rng, self.rng.choice(self.kinds))

    def give_keys(self, role, count, threshold):
        """New keys for a top-level role, in place of the old ones."""
        self.keys[role] = [self.new_key() for _ in range(count)]
        root = self.signed["root"]
        root["roles"][role] = {
            "keyids": [key.public_key.keyid for key in self.keys[role]], "threshold": threshold}
        held = {keyid for each in root["roles"].values() for keyid in each["keyids"]}
        root["keys"] = {keyid: key for keyid, key in root["keys"].items() if keyid in held}
        for key in self.keys[role]:
            root["keys"][key.public_key.keyid] = key_dict(key)

    def rotate(self, role, count=1, threshold=1):
        """New keys by a new root, which the old root keys sign, too."""
        before = list(self.keys["root"])
        self.give_keys(role, count, threshold)
        self.publish("root", also=before if role == "root" else ())

    def delegate(self, parent, name, terminating=False, threshold=1, count=1, **what):
        keys = [self.new_key() for _ in range(count)]
        self.keys.setdefault(name, []).extend(keys)
        delegations = self.signed[parent].setdefault("delegations", {"keys": {}, "roles": []})
        for key in keys:
            delegations["keys"][key.public_key.keyid] = key_dict(key)
        delegations["roles"].append({
            "name": name, "keyids": [key.public_key.keyid for key in keys],
            "threshold": threshold, "terminating": terminating, **(what or {"paths": ["*"]})})
        self.signed.setdefault(name, {
            "_type": "targets", "spec_version": "1.0.31", "version": 0,
            "expires": in_days(30), "targets": {}})

    # What is there

    def add(self, role, path, content, algorithms=("sha256",)):
        hashes = {name: hashlib.new(name, content).hexdigest() for name in algorithms}
        self.signed[role]["targets"][path] = {"length": len(content), "hashes": hashes}
        self.put_target(path, content, hashes)

    def put_target(self, path, content, hashes):
        self.contents[path] = content
        folder, slash, name = path.rpartition("/")
        for digest in hashes.values():
            self.files[f"targets/{folder}{slash}{digest}.{name}"] = content
        self.files[f"targets/{path}"] = content

    def sign(self, role, also=()):
        signed = self.signed[role]
        message = encode_canonical(signed).encode()
        signatures = {}
        for key in [*self.keys[role], *also]:
            signatures[key.public_key.keyid] = key.sign(message).to_dict()
        return {"signatures": list(signatures.values()), "signed": copy.deepcopy(signed)}

    def publish(self, *roles, bump=True, also=(), bend=None):
        """Signs and serves, and writes the new version into whoever lists the role. `bend` changes the
        signed file, without signing it again."""
        for role in roles:
            if bump:
                self.signed[role]["version"] += 1
            envelope = self.sign(role, also)
            if bend:
                bend(envelope)
            self.serve(role, json.dumps(envelope, indent=1).encode())

    def serve(self, role, content):
        version = self.signed[role]["version"]
        name = quote(role, "")
        self.files[f"metadata/{name}.json"] = content
        if role != "timestamp":
            self.files[f"metadata/{version}.{name}.json"] = content
        listed = {"version": version}
        if self.listed_hashes:
            listed["length"] = len(content)
            listed["hashes"] = {"sha256": hashlib.sha256(content).hexdigest()}
        if role == "snapshot":
            self.signed["timestamp"]["meta"]["snapshot.json"] = listed
        elif role not in ("root", "timestamp"):
            self.signed["snapshot"]["meta"][f"{role}.json"] = listed

    def served(self, role):
        return self.files[f"metadata/{quote(role, '')}.json"]

    def get(self, path):
        """Status and content, as the server answers. Only roots are asked for by a version of their own
        where snapshots are not consistent."""
        if path in self.broken:
            return 500, b""
        if path in self.missing or path not in self.files:
            return 404, b""
        return 200, self.files[path]


class Server:
    """Serves one repository at a time, and keeps the paths that were asked for."""

    def __init__(self):
        self.repository, self.asked = None, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.lstrip("/")
                outer.asked.append(path)
                # The names of roles are served encoded, as they are asked for; targets are files.
                plain = unquote(path) if path.startswith("targets/") else path
                status, content = outer.repository.get(plain)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    pass  # The client has read enough.

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def metadata_asked(self):
        return [path.removeprefix("metadata/") for path in self.asked if path.startswith("metadata/")]
