"""Which of the versions that are there should be served. Pure.

Source of the behaviour: TensorFlow Serving, file_system_storage_path_source.cc (AspireLatestVersions and its
siblings).
"""

from __future__ import annotations

from collections.abc import Sequence

from servable.config.version_policy import All, Latest, VersionPolicy
from servable.sources.base_path import Version


def select(versions: Sequence[Version], policy: VersionPolicy) -> list[Version]:
    """The versions that a policy wants, of those that are there, by ascending number."""
    ascending = sorted(versions, key=lambda version: version.number)
    if isinstance(policy, All):
        return ascending
    if isinstance(policy, Latest):
        return ascending[-policy.count :]
    return [version for version in ascending if version.number in policy.versions]
