"""The settings of hypothesis that the properties have."""

from tests.properties.conftest import COMMON  # noqa: F401  Loads the profile.
