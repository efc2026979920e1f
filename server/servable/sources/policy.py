"""Which of the versions that are there should be served. Pure.

Source of the behaviour: TensorFlow Serving, file_system_storage_path_source.cc (AspireLatestVersions and its
siblings).
"""

from __future__ import annotations

from collections.abc import Sequence

from servable.config.version_policy import All, Latest, Specific, VersionPolicy
from servable.sources.base_path import Version


def select(versions: Sequence[Version], policy: VersionPolicy) -> list[Version]:
    """The versions that a policy wants, of those that are there, by ascending number."""
    ascending = sorted(versions, key=lambda version: version.number)
    if isinstance(policy, All):
        return ascending
    if isinstance(policy, Latest):
        return ascending[-policy.count :]
    return [version for version in ascending if version.number in policy.versions]


def find_faults(model: str, chosen: Sequence[Version], policy: VersionPolicy) -> list[str]:
    """What an operator should know of a choice: which versions a policy asks for in vain."""
    if not isinstance(policy, Specific):
        return []
    if not policy.versions:
        return [f"The version policy of servable {model} names no specific version, so nothing is served."]
    there = {version.number for version in chosen}
    return [
        f"Version {number} of servable {model}, which was requested specifically, was not found on the file system"
        for number in policy.versions
        if number not in there
    ]
