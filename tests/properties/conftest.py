"""How hard the properties are tried: the same examples in every run, or many new ones by hand.

`SERVABLE_PROPERTIES=long pytest --timeout=0 tests/properties` draws other examples each time, and far more.
"""

import os

from hypothesis import HealthCheck, settings

# A loaded machine is slow, and the first call of a TensorFlow op is slow anywhere: neither is a fault.
COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("repeatable", COMMON, max_examples=120, derandomize=True, database=None)
settings.register_profile("long", COMMON, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("SERVABLE_PROPERTIES", "repeatable"))
