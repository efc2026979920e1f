"""New certificates on disk: which are taken up and which are refused, told once, and counted."""

import datetime
import logging
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from servable.config.ssl_config import SslConfigFile
from servable.config.tls_files import TlsFiles
from servable.transport import credentials
from servable.transport.certificates import CertificateReload, Certificates
from servable.transport.http.tls import make_context
from tests.process.certificates import Authority, ssl_config

OURS, THEIRS = Authority("ours"), Authority("theirs")
FIRST, SECOND = OURS.vouch_for("first"), OURS.vouch_for("second")
NOW_S = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc).timestamp()
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.fromtimestamp(NOW_S, datetime.timezone.utc)


class Folder:
    """A secret as Kubernetes projects it: files are links into a folder whose name is swapped."""

    def __init__(self, path):
        self._path, self._count = path, 0
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (path / name).symlink_to(f"..data/{name}")

    def put(self, identity, authority=OURS):
        self._count += 1
        folder = self._path / f"..{self._count}"
        folder.mkdir()
        (folder / "tls.crt").write_bytes(identity.certificate)
        (folder / "tls.key").write_bytes(identity.key)
        (folder / "ca.crt").write_bytes(authority.certificate)
        (self._path / "..new").symlink_to(folder)
        os.replace(self._path / "..new", self._path / "..data")

    def write(self, name, content):
        """Not as Kubernetes does it: into the file."""
        (self._path / name).write_bytes(content)

    def remove(self, name):
        (self._path / "..data" / name).unlink()


class Reload:
    """A reload on a clock of the test's."""

    def __init__(self, source, checks=()):
        self.certificates = Certificates(source.parse(source.read()))
        self.time_s = NOW_S
        self._reload = CertificateReload(source, self.certificates, checks, lambda: self.time_s, interval_s=5)
        self._now_s = 0.0
        self.look()

    def look(self, times=1):
        """Let looks become due."""
        for _ in range(times):
            self._now_s = self._reload.turn(self._now_s)

    def warn(self):
        self._reload.warn()

    @property
    def counts(self):
        values = self._reload.families()[0].values
        return values[("taken",)], values[("refused",)]

    @property
    def expiry_s(self):
        return self._reload.families()[1].values.get(())


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.put(FIRST)
    return folder


@pytest.fixture
def reload_(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, "servable")
    return Reload(TlsFiles(*(f"{tmp_path}/{name}" for name in ("tls.crt", "tls.key", "ca.crt"))), [credentials.check])


def test_a_set_that_is_swapped_in_is_taken_up_at_the_next_look(folder, reload_, caplog, tmp_path):
    folder.put(SECOND, THEIRS)
    reload_.look()
    current = reload_.certificates.current
    assert (current.server_key, current.server_cert) == (SECOND.key, SECOND.certificate)
    assert current.custom_ca == THEIRS.certificate
    assert reload_.counts == (1, 0)
    certificate = f"{tmp_path}/tls.crt"
    assert caplog.messages == [
        f"new certificates from tls_certificate_file '{certificate}', valid until 2060-01-01T00:00:00Z"
    ]
    reload_.look(3)
    assert reload_.counts == (1, 0)
    assert len(caplog.messages) == 1


def test_a_look_before_its_time_reads_nothing(reload_, folder):
    folder.put(SECOND)
    reload_._reload.turn(0.0)
    assert reload_.certificates.current.server_key == FIRST.key


@pytest.mark.parametrize(
    "change",
    [
        ("tls.key", SECOND.key, "does not belong to"),
        ("tls.crt", SECOND.certificate, "does not belong to"),
        ("tls.key", b"", "is empty"),
        ("tls.crt", FIRST.certificate[:100], "is no PEM certificate"),
        ("ca.crt", b"", "is empty"),
        ("ca.crt", b"x", "is no PEM certificate"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_once_and_the_old_one_stays(change, folder, reload_, caplog):
    name, content, why = change
    before = reload_.certificates.current
    folder.write(name, content)
    reload_.look(5)
    assert reload_.certificates.current is before
    assert reload_.counts == (0, 1)
    (message,) = caplog.messages
    assert message.startswith("new certificates are refused, and the old ones serve on: ")
    assert why in message
    assert not any(line in caplog.text for key in (FIRST.key, SECOND.key) for line in key.decode().split("\n")[1:-2])
    # What the message advises, with a set that belongs together.
    folder.put(SECOND)
    reload_.look()
    assert reload_.certificates.current.server_key == SECOND.key
    assert reload_.counts == (1, 1)


def test_files_that_are_written_one_after_the_other_are_no_fault(folder, reload_, caplog):
    folder.write("tls.crt", SECOND.certificate)
    reload_.look()
    folder.write("tls.key", SECOND.key)
    reload_.look(3)
    assert reload_.certificates.current.server_key == SECOND.key
    assert reload_.counts == (1, 0)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_each_change_that_is_refused_is_told(folder, reload_, caplog):
    for key in (SECOND.key, OURS.vouch_for("third").key):
        folder.write("tls.key", key)
        reload_.look(3)
    assert reload_.counts == (0, 2)
    assert len(caplog.messages) == 2


def test_a_file_that_is_gone_is_told_and_the_old_set_stays(folder, reload_, caplog):
    folder.remove("tls.key")
    reload_.look(3)
    assert reload_.counts == (0, 1)
    assert "No such file or directory" in caplog.text
    folder.write("tls.key", FIRST.key)
    reload_.look(3)
    assert reload_.counts == (0, 1)
    assert len(caplog.messages) == 1


def test_an_expired_certificate_is_refused(folder, reload_, caplog):
    folder.put(OURS.vouch_for("old", valid=(NOW - 2 * DAY, NOW - DAY)))
    reload_.look(3)
    assert reload_.certificates.current.server_key == FIRST.key
    assert "the server's certificate has expired at 2025-12-31T00:00:00Z" in caplog.text


def test_a_certificate_of_the_future_is_taken_up_when_its_time_comes(folder, reload_, caplog):
    future = OURS.vouch_for("new", valid=(NOW + DAY, NOW + 2 * DAY))
    folder.put(future)
    reload_.look(3)
    assert reload_.counts == (0, 1)
    assert "the server's certificate is not valid before 2026-01-02T00:00:00Z" in caplog.text
    reload_.time_s += 86401
    reload_.look()
    assert reload_.certificates.current.server_key == future.key
    assert reload_.counts == (1, 1)
    assert reload_.expiry_s == (NOW + 2 * DAY).timestamp()


def test_a_server_that_begins_with_an_expired_certificate_says_so(reload_, caplog):
    reload_.warn()
    assert caplog.messages == []
    reload_.time_s += 86400 * 366 * 40
    reload_.warn()
    assert "has expired at 2060-01-01" in caplog.text


def test_a_key_that_grpc_cannot_use_is_refused_with_advice_that_helps(folder, reload_, caplog):
    folder.put(OURS.vouch_for("odd", key=ec.generate_private_key(ec.SECP256K1())))
    reload_.look(3)
    assert reload_.certificates.current.server_key == FIRST.key
    assert "gRPC cannot use key and certificate together. Give an RSA or a P-256 key." in caplog.text
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())):
        folder.put(OURS.vouch_for("right", key=key))
        reload_.look()
    assert reload_.counts == (2, 1)


def test_a_key_that_is_too_weak_for_https_is_refused(folder, tmp_path, caplog):
    source = TlsFiles(f"{tmp_path}/tls.crt", f"{tmp_path}/tls.key")
    reload_ = Reload(source, [make_context])
    folder.put(OURS.vouch_for("weak", key=rsa.generate_private_key(65537, 1024)))
    reload_.look(3)
    assert reload_.counts == (0, 1)
    assert "OpenSSL does not take it: EE_KEY_TOO_SMALL" in caplog.text


def test_ssl_config_file_is_read_again_too(tmp_path, caplog, capsys):
    path = tmp_path / "ssl.config"
    path.write_text(ssl_config(FIRST, OURS.certificate, client_verify=True))
    reload_ = Reload(SslConfigFile(str(path)))
    path.write_text(ssl_config(SECOND, THEIRS.certificate, client_verify=True))
    reload_.look()
    assert reload_.certificates.current.custom_ca == THEIRS.certificate
    path.write_text("nonsense")
    reload_.look(5)
    assert reload_.counts == (1, 1)
    assert capsys.readouterr().err.count("Error parsing") == 1


def test_whether_clients_are_verified_needs_a_restart_as_the_error_says(tmp_path, caplog):
    path = tmp_path / "ssl.config"
    path.write_text(ssl_config(FIRST, OURS.certificate, client_verify=True))
    reload_ = Reload(SslConfigFile(str(path)))
    path.write_text(ssl_config(SECOND))
    reload_.look(2)
    assert reload_.certificates.current.client_verify
    assert "whether clients are verified cannot change while the server runs. Restart it." in caplog.text
    assert not Reload(SslConfigFile(str(path))).certificates.current.client_verify
