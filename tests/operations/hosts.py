"""The machines of the run book on this one: a folder in place of each root, and addresses of the loopback."""

import functools
import os
import re
import secrets
import subprocess
import sys

from tests.mesh import envoy
from tests.process.launching import PATIENCE_S, free_port

_PORTS = ("8500", "8502", "8510", "9090", "9901")
# Envoys of one machine share memory by a number, unless told otherwise; and 10 s is long for a test.
_ENVOY_FLAGS = "--concurrency 1 --use-dynamic-base-id"
_PROGRAMS = {
    "opt/servable/bin/servable": f'exec "{sys.executable}" -m servable "$@"',
    "opt/envoy/bin/envoy": f'exec "{envoy.program() if envoy.IS_INSTALLED else ""}" {_ENVOY_FLAGS} "$@"',
    "bin/servable-client": f'exec "{sys.executable}" -m servable_client.cli "$@"',
}


class Network:
    """Where the run book's addresses and ports are on this machine."""

    def __init__(self):
        self._ports = {port: str(free_port()) for port in _PORTS}
        # All of 127.0.0.0/8 is this machine's, so the servers differ by their addresses, as in the run book.
        self._prefix = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}."

    def translate(self, text):
        """A text of the run book, with addresses and ports of this network."""
        text = text.replace("10.0.0.", self._prefix)
        return re.sub(rf"\b({'|'.join(_PORTS)})\b", lambda found: self._ports[found[1]], text)


class Host:
    """One machine.

    Attributes:
        root: The folder in place of its root.
    """

    def __init__(self, root, network):
        self.root, self._network = root, network
        for name, line in _PROGRAMS.items():
            program = root / name
            program.parent.mkdir(parents=True)
            program.write_text(f"#!/bin/sh\n{line}\n")
            program.chmod(0o755)

    def translate(self, text):
        """A text of the run book, with paths, addresses and ports of this machine."""
        text = re.sub(r"(?<![\w./])/(?=(etc|opt|srv|tmp/my_export|var/log/servable)\b)", f"{self.root}/", text)
        return self._network.translate(text)

    def path(self, path):
        """Where an absolute path of the run book is."""
        return self.root / path.lstrip("/")

    def write(self, files, **replacements):
        """Write files of the run book, by path."""
        for path, text in files.items():
            changed = functools.reduce(lambda found, change: found.replace(*change), replacements.items(), text)
            self.path(path).parent.mkdir(parents=True, exist_ok=True)
            self.path(path).write_text(self.translate(changed))

    def begin(self, commands):
        """Start commands of the run book."""
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", self.translate(commands)],
            cwd=self.root, env=self.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, commands, status=0):
        """Run commands of the run book to their end, and give what they wrote."""
        process = self.begin(commands)
        try:
            written, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        assert process.returncode == status, f"{self.translate(commands)}\n{written}"
        return written

    def environment(self, **more):
        """The environment of this machine's processes."""
        path = f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "no_proxy": "127.0.0.0/8,localhost", **more}
