"""The manifests of deploy/: read, and held to what Kubernetes and its extensions publish of their kinds."""

from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from servable import options

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy"
# As the entrypoint of the image has them.
ENTRYPOINT = ("--port=8500", "--rest_api_port=8501")
# The oldest with preStop's sleep, and the newest that the package knows.
VERSIONS = ("1.30", kubernetes_validate.latest_version())


def documents(*paths):
    """What lies in files of YAML, one after the other."""
    return [document for path in paths for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def resources(folder):
    """What a kustomization names."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    return documents(*(folder / name for name in kustomization["resources"]))


def validate(resource):
    """Hold a resource to the schema of its kind, without fields that are not in it."""
    if resource["kind"] in _CUSTOM:
        jsonschema.Draft202012Validator(_CUSTOM[resource["kind"]]).validate(resource)
    else:
        for version in VERSIONS:
            kubernetes_validate.validate(resource, version, strict=True)


def pod_of(spec):
    """A Pod of what some kind of an extension has in the place of a pod's template."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}}
    return {**pod, "spec": {key: spec[key] for key in ("containers", "volumes")}}


def parsed(arguments):
    """The options of `servable serve` with these arguments, each of which is a flag that can be read."""
    result = options.parse(arguments)
    assert (result.unknown, result.failure) == ((), None)
    options.validate(result.options)
    return result.options


def only(kind, resources):
    """The one resource of this kind."""
    (found,) = [resource for resource in resources if resource["kind"] == kind]
    return found


def _object(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _list(items):
    return {"type": "array", "items": items}


_STRING, _STRINGS = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
_KEY = _object(["key", "name"], key=_STRING, name=_STRING)
_METADATA = _object(["name"], name=_STRING, labels=_STRINGS)
# Of the fields that the published definitions have, those that are used here, with their types and limits.
_POD_MONITOR = _object(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "monitoring.coreos.com/v1"},
    kind=_STRING,
    metadata=_METADATA,
    spec=_object(
        ["selector"],
        selector=_object([], matchLabels=_STRINGS),
        podMetricsEndpoints=_list(
            _object(
                [],
                port=_STRING,
                path=_STRING,
                interval={"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
                scheme={"enum": ["http", "https", "HTTP", "HTTPS"]},
                tlsConfig=_object(
                    [],
                    ca=_object([], secret=_KEY),
                    cert=_object([], secret=_KEY),
                    keySecret=_KEY,
                    serverName=_STRING,
                ),
            )
        ),
    ),
)
_SERVING_RUNTIME = _object(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "serving.kserve.io/v1alpha1"},
    kind=_STRING,
    metadata=_METADATA,
    spec=_object(
        ["containers"],
        annotations=_STRINGS,
        # What is in these two is a pod's; see `pod_of`.
        containers=_list({"type": "object"}),
        volumes=_list({"type": "object"}),
        protocolVersions=_list({"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}),
        supportedModelFormats=_list(
            _object(
                ["name"],
                name=_STRING,
                version=_STRING,
                autoSelect={"type": "boolean"},
                priority={"type": "integer", "minimum": 1},
            )
        ),
    ),
)
_CUSTOM = {"PodMonitor": _POD_MONITOR, "ClusterServingRuntime": _SERVING_RUNTIME}
