"""Unix sockets: alone, beside TCP, and what a path that cannot be used is reported as."""

import socket
import stat

import pytest

from servable import app
from servable.errors import Unavailable
from servable.options import ServerOptions
from servable.transport.server import GrpcServer, ServerSettings
from tests.process.transport import UNARY, connect


def listen(*addresses):
    server = GrpcServer({UNARY: lambda request, _time_left_s, _context: request}, ServerSettings(list(addresses)))
    return server, server.start()


def call(address):
    with connect(address) as channel:
        return channel.unary_unary(UNARY)(b"a call", timeout=30)


@pytest.mark.behaviour("5", "--port")
@pytest.mark.behaviour("11.4", "unix:<path>, relative or absolute, alone or beside TCP")
def test_port_0_leaves_the_socket_alone(tmp_path):
    configuration = app.configure(
        ServerOptions(model_base_path="/m", port=0, grpc_socket_path=str(tmp_path / "s.sock"))
    )
    assert configuration.settings.addresses == [f"unix:{tmp_path}/s.sock"]


@pytest.mark.behaviour("5", "--grpc_socket_path")
@pytest.mark.behaviour("11.4", "unix:<path>, relative or absolute, alone or beside TCP")
def test_a_socket_beside_a_port_are_both_answered(tmp_path):
    configuration = app.configure(
        ServerOptions(model_base_path="/m", port=8500, grpc_socket_path="relative.sock", bind_address="127.0.0.1")
    )
    assert configuration.settings.addresses == ["127.0.0.1:8500", "unix:relative.sock"]
    server, (port, _) = listen("127.0.0.1:0", f"unix:{tmp_path}/s.sock")
    assert call(f"127.0.0.1:{port}") == call(f"unix:{tmp_path}/s.sock") == b"a call"
    server.stop()


@pytest.mark.behaviour("5", "--grpc_socket_path")
@pytest.mark.behaviour("11.4", "unix:<path>, relative or absolute, alone or beside TCP")
def test_a_relative_path_is_one_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server, _ = listen("unix:s.sock")
    assert call(f"unix:{tmp_path}/s.sock") == b"a call"
    server.stop()


def test_the_socket_is_gone_with_the_server(tmp_path):
    path = tmp_path / "s.sock"
    server, _ = listen(f"unix:{path}")
    assert stat.S_ISSOCK(path.stat().st_mode)
    server.stop()
    assert not path.exists()


@pytest.mark.behaviour("11.4", "a socket that was left behind is taken over")
def test_what_a_killed_server_left_is_taken_over(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    assert path.exists()
    server, _ = listen(f"unix:{path}")
    assert call(f"unix:{path}") == b"a call"
    server.stop()


@pytest.mark.behaviour("11.4", "a path that cannot be used is reported")
@pytest.mark.parametrize("name", ["file", "missing/s.sock", "x" * 200])
def test_a_path_that_cannot_be_used_is_an_error_and_left_alone(tmp_path, name):
    (tmp_path / "file").write_text("not to be lost")
    with pytest.raises(Unavailable) as caught:
        listen(f"unix:{tmp_path / name}")
    assert caught.value.message == (
        f"Cannot listen on unix:{tmp_path / name}: no socket can be made there; "
        "the path must be free, short, and in a directory that exists."
    )
    assert (tmp_path / "file").read_text() == "not to be lost"
