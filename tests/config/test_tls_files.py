"""PEM files that flags name: which are read and which refused, with advice that helps, and that no key is shown."""

import pytest
from cryptography.hazmat.primitives import serialization

from servable.config.tls import TlsConfig
from servable.config.tls_files import TlsFiles
from servable.errors import InvalidArgument, NotFound, ServingError
from tests.process.certificates import Authority

OURS = Authority("ours")
SERVER, OTHER = OURS.vouch_for("server"), OURS.vouch_for("other")


@pytest.fixture
def make(tmp_path):
    """Writes files and names them; None leaves a file out."""

    def make(certificate=SERVER.certificate, key=SERVER.key, client_ca=None):
        paths = []
        for name, content in (("cert", certificate), ("key", key), ("ca", client_ca)):
            path = tmp_path / name
            if content is not None:
                path.write_bytes(content)
            paths.append(str(path))
        return TlsFiles(*paths[:2], paths[2] if client_ca is not None else "")

    return make


def read(files):
    return files.parse(files.read())


def test_certificate_and_key_are_read_and_clients_are_asked_for_nothing(make):
    assert read(make()) == TlsConfig(SERVER.key, SERVER.certificate, None, client_verify=False)


def test_with_a_ca_of_clients_they_are_verified(make):
    config = read(make(client_ca=OURS.certificate))
    assert (config.custom_ca, config.client_verify) == (OURS.certificate, True)


def encrypted(key):
    loaded = serialization.load_pem_private_key(key, None)
    encryption = serialization.BestAvailableEncryption(b"password")
    return loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


WRONG = {
    "no key": ({"key": b"\xff\x00"}, "tls_key_file '{}/key' is no PEM private key"),
    "empty key": ({"key": b""}, "tls_key_file '{}/key' is empty"),
    "encrypted key": ({"key": encrypted(SERVER.key)}, "tls_key_file '{}/key' is encrypted"),
    "another's key": (
        {"key": OTHER.key},
        "tls_key_file '{0}/key' does not belong to tls_certificate_file '{0}/cert'",
    ),
    "no certificate": ({"certificate": SERVER.key}, "tls_certificate_file '{}/cert' is no PEM certificate"),
    "empty certificate": ({"certificate": b""}, "tls_certificate_file '{}/cert' is empty"),
    "no CA": ({"client_ca": b"hello"}, "tls_client_ca_file '{}/ca' is no PEM certificate"),
    "empty CA": ({"client_ca": b""}, "tls_client_ca_file '{}/ca' is empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_refused_with_advice_that_helps(case, make, tmp_path):
    fields, start = WRONG[case]
    with pytest.raises(InvalidArgument) as caught:
        read(make(**fields))
    message = caught.value.message
    assert message.startswith(start.format(tmp_path) + ". Give ")
    secrets = (SERVER.key, OTHER.key)
    assert not any(line in message for key in secrets for line in key.decode().splitlines()[1:-1])
    # The advice names the file and what belongs in it.
    right = {"key": SERVER.key, "certificate": SERVER.certificate, "client_ca": OURS.certificate}
    assert read(make(**{name: right[name] for name in fields}))


def test_a_missing_file_is_not_found(make, tmp_path):
    with pytest.raises(NotFound, match=f"{tmp_path}/key; No such file or directory"):
        make(key=None).read()


@pytest.mark.parametrize("path", ["/", "/dev/zero"])
def test_what_is_no_file_of_certificates_is_refused(path):
    with pytest.raises(ServingError):
        TlsFiles(path, path).read()
