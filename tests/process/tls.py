"""Credentials for servers in the test's own process, made by the product from an SSLConfig."""

import tempfile
from pathlib import Path

from servable.config import ssl_config as config
from servable.transport.certificates import Certificates
from servable.transport.credentials import make_tls_credentials
from tests.process.certificates import ssl_config


def server_credentials(identity, custom_ca=b"", client_verify=False):
    """What --ssl_config_file would make of an Identity."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ssl.config")
        path.write_text(ssl_config(identity, custom_ca, client_verify))
        return make_tls_credentials(Certificates(config.read(str(path))))
