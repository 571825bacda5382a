"""A small Syncline client: signs in, keeps a replica up to date, pushes edits.

Written from spec/PROTOCOL.md alone, with nothing but the standard library, as an example for other languages. It holds
its replica in memory, so each run is a new local database and mints its own client id (ID-2). What a finished client
adds: a durable outbox (VEW-5), pending edits on the screen (VEW-1), reconnecting (LIV-1) and repair by range (REP-1),
in place of which this one loads a scope anew.
"""

import base64
import gzip
import hashlib
import http.client
import json
import os
import socket
import struct
import time
import uuid
from urllib.parse import urlsplit

MASK = (1 << 64) - 1
MODE = "local_install"


class SyncError(Exception):
    """An error the server reported; `code` and `class_` as in spec/CODES.md."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['message']}")
        self.code, self.class_ = problem["code"], problem["class"]


def uuid7():
    """An id for a new record, client or mutation (ID-1): milliseconds, then random bits."""
    bits = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=bits & ~(0x3 << 62) | 0x2 << 62))


def record_hash(entity, record_id, rv):
    """DIG-2."""
    value = 0xCBF29CE484222325
    for byte in entity.encode() + b"\0" + uuid.UUID(record_id).bytes + rv.to_bytes(8, "big"):
        value = (value ^ byte) * 0x100000001B3 & MASK
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * factor & MASK
    return value ^ value >> 33


def digest(rows):
    """DIG-1, of `(entity, id, rv)`."""
    hashes = [record_hash(*row) for row in rows]
    return {"count": len(hashes), "sum": f"{sum(hashes) & MASK:016x}"}


class WebSocket:
    """The client's half of RFC 6455, text messages only."""

    def __init__(self, host, port, path, headers):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self.buffer:
            self._receive()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if not head.startswith(b"HTTP/1.1 101 ") or accept not in head:
            raise ConnectionError(f"the server does not open a WebSocket: {head.decode(errors='replace')}")

    def _receive(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the connection was cut")
        self.buffer += chunk

    def _take(self, count):
        while len(self.buffer) < count:
            self._receive()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _send(self, opcode, payload):
        size = len(payload)
        if size < 126:
            length = struct.pack("!B", 0x80 | size)
        elif size < 1 << 16:
            length = struct.pack("!BH", 0x80 | 126, size)
        else:
            length = struct.pack("!BQ", 0x80 | 127, size)
        mask = os.urandom(4)
        repeated = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
        self.socket.sendall(struct.pack("!B", 0x80 | opcode) + length + mask + masked)

    def send(self, frame):
        self._send(1, json.dumps(frame).encode())

    def receive(self):
        """The next frame; answers pings on the way."""
        message = b""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._take(8))
            payload, opcode = self._take(size), first & 0xF
            if opcode == 8:
                code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                raise ConnectionError(f"closed by the server with {code}: {payload[2:].decode()}")
            if opcode == 9:
                self._send(10, payload)
            elif opcode in (0, 1):
                message += payload
                if first & 0x80:
                    return json.loads(message)

    def close(self):
        self.socket.close()


class Client:
    """One device with one replica. `records` maps `(entity, id)` to `{"rv", "scope", "fields"}`."""

    def __init__(self, url, email, password):
        address = urlsplit(url)
        self.host, self.port = address.hostname, address.port
        self.device_id, self.client_id = uuid7(), uuid7()
        self.records, self.scopes, self.outcomes = {}, {}, {}
        self.cursor = self.epoch = self.backend_id = None
        self.next_client_seq = 1
        device = {"device_id": self.device_id, "name": "Python example", "deployment_mode": MODE}
        signed_in = self._request("POST", "/api/auth/login", {"email": email, "password": password, "device": device})
        self.token, self.user_id = signed_in["access_token"], signed_in["user_id"]
        headers = {"Authorization": f"Bearer {self.token}"}
        self.socket = WebSocket(self.host, self.port, f"/ws/{MODE}/{self.client_id}", headers)
        self._hello()

    def close(self):
        self.socket.close()

    def of(self, entity):
        """The fields of an entity's records by id."""
        return {key[1]: record["fields"] for key, record in self.records.items() if key[0] == entity}

    def scope_digest(self, scope):
        rows = [(*key, record["rv"]) for key, record in self.records.items() if record["scope"] == scope]
        return digest(rows)

    def push(self, *ops):
        """Pushes one mutation and returns its outcome, once its effects are in the replica (VEW-2)."""
        client_seq = self.next_client_seq
        self.next_client_seq += 1
        mutation = {"mutation_id": uuid7(), "client_seq": client_seq, "age_ms": 0, "ops": list(ops)}
        self.socket.send({"type": "push", "mutations": [mutation]})
        while client_seq not in self.outcomes or self.cursor < self.outcomes[client_seq]["seq"]:
            self._step()
        return self.outcomes[client_seq]

    def create(self, entity, fields):
        record_id = uuid7()
        op = {"op": "create", "entity": entity, "id": record_id, "fields": fields}
        return record_id, self.push(op)

    def update(self, entity, record_id, fields):
        base_rv = self.records[entity, record_id]["rv"]
        return self.push({"op": "update", "entity": entity, "id": record_id, "base_rv": base_rv, "fields": fields})

    def wait_until(self, is_met):
        """Follows the server until the condition holds."""
        while not is_met():
            self._step()

    def _request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = json.load(connection.getresponse())
        if "code" in answer:
            raise SyncError(answer)
        return answer

    def _hello(self):
        """Opens the session, or opens it anew, until every granted scope is up to date (SES-2, SES-3)."""
        held = [{"id": scope, "seq": seq, "digest": self.scope_digest(scope)} for scope, seq in self.scopes.items()]
        hello = {"type": "hello", "proto": [1, 1], "client_id": self.client_id, "device_id": self.device_id}
        hello |= {"deployment_mode": MODE, "schema": {"version": 1, "hash": ""}, "scopes": held}
        hello |= {"next_client_seq": self.next_client_seq, "pending_count": 0, "oldest_pending_age_ms": 0}
        if self.backend_id is not None:
            hello |= {"backend_id": self.backend_id, "epoch": self.epoch}
        self.socket.send(hello)
        welcome = self._receive("welcome")
        self.backend_id, self.epoch = welcome["backend_id"], welcome["epoch"]
        plans = {scope["id"]: scope["plan"] for scope in welcome["scopes"]}
        for scope in self.scopes.keys() - plans.keys():
            self._drop(scope)
        is_whole = True
        for scope, plan in plans.items():
            if plan["how"] == "snapshot":
                self._load(scope, plan)
                is_whole = False
            elif plan["how"] == "reconcile":
                self._drop(scope)
                is_whole = False
        if not is_whole:
            return self._hello()
        self.cursor = welcome["head"]
        if any(plan["how"] == "catch_up" for plan in plans.values()):
            staged = [self._receive("batch")]
            while staged[-1].get("more"):
                staged.append(self._receive("batch"))
            self._apply(staged, plans)
        self.scopes = {scope: self.cursor for scope in self.scopes.keys() | plans.keys()}

    def _receive(self, wanted):
        """The next frame of this type; outcomes on the way are kept, other frames do not matter (SES-2)."""
        while True:
            frame = self.socket.receive()
            if frame["type"] == "outcomes":
                self.outcomes |= {outcome["client_seq"]: outcome for outcome in frame["outcomes"]}
            if frame["type"] == "error":
                raise SyncError(frame["problem"])
            if frame["type"] == wanted:
                return frame

    def _step(self):
        """Takes one frame while live."""
        frame = self.socket.receive()
        match frame["type"]:
            case "outcomes":
                self.outcomes |= {outcome["client_seq"]: outcome for outcome in frame["outcomes"]}
            case "batch" if frame["from"] == self.cursor or frame.get("catch_up"):
                self._apply([frame], self.scopes)
            case "batch" if frame["to"] > self.cursor:
                self._hello()
            case "grant":
                if frame["action"] == "remove":
                    self._drop(frame["scope"])
                else:
                    self._hello()
            case "error":
                raise SyncError(frame["problem"])
            case "purge":
                self.records, self.scopes = {}, {}
                raise SyncError({"code": frame["code"], "class": "fatal", "message": frame["reason"]})

    def _apply(self, frames, scopes):
        """Applies the frames of a catch-up, or one live batch, whole (BAT-2, BAT-4)."""
        for change in (change for frame in frames for change in frame["changes"]):
            for op in change["ops"]:
                self._apply_op(op)
        self.cursor = frames[-1]["to"]
        # A scope nobody knew comes into being under a grant of everything (BAT-7).
        born = {record["scope"] for record in self.records.values()}
        self.scopes = {scope: self.cursor for scope in self.scopes.keys() | set(scopes) | born}
        wrong = [scope for scope, said in frames[-1].get("digests", []) if self.scope_digest(scope) != said]
        for scope in wrong:
            self._drop(scope)
        if wrong:
            self._hello()

    def _apply_op(self, op):
        key = op["entity"], op["id"]
        if op["op"] == "put":
            self.records[key] = {"rv": op["rv"], "scope": op["scope"], "fields": op["fields"]}
        elif op["op"] == "patch" and key in self.records:
            record = self.records[key]
            fields = {name: value for name, value in (record["fields"] | op["fields"]).items() if value is not None}
            self.records[key] = {"rv": op["rv"], "scope": op.get("scope", record["scope"]), "fields": fields}
        elif op["op"] in ("del", "leave"):
            self.records.pop(key, None)

    def _load(self, scope, plan):
        """Downloads a snapshot (SNP-1); a row does not replace a record with a higher rv (SNP-3)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "gzip"}
        connection.request("GET", plan["url"], headers=headers)
        response = connection.getresponse()
        is_packed = response.getheader("Content-Encoding") == "gzip"
        for line in gzip.open(response) if is_packed else response:
            row = json.loads(line)
            if "code" in row:
                raise SyncError(row)
            if row.get("end"):
                self.scopes[scope] = row["seq"]
            elif "op" in row:
                held = self.records.get((row["entity"], row["id"]))
                if held is None or held["rv"] <= row["rv"]:
                    self._apply_op(row)
        if scope not in self.scopes:
            raise ConnectionError(f"the snapshot of {scope} was cut off")

    def _drop(self, scope):
        self.scopes.pop(scope, None)
        self.records = {key: record for key, record in self.records.items() if record["scope"] != scope}
