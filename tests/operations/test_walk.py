"""docs/operations.md, walked: its blocks are run on three servers behind a real Envoy, before a real Prometheus."""

import contextlib
import json
import shutil
import subprocess
import types

import pytest

from tests.deploy import prometheus
from tests.mesh import envoy
from tests.operations import runbook
from tests.operations.hosts import Host, Network
from tests.operations.services import Service
from tests.process.launching import PATIENCE_S
from tests.tools import require

pytestmark = [
    # Its servers start together, which takes a while on a machine that does much else.
    pytest.mark.timeout(300),
    pytest.mark.skipif(not envoy.IS_INSTALLED, reason=envoy.WHY_NOT),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]

SERVERS = ("server-1", "server-2", "server-3")
MACHINES = (*SERVERS, "envoy", "prometheus", "shop", "ca")
VARIABLES = "/etc/servable/servable.env"
WHILE_REPLACED = "on a caller's machine, while a server is replaced"


@pytest.fixture(scope="module")
def site(models, tmp_path_factory):
    """The machines, as the run book leaves them once Envoy is started: `hosts` and `services` by name."""
    folder, network = tmp_path_factory.mktemp("site"), Network()
    hosts = {name: Host(folder / name, network) for name in MACHINES}
    issue(hosts)
    services = {name: prepared_server(hosts[name], name[-1], models) for name in SERVERS}
    services["envoy"] = prepared_envoy(hosts["envoy"])
    with contextlib.ExitStack() as ending:
        for service in services.values():
            ending.callback(service.kill)
            service.start()
        for service in services.values():
            service.await_start()
        await_output(hosts["envoy"], "on the balancer", lambda written: len(written.splitlines()) == len(SERVERS))
        yield types.SimpleNamespace(hosts=hosts, services=services)


def issue(hosts):
    hosts["ca"].write(runbook.files_below("/srv/ca/"))
    hosts["ca"].run(runbook.commands("on the CA's machine"))
    for name, place in runbook.places_of_certificates().items():
        shutil.copytree(hosts["ca"].path("/srv/ca") / name, hosts[name].path(place))


def prepared_server(host, number, models):
    files = runbook.files_below("/etc/servable/")
    recording = files.pop(f"{VARIABLES}.recording")
    if f"ADDRESS=10.0.0.{number}\n" in recording:
        files[VARIABLES] = recording
    host.write(files, **{"ADDRESS=10.0.0.1": f"ADDRESS=10.0.0.{number}"})
    host.path("/var/log/servable").mkdir(parents=True)
    shutil.copytree(models.version_path("half_plus_two"), host.path("/tmp/my_export"))
    host.path("/srv/models").mkdir(parents=True)
    host.run(runbook.commands("on each server"))
    return Service(host, "servable.service")


def prepared_envoy(host):
    files = (runbook.ROOT / "deploy" / "envoy").glob("*.yaml")
    # On this machine the servers have the same port at other addresses.
    host.write({f"/etc/envoy/{file.name}": file.read_text() for file in files}, **{"0.0.0.0": "10.0.0.10"})
    return Service(host, "envoy.service")


def await_output(host, title, is_right):
    """Run commands until what they write is right."""
    found = []

    def run():
        process = host.begin(runbook.commands(title))
        found[:] = process.communicate(timeout=PATIENCE_S)[:1]
        return process.returncode == 0 and is_right(found[0])

    try:
        prometheus.wait_for(run)
    except AssertionError:
        raise AssertionError(found) from None


def fetch(site, machine, certificates, url):
    """The status and the text of a page that a machine asks for with its certificates."""
    host = site.hosts[machine]
    tls = f"--cacert {certificates}/ca.crt --cert {certificates}/tls.crt --key {certificates}/tls.key"
    *lines, status = host.run(f"curl -sS --noproxy '*' -w '\\n%{{http_code}}' {tls} {url}").splitlines()
    return int(status), "\n".join(lines)


def read(site, number, *begins):
    """The sum of a server's samples that begin like this."""
    status, page = fetch(site, "prometheus", "/etc/prometheus/tls", f"https://10.0.0.{number}:8502/metrics")
    assert status == 200
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(begins))


def test_a_caller_with_a_certificate_is_answered_through_envoy(site):
    assert "3" in site.hosts["shop"].run(runbook.commands("on a caller's machine"))


@pytest.mark.parametrize("title", ["on a stranger's machine, refused", "on a stranger's machine, refused by a server"])
def test_a_caller_without_one_is_refused(site, title):
    assert "UNAVAILABLE" in site.hosts["shop"].run(runbook.commands(title), status=1).upper()


def test_a_caller_may_do_what_a_rule_allows_and_nothing_else(site):
    other = runbook.commands("on a caller's machine").replace("my_model", "other")
    assert "may not" in site.hosts["shop"].run(other, status=1)
    assert fetch(site, "shop", "/etc/shop/tls", "https://10.0.0.1:8502/metrics")[0] == 403


@pytest.mark.parametrize("title", ["on one server", "on one server, of the rules"])
def test_the_model_and_the_rules_are_found_good(site, title):
    site.hosts["server-1"].run(runbook.commands(title))


def test_a_new_certificate_is_taken_up(site):
    site.hosts["ca"].run(runbook.commands("on the CA's machine, for new certificates"))
    server = site.hosts["server-1"]
    shutil.copytree(site.hosts["ca"].path("/srv/ca/server-1"), server.path("/etc/servable/tls.new"))
    server.run(runbook.commands("on a server, with new certificates in /etc/servable/tls.new"))
    prometheus.wait_for(lambda: read(site, 1, 'servable_tls_reloads_total{outcome="taken"}') == 1)


def test_a_server_is_replaced_without_a_lost_call(site):
    bench = site.hosts["shop"].begin(runbook.commands(WHILE_REPLACED))
    before = read(site, 2, "servable_requests_total")
    prometheus.wait_for(lambda: read(site, 2, "servable_requests_total") > before)
    assert site.services["server-2"].stop() == 0
    site.services["server-2"].start()
    site.services["server-2"].await_start()
    written, _ = bench.communicate(timeout=PATIENCE_S)
    found = json.loads(written)
    assert list(found["statuses"]) == ["OK"], found["statuses"]
    assert found["elapsed_s"] == pytest.approx(15, abs=2)


def test_a_load_for_sizing_is_measured(site):
    written = site.hosts["shop"].run(runbook.commands("on a caller's machine, to size"))
    assert written.count("calls succeeded") == 2
    assert "calls failed" not in written


def test_a_model_goes_back_a_version(site):
    server = site.hosts["server-1"]
    shutil.copytree(server.path("/tmp/my_export"), server.path("/srv/models/my_model/.incoming"))
    server.path("/srv/models/my_model/.incoming").rename(server.path("/srv/models/my_model/2"))
    loaded = 'servable_version_load_seconds{model_name="my_model",version="2"}'
    prometheus.wait_for(lambda: read(site, 1, loaded) > 0)
    server.run(runbook.commands("on one server, back to version 1"))
    prometheus.wait_for(lambda: read(site, 1, loaded) == 0)
    prometheus.wait_for(lambda: read(site, 1, loaded.replace("2", "1")) > 0)


def test_prometheus_sees_the_servers_and_has_the_alerts(site):
    host, program = site.hosts["prometheus"], require("prometheus")
    files = runbook.files_below("/etc/prometheus/")
    rules = {f"/etc/prometheus/{file.name}": file.read_text() for file in prometheus.RULES}
    host.write({**files, **rules}, **{"15s": "1s"})
    with running(host, program):
        await_output(host, "on the monitor", lambda written: "=> 3 @" in written)


def test_recorded_requests_are_played_to_another_server(site):
    site.hosts["shop"].run(runbook.commands(WHILE_REPLACED).replace("-d 15", "-d 2"))
    # Its files are whole once it has stopped.
    assert site.services["server-3"].stop(hastily=True) == 0
    logs, reader = "/var/log/servable", site.hosts["shop"]
    shutil.copytree(site.hosts["server-3"].path(logs), reader.path(logs))
    written = reader.run(runbook.commands("on a machine with the log"))
    assert "differ" not in written or "0 differ" in written, written


@contextlib.contextmanager
def running(host, program):
    flags = "--config.file=/etc/prometheus/prometheus.yml --web.listen-address=127.0.0.1:9090"
    command = host.translate(f"{program} {flags} --storage.tsdb.path={host.root}/data").split()
    with (host.root / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.kill()
