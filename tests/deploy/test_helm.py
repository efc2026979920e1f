"""The chart, by Helm itself as a library: linted, rendered with several values, and equal to the manifests."""

import json

import jsonschema
import pytest
import yaml

from tests.deploy import manifests

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed; it is part of the extra `test`")

CHART = manifests.FOLDER / "helm" / "servable"
FULL = {
    "autoscaling": {"enabled": True},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "extraArgs": ["--enable_batching", "--log_level=warning"],
    "models": [{"name": "a", "basePath": "/models/a"}, {"name": "b", "basePath": "/models/b"}],
    "readinessModel": "b",
    "modelVolume": {"nfs": {"server": "nfs.example.org", "path": "/models"}},
    "networkPolicy": {"callers": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]},
    "podLabels": {"team": "models"},
    "podAnnotations": {"note": "any"},
    "env": [{"name": "TF_CPP_MIN_LOG_LEVEL", "value": "1"}],
    "tolerations": [{"key": "models", "operator": "Exists"}],
    "nodeSelector": {"disk": "fast"},
    "imagePullSecrets": [{"name": "registry"}],
    "image": {"repository": "registry.example.org/servable", "tag": "1.2.3"},
}
PROXIES = ["spiffe://example.org/envoy", "spiffe://example.org/gateway"]
TLS = {"tls": {"secretName": "servable-tls", "trustedProxies": PROXIES}, "podMonitor": {"enabled": True}}
BARE = {"podDisruptionBudget": {"enabled": False}, "networkPolicy": {"enabled": False}}
VALUES = {"none": {}, "full": FULL, "tls": TLS, "bare": BARE}


def rendered(values, name="servable"):
    """The resources that a release of this name consists of."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name=name, namespace="models")
    pages = [text for path, text in texts.items() if path.endswith(".yaml")]
    return [document for page in pages for document in yaml.safe_load_all(page) if document]


def pod_of(resources):
    return manifests.only("Deployment", resources)["spec"]["template"]["spec"]


def test_helm_finds_nothing_to_warn_of():
    report = helm.lint(CHART, strict=True)
    informational = 1
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > informational] == []


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_what_is_rendered_is_valid_and_its_flags_are_the_server_s(values):
    resources = rendered(values, name="demo")
    for resource in resources:
        manifests.validate(resource)
    (container,) = pod_of(resources)["containers"]
    options = manifests.parsed([*manifests.ENTRYPOINT, *container["args"]])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": options.port, "http": options.rest_api_port, "metrics": options.metrics_port}


def test_the_schema_is_one_and_refuses_what_has_no_effect():
    jsonschema.Draft7Validator.check_schema(json.loads((CHART / "values.schema.json").read_text()))
    with pytest.raises(helm.HelmError, match="replicaCount"):
        rendered({"replicaCount": 5})
    with pytest.raises(helm.HelmError, match="models"):
        rendered({"models": []})


def test_without_values_the_pods_are_those_of_the_manifests():
    theirs = pod_of(manifests.resources(manifests.FOLDER / "kubernetes" / "base"))
    ours = pod_of(rendered({}))
    assert set(ours) == set(theirs)
    for key in ("securityContext", "terminationGracePeriodSeconds", "automountServiceAccountToken"):
        assert ours[key] == theirs[key]
    (container,), (their_container,) = ours["containers"], theirs["containers"]
    assert container.pop("imagePullPolicy") == "IfNotPresent"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        container[probe].pop("timeoutSeconds")
        their_container[probe].pop("timeoutSeconds", None)
    assert container == their_container


def test_the_monitoring_is_that_of_the_manifests():
    theirs = manifests.resources(manifests.FOLDER / "kubernetes" / "monitoring")
    ours = rendered(FULL)
    name = "HorizontalPodAutoscaler"
    assert manifests.only(name, ours)["spec"] == manifests.only(name, theirs)["spec"]
    endpoints = [manifests.only("PodMonitor", each)["spec"]["podMetricsEndpoints"] for each in (ours, theirs)]
    assert endpoints[0] == endpoints[1]
    # Else each upgrade would set back what the autoscaler chose.
    assert "replicas" not in manifests.only("Deployment", ours)["spec"]


def test_with_tls_the_probes_are_commands_since_kubernetes_own_speak_clear_text():
    (container,) = pod_of(rendered(TLS))["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"][:3] == ["servable", "health", "127.0.0.1:8500"]
    options = manifests.parsed(container["args"])
    paths = options.tls_certificate_file, options.tls_key_file, options.tls_client_ca_file
    assert paths == tuple(f"/etc/servable-tls/{name}" for name in ("tls.crt", "tls.key", "ca.crt"))
    assert options.trusted_proxies == "spiffe://example.org/envoy,spiffe://example.org/gateway"


def test_the_models_file_is_the_server_s(tmp_path):
    from servable.config import models

    path = tmp_path / "models.config"
    path.write_text(manifests.only("ConfigMap", rendered(FULL))["data"]["models.config"])
    assert [model.name for model in models.read(str(path))] == ["a", "b"]
