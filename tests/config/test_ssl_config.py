"""The file of --ssl_config_file: which files are read and which refused, and that the key is never shown."""

import contextlib
import datetime
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from google.protobuf import text_format

from servable import wire
from servable.config import ssl_config, tls
from servable.errors import InvalidArgument, NotFound

RIGHT_KEY = "Give the PEM text of an unencrypted private key, not the path of a file."
RIGHT_CERT = "Give the PEM text of one or more certificates, not the path of a file."


def key_pem(key, password=None):
    encryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, encryption).decode()


def cert_pem(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


SERVER = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 1024)
KEY, CERT, CA = key_pem(SERVER), cert_pem(SERVER), cert_pem(OTHER)


@pytest.fixture
def write(tmp_path):
    def write(**fields):
        path = tmp_path / "ssl.cfg"
        path.write_text(text_format.MessageToString(wire.SSLConfig(**fields), as_utf8=True))
        return str(path)

    return write


def refusal(path):
    with pytest.raises(InvalidArgument) as caught:
        ssl_config.read(path)
    assert caught.value.message.startswith(f"ssl_config_file '{path}': ")
    return caught.value.message.removeprefix(f"ssl_config_file '{path}': ")


@pytest.mark.behaviour("11.1", "key and certificate are PEM text, checked before a port opens")
def test_a_key_and_its_certificate_are_read(write):
    config = ssl_config.read(write(server_key=KEY, server_cert=CERT))
    assert config == tls.TlsConfig(KEY.encode(), CERT.encode(), None, client_verify=False)


def test_a_ca_and_the_wish_to_verify_clients_are_read(write):
    config = ssl_config.read(write(server_key=KEY, server_cert=CERT, custom_ca=CA, client_verify=True))
    assert (config.custom_ca, config.client_verify) == (CA.encode(), True)


@pytest.mark.parametrize(
    ("key", "cert"),
    [
        (KEY, CERT + CA),
        (KEY, "Bag Attributes\n  name: Prüfung\n" + CERT),
        ("a comment\n" + KEY, CERT),
        (key_pem(RSA), cert_pem(RSA)),
    ],
    ids=["a chain", "text before a certificate", "text before a key", "a short RSA key"],
)
def test_what_grpc_accepts_is_kept_as_it_is(write, key, cert):
    config = ssl_config.read(write(server_key=key, server_cert=cert))
    assert (config.server_key, config.server_cert) == (key.encode(), cert.encode())


def test_the_repr_does_not_show_the_key(write):
    shown = repr(ssl_config.read(write(server_key=KEY, server_cert=CERT)))
    assert "PRIVATE KEY" not in shown
    assert KEY.splitlines()[1] not in shown


def test_an_empty_key_is_refused(write):
    assert refusal(write(server_cert=CERT)) == f"server_key is empty. {RIGHT_KEY}"


def test_an_empty_certificate_is_refused(write):
    assert refusal(write(server_key=KEY)) == f"server_cert is empty. {RIGHT_CERT}"


# Fixed ids here and below: each worker of pytest-xdist makes keys anew, and workers must agree on the names of tests.
@pytest.mark.parametrize(
    "key",
    ["/etc/ssl/key.pem", CERT, KEY[: len(KEY) // 2], "hunter2"],
    ids=["a path", "a certificate", "half a key", "a password"],
)
def test_a_key_that_is_no_pem_key_is_refused(write, key):
    assert refusal(write(server_key=key, server_cert=CERT)) == f"server_key is no PEM private key. {RIGHT_KEY}"


@pytest.mark.parametrize(
    "key",
    [
        key_pem(SERVER, b"password"),
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ],
    ids=["PKCS8", "traditional"],
)
def test_an_encrypted_key_is_refused(write, key):
    assert refusal(write(server_key=key, server_cert=CERT)) == f"server_key is encrypted. {RIGHT_KEY}"


BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "pem",
    ["/etc/ssl/cert.pem", KEY, CERT[: len(CERT) // 2], BROKEN, CERT + BROKEN],
    ids=["a path", "a key", "half a certificate", "a broken one", "a broken one behind a good one"],
)
@pytest.mark.parametrize("field", ["server_cert", "custom_ca"])
def test_a_certificate_that_is_no_pem_certificate_is_refused(write, field, pem):
    fields = {"server_key": KEY, "server_cert": CERT, field: pem}
    assert refusal(write(**fields)) == f"{field} is no PEM certificate. {RIGHT_CERT}"


def test_verifying_clients_by_no_ca_is_refused(write):
    assert refusal(write(server_key=KEY, server_cert=CERT, client_verify=True)) == (
        "client_verify is true but custom_ca is empty. Give the PEM text of the clients' CA there."
    )


def refused_where_files_in_memory_exist(message):
    """Linux has them; elsewhere the pair is left to gRPC's own check."""
    if not hasattr(os, "memfd_create"):
        return contextlib.nullcontext()
    return pytest.raises(InvalidArgument, match=message)


@pytest.mark.parametrize(
    ("key", "cert"),
    [(KEY, cert_pem(OTHER)), (KEY, cert_pem(RSA)), (key_pem(RSA), CERT), (KEY, CA + CERT)],
    ids=["another key", "an EC key for RSA", "an RSA key for EC", "a chain that does not begin with its own"],
)
def test_a_key_of_another_certificate_is_refused(write, key, cert):
    with refused_where_files_in_memory_exist("server_key does not belong to server_cert"):
        ssl_config.read(write(server_key=key, server_cert=cert))


def test_a_key_that_holds_no_key_is_refused(write):
    with refused_where_files_in_memory_exist("server_key cannot be read"):
        ssl_config.read(write(server_key=KEY.replace(KEY.splitlines()[1], "AAAA"), server_cert=CERT))


def test_without_files_in_memory_the_pair_is_left_to_grpc(write, monkeypatch):
    monkeypatch.delattr(tls.os, "memfd_create", raising=False)
    assert ssl_config.read(write(server_key=KEY, server_cert=CA)).server_cert == CA.encode()


def test_reading_leaves_no_open_file(write):
    folder = "/dev/fd"
    before = len(os.listdir(folder))
    ssl_config.read(write(server_key=KEY, server_cert=CERT))
    assert len(os.listdir(folder)) == before


def test_no_error_shows_the_key(write, tmp_path, capsys):
    secret = KEY.splitlines()[1]
    broken = tmp_path / "broken.cfg"
    broken.write_text(f'server_key: "{secret}')
    for path in (write(server_key=KEY), write(server_key=secret, server_cert=CERT), str(broken)):
        with pytest.raises(InvalidArgument) as caught:
            ssl_config.read(path)
        assert secret not in str(caught.value)
    printed = capsys.readouterr().err
    assert "Error parsing text-format tensorflow.serving.SSLConfig: 1:" in printed
    assert secret not in printed


def test_a_missing_file_is_not_found():
    with pytest.raises(NotFound):
        ssl_config.read("/no/such/file")
