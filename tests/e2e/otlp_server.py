"""A server for OpenTelemetry's log records over HTTP, which reads them by the definitions of the protocol: a field that they do not have is
an error. Records whose body ends in "bad" are rejected; one whose body ends in "busy" is not taken at its first time.

Its argument is a port. It prints a line of JSON for each request: the records, or what is wrong with it.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

seen = set()


def value(any_value):
    kind = any_value.WhichOneof("value")
    return kind and getattr(any_value, kind)


def record(resource, log):
    return {
        "service": {pair.key: value(pair.value) for pair in resource.attributes}["service.name"],
        "time": log.time_unix_nano,
        "severity": [log.severity_number, log.severity_text],
        "body": value(log.body),
        "attributes": {pair.key: value(pair.value) for pair in log.attributes},
    }


LOCK = threading.Lock()


def say(what):
    """Writes a line. Each connection has a thread, and print() writes the end of a line by itself."""
    with LOCK:
        print(json.dumps(what), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            if (self.path, self.headers["content-type"]) != ("/v1/logs", "application/json"):
                raise ValueError(f"{self.path} {self.headers['content-type']}")
            request = json_format.Parse(body, ExportLogsServiceRequest())
        except (ValueError, json_format.ParseError) as error:
            say({"wrong": str(error)})
            self.answer(400, {"code": 3, "message": "not what the protocol has"})
            return
        records = [
            record(of_resource.resource, log)
            for of_resource in request.resource_logs
            for of_scope in of_resource.scope_logs
            for log in of_scope.log_records
        ]
        busy = [r["body"] for r in records if r["body"].endswith("busy") and r["body"] not in seen]
        if busy:
            seen.update(busy)
            self.answer(503, {"code": 14, "message": "busy"})
            return
        bad = [r for r in records if r["body"].endswith("bad")]
        taken = [r for r in records if not r["body"].endswith("bad")]
        say({"taken": taken, "rejected": len(bad)})
        response = ExportLogsServiceResponse()
        if bad:
            response.partial_success.rejected_log_records = len(bad)
            response.partial_success.error_message = "bad"
        self.answer(200, json_format.MessageToDict(response))

    def answer(self, status, message):
        body = json.dumps(message).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
