"""Reads the metrics of a server, as they stand on its page."""

import asyncio
import http.server
import threading

from prometheus_client import parser

from servable.http_exchange import HttpRequest


def read(server):
    """All samples of a server's page: value by name and labels."""
    families = parser.text_string_to_metric_families(server.metrics.write().decode())
    samples = (sample for family in families for sample in family.samples)
    return {(_name(sample.name), frozenset(sample.labels.items())): sample.value for sample in samples}


def _name(parsed):
    """The name as it stands on the page: the parser puts `_total` behind those of counters."""
    is_changed = parsed.startswith(":") and not parsed.endswith("example_count_total")
    return parsed.removesuffix("_total") if is_changed else parsed


class Increase:
    """What has been counted since this was made. Of a server that others use too, look at names of your own."""

    def __init__(self, server):
        self._server, self._before = server, read(server)

    def of(self, name, **labels):
        """The increase of all samples of a name that have these labels."""
        return sum(
            value - self._before.get((each, have), 0.0)
            for (each, have), value in read(self._server).items()
            if each == name and labels.items() <= dict(have).items()
        )

    def labels(self, name):
        """The labels of all samples of a name that have increased."""
        return [
            dict(have)
            for (each, have), value in read(self._server).items()
            if each == name and value > self._before.get((each, have), 0.0)
        ]


class Listener:
    """Serves a handler of HTTP on a free port, by the standard library's server."""

    def __init__(self, handler):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                headers = [(key.lower().encode(), value.encode()) for key, value in self.headers.items()]
                reply = asyncio.run(handler(HttpRequest("GET", self.path, b"", headers)))
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
