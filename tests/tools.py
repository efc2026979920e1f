"""Programs that some tests need and that pip does not install; `scripts/install_test_tools` does."""

import os
import shutil

import pytest

REQUIRED = "SERVABLE_TEST_TOOLS"


def require(name):
    """The path of a program. Without it the test is skipped, or fails if SERVABLE_TEST_TOOLS is `required`."""
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get(REQUIRED) == "required" else pytest.skip)(f"{name} is not on the PATH")
    return path
