"""A listener of a Kafka broker with TLS and logins, in front of a broker that has neither.

It lets nobody ask anything but for versions before a login (SASL: SCRAM by scramp, or PLAIN), as Apache Kafka does, and closes the
connection of whoever does. Then it hands all requests on. Its argument is JSON: listen and broker (ports), cert and key, client_ca (client
certificates must come from it), mechanisms (none: no logins), users (their passwords), impostor (it lets everybody in and cannot prove that it
knows the password). It prints a line for each login, and for what it does not let through.
"""

import base64
import json
import os
import socket
import ssl
import struct
import sys
import threading

from scramp import ScramException, ScramMechanism

VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, FAILED = 33, 34, 58

wanted = json.loads(sys.argv[1])


LOCK = threading.Lock()


def say(*words):
    with LOCK:
        print(*words, flush=True)


def exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def frame(stream):
    (length,) = struct.unpack(">i", exactly(stream, 4))
    if not 8 <= length <= 16 << 20:
        raise ValueError(f"a frame of {length}")
    return exactly(stream, length)


def framed(data):
    return struct.pack(">i", len(data)) + data


def varint(data):
    value = shift = 0
    for at, octet in enumerate(data):
        value |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            return value, data[at + 1 :]
    raise ValueError("a number that does not end")


def text(words):
    data = words.encode()
    return struct.pack(">h", len(data)) + data


def compact(data):
    # Those of the tests are short.
    assert len(data) < 16000
    length = len(data) + 1
    return (bytes([length]) if length < 0x80 else bytes([length & 0x7F | 0x80, length >> 7])) + data


class Login:
    def __init__(self):
        self.mechanism = self.server = self.user = None
        self.done = not wanted.get("mechanisms")

    def handshake(self, version, body):
        (length,) = struct.unpack(">h", body[:2])
        name = body[2:].decode()
        if version != 1 or length != len(body) - 2:
            raise ValueError(f"a handshake of version {version}: {body!r}")
        offered = wanted["mechanisms"]
        code = 0 if name in offered else UNSUPPORTED_MECHANISM
        if code == 0:
            self.mechanism = name
            if name != "PLAIN":
                mechanism = ScramMechanism(mechanism=name)

                def of_user(user):
                    self.user = user
                    return mechanism.make_auth_info(wanted["users"][user], iteration_count=4096)

                self.server = mechanism.make_server(of_user)
        return struct.pack(">hi", code, len(offered)) + b"".join(text(name) for name in offered)

    def step(self, message):
        """The answer; none where the login has failed."""
        if self.mechanism is None:
            return None
        if self.mechanism == "PLAIN":
            _, self.user, password = message.decode().split("\0")
            self.done = wanted["users"].get(self.user) == password
            return b"" if self.done else None
        try:
            if self.server.stage is None:
                self.server.set_client_first(message.decode())
                return self.server.get_server_first().encode()
            if wanted.get("impostor"):
                self.done = True
                return b"v=" + base64.b64encode(os.urandom(32))
            self.server.set_client_final(message.decode())
            last = self.server.get_server_final().encode()
            self.done = True
            return last
        except (ScramException, KeyError) as error:
            say("refused", repr(error))
            return None

    def authenticate(self, version, body):
        """The answer, and whether the connection may live."""
        if version == 2:
            length, rest = varint(body)
            message = rest[: length - 1]
            if rest[length - 1 :] != b"\0":
                raise ValueError("a step with tags")
        elif version in (0, 1):
            (length,) = struct.unpack(">i", body[:4])
            message = body[4:]
            if length != len(message):
                raise ValueError("a step of another length")
        else:
            raise ValueError(f"a step of version {version}")
        answer = self.step(message)
        code = 0 if answer is not None else FAILED if self.mechanism else ILLEGAL_STATE
        why = None if code == 0 else f"Authentication failed with SASL mechanism {self.mechanism}"
        answer = answer or b""
        if self.done:
            say("logged in", self.user, self.mechanism)
        if version == 2:
            # The head of an answer of this version has tags, too.
            said = b"\0" if why is None else compact(why.encode())
            return b"\0" + struct.pack(">h", code) + said + compact(answer) + struct.pack(">q", 0) + b"\0", code == 0
        said = struct.pack(">h", -1) if why is None else text(why)
        body = struct.pack(">h", code) + said + struct.pack(">i", len(answer)) + answer
        return body + (struct.pack(">q", 0) if version == 1 else b""), code == 0


def pass_on(source, target):
    try:
        while True:
            target.sendall(framed(frame(source)))
    except (OSError, EOFError, ValueError):
        pass
    for stream in (source, target):
        try:
            stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    broker = socket.create_connection(("127.0.0.1", wanted["broker"]))
    login = Login()
    try:
        while not login.done:
            request = frame(client)
            key, version, number, length = struct.unpack(">hhih", request[:10])
            body = request[10 + max(length, 0) :]
            if key == VERSIONS:
                broker.sendall(framed(request))
                client.sendall(framed(frame(broker)))
                continue
            alive = True
            if key == HANDSHAKE:
                answer = login.handshake(version, body)
            elif key == AUTHENTICATE:
                # The head of a request of version 2 has tags.
                answer, alive = login.authenticate(version, body[1:] if version == 2 else body)
            else:
                say("early", key)
                return
            client.sendall(framed(struct.pack(">i", number) + answer))
            if not alive:
                return
        back = threading.Thread(target=pass_on, args=(broker, client), daemon=True)
        back.start()
        while True:
            request = frame(client)
            if wanted.get("impostor"):
                say("trusted", struct.unpack(">h", request[:2])[0])
            broker.sendall(framed(request))
    except EOFError:
        pass
    except (OSError, ValueError) as error:
        say("broken", repr(error))
    finally:
        for stream in (client, broker):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()


def secure(context, client):
    try:
        client = context.wrap_socket(client, server_side=True)
    except OSError as error:
        say("no TLS", repr(error))
        client.close()
        return
    serve(client)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(wanted["cert"], wanted["key"])
if wanted.get("client_ca"):
    context.load_verify_locations(wanted["client_ca"])
    context.verify_mode = ssl.CERT_REQUIRED
with socket.create_server(("127.0.0.1", wanted["listen"])) as listener:
    say("listening")
    while True:
        client, _ = listener.accept()
        threading.Thread(target=secure, args=(context, client), daemon=True).start()
