"""What no output may ever hold: the keys and tokens of tests, and payloads that can be told from anything else.

Whoever makes a secret for a test registers it: `SECRETS.add("the key of the server", pem)`. After each test the suite
searches what it wrote (tests/conftest.py), and processes that tests start are searched as they end (tests/process/
launching.py). `test_outputs.py` looks at everything that a server can be asked for.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse

_SHORTEST = 12
# Of a PEM the lines of its body, which are those of no other key but for the first and the last ones.
_PEM_LINE = 40


class Secrets:
    """Secrets by what they are. Thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self._needles: dict[str, str] = {}

    def add(self, what, secret):
        """Register a secret, and give it back.

        Args:
            what: How a failure names it.
            secret: A token, a PEM or a payload, as text or bytes.
        """
        text = secret.decode(errors="replace") if isinstance(secret, bytes) else secret
        with self._lock:
            for needle in _forms(text):
                self._needles[needle] = what
        return secret

    def find(self, output):
        """The names of the secrets that an output holds, whole or in part, in any of the usual encodings."""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        with self._lock:
            needles = list(self._needles.items())
        return sorted({what for needle, what in needles if needle in text})


SECRETS = Secrets()
"""Those of the whole run."""


def _forms(secret):
    if "-----BEGIN" in secret:
        if "PRIVATE KEY" in secret:
            lines = [line for line in secret.splitlines() if len(line) >= _PEM_LINE and "-----" not in line]
            # The first line of a key has the names of its algorithm, which all keys of one kind share.
            yield from lines[1:]
        return
    assert len(secret) >= _SHORTEST, "a secret this short is found by chance"
    raw = secret.encode()
    yield secret
    yield json.dumps(secret)[1:-1]
    yield urllib.parse.quote(secret, safe="")
    yield raw.hex()
    # Of base64 what does not depend on where in a longer text the secret stands.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        yield encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
