"""What the installed TensorFlow has, read from its files: importing it takes seconds.

Its list of public ops is text, one import a line. It leaves out some hundred internal ops, so a name that is not
in it is only suspected to be missing.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata, util
from pathlib import Path

_LIST_OF_OPS = Path("_api", "v2", "raw_ops", "__init__.py")
_IMPORT = re.compile(r"^from \S+ import (\w+)", re.MULTILINE)


def find_version() -> str | None:
    """The version of the installed TensorFlow; None if there is none."""
    try:
        return metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        # The same package has builds under other names, such as tensorflow-cpu.
        others = metadata.packages_distributions().get("tensorflow", [])
        return metadata.version(others[0]) if others else None


@cache
def list_public_ops() -> frozenset[str]:
    """The names of the public ops of the installed TensorFlow; none if they cannot be read."""
    spec = util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return frozenset()
    try:
        return frozenset(_IMPORT.findall((Path(spec.origin).parent / _LIST_OF_OPS).read_text()))
    except OSError:
        return frozenset()
