"""deploy/kubernetes and deploy/kserve: valid, and true of the server and its image."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.deploy import manifests
from tests.process.launching import PATIENCE_S, ServerProcess, free_port

BASE = manifests.resources(manifests.FOLDER / "kubernetes" / "base")
MONITORING = manifests.resources(manifests.FOLDER / "kubernetes" / "monitoring")
(RUNTIME,) = manifests.documents(manifests.FOLDER / "kserve" / "serving-runtime.yaml")
POD = manifests.only("Deployment", BASE)["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
(RUNTIME_CONTAINER,) = RUNTIME["spec"]["containers"]
PROBES = "startupProbe", "readinessProbe", "livenessProbe"
DOCKERFILE = (manifests.ROOT / "Dockerfile").read_text(encoding="utf-8")
MOUNTS_OF_ITS_OWN = "unshare", "--mount", "--propagation", "private", "sh", "-c"
# A root that cannot be written to but for /tmp, no capabilities, and the models at /mnt, as in the pod at /models.
READ_ONLY = """
set -e
mount --bind "$0" /mnt
mount -t tmpfs tmpfs /tmp
mount -o remount,bind,ro /
if touch /mine 2>/dev/null; then exit 99; fi
HOME=/tmp exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


def name_of(resource):
    return f"{resource['kind']}-{resource['metadata']['name']}"


@pytest.mark.parametrize("resource", [*BASE, *MONITORING, RUNTIME], ids=name_of)
def test_each_manifest_is_valid(resource):
    manifests.validate(resource)


def test_each_manifest_is_part_of_a_kustomization():
    for folder, resources in (("base", BASE), ("monitoring", MONITORING)):
        files = (manifests.FOLDER / "kubernetes" / folder).glob("*.yaml")
        theirs = [path for path in files if path.name not in ("kustomization.yaml", "prometheus-adapter-values.yaml")]
        assert sorted(map(name_of, manifests.documents(*theirs))) == sorted(map(name_of, resources))


def test_the_runtime_s_containers_are_a_pod_s():
    manifests.validate(manifests.pod_of(RUNTIME["spec"]))


def test_selectors_select_the_pods_and_names_lead_to_what_is_there():
    labels = manifests.only("Deployment", BASE)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        resource["spec"]["selector"].get("matchLabels", resource["spec"]["selector"])
        for resource in (*BASE, *MONITORING)
        if "selector" in resource.get("spec", {})
    ]
    assert selectors == [labels] * len(selectors)
    assert manifests.only("NetworkPolicy", BASE)["spec"]["podSelector"]["matchLabels"] == labels
    names = {name_of(resource) for resource in BASE}
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    assert f"ConfigMap-{volumes['config']['configMap']['name']}" in names
    assert f"PersistentVolumeClaim-{volumes['models']['persistentVolumeClaim']['claimName']}" in names
    assert f"ServiceAccount-{POD['serviceAccountName']}" in names
    scaled = manifests.only("HorizontalPodAutoscaler", MONITORING)["spec"]["scaleTargetRef"]
    assert f"{scaled['kind']}-{scaled['name']}" in names


def test_the_flags_are_the_server_s_and_the_ports_those_that_it_opens():
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    ours = manifests.parsed([*manifests.ENTRYPOINT, *CONTAINER["args"]])
    assert ports == {"grpc": ours.port, "http": ours.rest_api_port, "metrics": ours.metrics_port}
    assert {CONTAINER[probe]["grpc"]["port"] for probe in PROBES} == {ours.port}
    theirs = manifests.parsed(RUNTIME_CONTAINER["args"])
    assert (theirs.port, theirs.rest_api_port) == (9000, 8080)  # KServe's.
    assert RUNTIME_CONTAINER["readinessProbe"]["httpGet"]["port"] == theirs.rest_api_port
    assert RUNTIME["spec"]["annotations"]["prometheus.kserve.io/port"] == str(theirs.metrics_port)


def test_ports_by_name_are_the_container_s():
    names = {port["name"] for port in CONTAINER["ports"]}
    services = [resource for resource in BASE if resource["kind"] == "Service"]
    asked = [port["targetPort"] for service in services for port in service["spec"]["ports"]]
    ingress = manifests.only("NetworkPolicy", BASE)["spec"]["ingress"]
    asked += [port["port"] for rule in ingress for port in rule["ports"]]
    asked += [endpoint["port"] for endpoint in manifests.only("PodMonitor", MONITORING)["spec"]["podMetricsEndpoints"]]
    assert set(asked) == names


def test_the_grace_period_has_room_for_a_whole_drain():
    ours = manifests.parsed(CONTAINER["args"])
    slept_s = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] >= slept_s + ours.drain_delay_s + ours.drain_timeout_s + 2
    theirs = manifests.parsed(RUNTIME_CONTAINER["args"])
    assert theirs.drain_delay_s + theirs.drain_timeout_s <= 30 - 2  # What Kubernetes gives where nothing is said.


def test_user_ports_and_paths_are_the_image_s():
    user, group = map(int, re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups())
    security = POD["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (user, group)
    assert RUNTIME_CONTAINER["securityContext"]["runAsUser"] == user
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[1].split()
    assert {f"--port={exposed[0]}", f"--rest_api_port={exposed[1]}"} == set(manifests.ENTRYPOINT)
    entrypoint = (manifests.ROOT / "docker" / "tf_serving_entrypoint.sh").read_text(encoding="utf-8")
    assert " ".join(manifests.ENTRYPOINT) in entrypoint
    (program,) = RUNTIME_CONTAINER["command"]
    assert re.search(rf"^COPY .*{program.rpartition('/')[2]} {program.rpartition('/')[0]}/$", DOCKERFILE, re.MULTILINE)
    assert "HOME=/tmp" in DOCKERFILE
    for container, volumes in ((CONTAINER, POD["volumes"]), (RUNTIME_CONTAINER, RUNTIME["spec"]["volumes"])):
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert "emptyDir" in next(volume for volume in volumes if volume["name"] == mounts["/tmp"])


def test_containers_may_do_nothing_that_the_server_does_not_need():
    for container in (CONTAINER, RUNTIME_CONTAINER):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {**POD["securityContext"], **security}["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {**POD["securityContext"], **security}["runAsNonRoot"]
    assert not POD["automountServiceAccountToken"]


def test_the_autoscaler_asks_for_a_metric_that_the_server_has_and_the_adapter_offers():
    autoscaler = manifests.only("HorizontalPodAutoscaler", MONITORING)
    (name,) = [metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"] if "pods" in metric]
    (values,) = manifests.documents(manifests.FOLDER / "kubernetes" / "monitoring" / "prometheus-adapter-values.yaml")
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == rule["seriesQuery"].partition("{")[0] == name
    assert f"`{name}`" in (manifests.ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_pod_s_command_line_serves_with_a_read_only_root_and_answers_its_probes(models, tmp_path):
    if subprocess.run([*MOUNTS_OF_ITS_OWN, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this user cannot have mounts of its own")
    if Path(sys.prefix).resolve().is_relative_to("/tmp"):
        pytest.skip("Python lies in /tmp, which the pod has for itself")
    config = manifests.only("ConfigMap", BASE)["data"]["models.config"]
    shutil.copytree(models.base_path("half_plus_two"), tmp_path / "models" / "my_model")
    (tmp_path / "servable").mkdir()
    (tmp_path / "servable" / "models.config").write_text(config.replace("/models/", "/mnt/models/"))
    ports = {"--port": None, "--rest_api_port": free_port(), "--metrics_port": free_port()}
    arguments = [argument for argument in CONTAINER["args"] if argument.partition("=")[0] not in ports]
    arguments = [argument.replace("/etc/servable/", "/mnt/servable/") for argument in arguments]
    arguments += [f"{name}={port}" for name, port in ports.items() if port]
    server = ServerProcess(*arguments, under=[*MOUNTS_OF_ITS_OWN, READ_ONLY, str(tmp_path)])
    try:
        server.wait_until_serving()
        for probe in PROBES:
            service = CONTAINER[probe]["grpc"].get("service", "")
            assert health_of(server.address, service) == health_pb2.HealthCheckResponse.SERVING, probe
        path = RUNTIME_CONTAINER["readinessProbe"]["httpGet"]["path"].replace("{{.Name}}", "my_model")
        assert json.loads(fetched(ports["--rest_api_port"], path)) == {"name": "my_model", "ready": True}
        (endpoint,) = manifests.only("PodMonitor", MONITORING)["spec"]["podMetricsEndpoints"]
        assert b"servable_requests_in_flight" in fetched(ports["--metrics_port"], endpoint["path"])
    finally:
        server.kill()


def health_of(address, service):
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE_S).status


def fetched(port, path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as reply:
        return reply.read()
