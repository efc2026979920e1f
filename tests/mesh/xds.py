"""A control plane of xDS, as small as one can be: it says where servers are, and follows their health."""

import contextlib
import json
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.mesh.xds_messages import (
    EDS,
    Cluster,
    ClusterLoadAssignment,
    DiscoveryRequest,
    DiscoveryResponse,
    HttpConnectionManager,
    Listener,
    Router,
)
from tests.process.transport import PATIENCE_S

NAME = "servable"
TARGET = f"xds:///{NAME}"
_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class ControlPlane:
    """Answers one client at a time: a listener, whose route is a cluster, whose endpoints are the servers.

    Or one server that takes part in xDS itself: a listener on its port, whose calls it answers.
    """

    def __init__(self, ports, server_port=None):
        self._ports, self._server_port, self._version = list(ports), server_port, 1
        # What the client asks, and what it is told of its own accord: types of resources, None at the end.
        self._events = queue.Queue()
        self._acknowledged = threading.Condition()
        self._newest_acknowledged = 0

    def remove(self, port):
        """Name a server no more, and wait until the client has accepted that."""
        self._ports.remove(port)
        self._version += 1
        self._events.put(_ENDPOINTS)
        with self._acknowledged:
            assert self._acknowledged.wait_for(lambda: self._newest_acknowledged == self._version, PATIENCE_S)

    def await_not_serving(self, port):
        """Watch the health of a server, as control planes do, until it does not serve."""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
            assert any(reply.status == health_pb2.HealthCheckResponse.NOT_SERVING for reply in watch)

    def handler(self):
        """The one method of the Aggregated Discovery Service that gRPC calls, for its server."""
        method = grpc.stream_stream_rpc_method_handler(
            self._answer, DiscoveryRequest.FromString, DiscoveryResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"StreamAggregatedResources": method})

    def _answer(self, requests, context):
        context.add_callback(lambda: self._events.put(None))
        threading.Thread(target=self._read, args=(requests,), daemon=True).start()
        while (type_url := self._events.get()) is not None:
            version = str(self._version)
            response = DiscoveryResponse(version_info=version, nonce=version, type_url=type_url)
            response.resources.add().Pack(self._resource(type_url))
            yield response

    def _read(self, requests):
        with contextlib.suppress(grpc.RpcError):
            for request in requests:
                assert not request.error_detail.message, request.error_detail
                if not request.response_nonce:
                    self._events.put(request.type_url)
                elif request.type_url == _ENDPOINTS:
                    with self._acknowledged:
                        self._newest_acknowledged = int(request.version_info)
                        self._acknowledged.notify_all()

    def _resource(self, type_url):
        kind = type_url.rpartition(".")[2]
        makers = {"Listener": self._listener, "Cluster": _cluster, "ClusterLoadAssignment": self._endpoints}
        return makers[kind]()

    def _listener(self):
        return _server_listener(self._server_port) if self._server_port else _client_listener()

    def _endpoints(self):
        result = ClusterLoadAssignment(cluster_name=NAME)
        locality = result.endpoints.add()
        locality.locality.region = "here"
        locality.load_balancing_weight.value = 1
        for port in self._ports:
            address = locality.lb_endpoints.add().endpoint.address.socket_address
            address.address, address.port_value = "127.0.0.1", port
        return result


def _client_listener():
    manager, route = _manager_and_route()
    route.route.cluster = NAME
    result = Listener(name=NAME)
    result.api_listener.api_listener.Pack(manager)
    return result


def _server_listener(port):
    manager, route = _manager_and_route()
    route.non_forwarding_action.SetInParent()
    result = Listener(name=f"server/127.0.0.1:{port}")
    address = result.address.socket_address
    address.address, address.port_value = "127.0.0.1", port
    result.default_filter_chain.filters.add(name="manager").typed_config.Pack(manager)
    return result


def _manager_and_route():
    """What handles HTTP, and its only route, which still goes nowhere."""
    manager = HttpConnectionManager()
    host = manager.route_config.virtual_hosts.add(name=NAME, domains=["*"])
    route = host.routes.add()
    route.match.prefix = ""
    manager.http_filters.add(name="router").typed_config.Pack(Router())
    return manager, route


def _cluster():
    result = Cluster(name=NAME, type=EDS)
    result.eds_cluster_config.eds_config.ads.SetInParent()
    return result


@contextlib.contextmanager
def running(ports=(), server_port=None):
    """Yields a ControlPlane and the bootstrap with which gRPC finds it.

    Args:
        ports: Of the servers that it names to clients.
        server_port: Of the server that asks it for a listener, if one does.
    """
    control_plane = ControlPlane(ports, server_port)
    server = grpc.server(ThreadPoolExecutor(4), [control_plane.handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield control_plane, _bootstrap(port)
    finally:
        server.stop(None).wait()


def _bootstrap(port):
    authority = {
        "server_uri": f"127.0.0.1:{port}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    template = "server/%s"
    return json.dumps(
        {"xds_servers": [authority], "node": {"id": NAME}, "server_listener_resource_name_template": template}
    )
