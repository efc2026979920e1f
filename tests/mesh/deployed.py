"""The Envoy of deploy/envoy on this machine: its files with ports, paths and certificates of a test filled in."""

import contextlib
import dataclasses
import itertools
import json
import subprocess
import time
from pathlib import Path

import grpc

from tests.mesh import envoy
from tests.process.certificates import Authority
from tests.process.launching import PATIENCE_S, free_port

FOLDER = Path(__file__).parents[2] / "deploy" / "envoy"
# The files' interval is 2 s.
HEALTH_INTERVAL_S = 0.5
MODEL = "half_plus_two"
AUTHORITY = Authority("mesh")
SERVER = AUTHORITY.vouch_for("servable", "spiffe://example.org/servable")
CALLER = AUTHORITY.vouch_for("caller", "spiffe://example.org/caller/shop")


@dataclasses.dataclass(frozen=True)
class Deployed:
    """An Envoy that runs.

    Attributes:
        address: Where callers call.
        log: The path of what it writes, access logs and warnings.
    """

    address: str
    log: Path
    _admin_port: int

    def statistic(self, name):
        """A number of the cluster of the servers."""
        return envoy.statistic(self._admin_port, f"cluster.servers.{name}")

    def wait_for(self, name, value):
        """Wait until a number of the cluster has a value."""
        ends_at = time.monotonic() + PATIENCE_S
        while (found := self.statistic(name)) != value:
            assert time.monotonic() < ends_at, f"{name} is {found}, not {value}\n{self.log.read_text()}"
            time.sleep(0.02)  # Only its statistics show it.
        return self

    def wait_for_access_log(self):
        """Wait until a call has been logged, and give the lines of all that were."""
        ends_at = time.monotonic() + PATIENCE_S
        while not (lines := [line for line in self.log.read_text().splitlines() if line.startswith("{")]):
            assert time.monotonic() < ends_at, self.log.read_text()
            time.sleep(0.02)  # Only the file shows it.
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def running(ports, folder):
    """Yields Envoy before servers on these ports, from when it listens."""
    listening, admin_port = free_port(), free_port()
    write(folder, ports, listening, admin_port)
    with envoy.running(folder / "envoy.yaml", listening) as log:
        yield Deployed(f"127.0.0.1:{listening}", log, admin_port)


def validated(folder):
    """What `envoy --mode validate` says of the files in a folder."""
    done = subprocess.run(
        [envoy.program(), "--mode", "validate", "-c", folder / "envoy.yaml"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def write(folder, ports, listening, admin_port):
    """Fill the files in: up to three servers, and where Envoy listens."""
    (folder / "tls").mkdir()
    write_identity(folder / "tls", AUTHORITY.vouch_for("envoy", "spiffe://example.org/envoy"))
    changes = {
        "envoy.yaml": {
            "address: 0.0.0.0, port_value: 8500": f"address: 127.0.0.1, port_value: {listening}",
            "port_value: 9901": f"port_value: {admin_port}",
            "service_name: my_model": f"service_name: {MODEL}",
            " interval: 2s": f" interval: {HEALTH_INTERVAL_S}s",
            "no_traffic_interval: 2s": f"no_traffic_interval: {HEALTH_INTERVAL_S}s",
        },
        "servers.yaml": {
            f"address: 10.0.0.{number}, port_value: 8500": f"address: 127.0.0.1, port_value: {port}"
            # Envoy sees an address that is named twice as one.
            for number, port in zip((1, 2, 3), itertools.cycle(ports), strict=False)
        },
        "own_certificate.yaml": {},
        "trusted_authority.yaml": {},
    }
    for name, replacements in changes.items():
        text = (FOLDER / name).read_text(encoding="utf-8")
        for theirs, ours in replacements.items():
            assert text.count(theirs) == 1, theirs
            text = text.replace(theirs, ours)
        (folder / name).write_text(text.replace("/etc/envoy", str(folder)))


def write_identity(folder, identity):
    """Write the files that Kubernetes' secrets have for an Identity."""
    contents = {"tls.crt": identity.certificate, "tls.key": identity.key, "ca.crt": AUTHORITY.certificate}
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def opening(identity=CALLER):
    """What opens a channel in the name of an Identity; None for somebody without a certificate."""
    pair = {"private_key": identity.key, "certificate_chain": identity.certificate} if identity else {}
    credentials = grpc.ssl_channel_credentials(AUTHORITY.certificate, **pair)

    def open_channel(target, options=()):
        return grpc.secure_channel(target, credentials, [*options, ("grpc.ssl_target_name_override", "localhost")])

    return open_channel
