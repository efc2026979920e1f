"""A real Prometheus that scrapes addresses, with the rules of deploy/."""

import contextlib
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

RULES = sorted((Path(__file__).parents[2] / "deploy" / "prometheus").glob("*_rules.yml"))
PATIENCE_S = 60.0
_PAUSE_S = 0.2
_CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: servable
    metrics_path: {path}
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """A Prometheus that runs, by its HTTP API."""

    def __init__(self, address):
        self._address = address

    def query(self, expression):
        """The samples that an expression has now."""
        return self._get("query", query=expression)["result"]

    def rules(self):
        """All rules, as Prometheus sees them."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self):
        """What is scraped, and how that goes."""
        return self._get("targets")["activeTargets"]

    def metadata(self):
        """The kind of each metric, as the page says it."""
        return {name: found[0]["type"] for name, found in self._get("metadata").items()}

    def exemplars(self, expression):
        """The exemplars of the last quarter of an hour, by series."""
        now_s = time.time()
        return self._get("query_exemplars", query=expression, start=now_s - 900, end=now_s + 60)

    def _get(self, what, **parameters):
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what} {parameters}: {error.read().decode()}") from error


@contextlib.contextmanager
def run(program, folder, target, path="/metrics", flags=()):
    """Yields a Prometheus that scrapes `path` of a target twice a second."""
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG.format(rules=", ".join(f'"{file}"' for file in RULES), path=path, target=target))
    address = f"127.0.0.1:{_free_port()}"
    flags = [
        *flags,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with open(folder / "log", "wb") as log, subprocess.Popen([program, *flags], stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: _is_ready(address, process))
            yield Prometheus(address)
        finally:
            process.kill()


def wait_for(condition, patience_s=PATIENCE_S):
    """Ask again until the condition holds; there is no event to wait for in another process."""
    ends_s = time.monotonic() + patience_s
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < ends_s, "in vain"
        pause.wait(_PAUSE_S)
    return found


def _is_ready(address, process):
    assert process.poll() is None, "prometheus has ended"
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=PATIENCE_S) as reply:
            return reply.status == 200
    except OSError:
        return False


def _free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
