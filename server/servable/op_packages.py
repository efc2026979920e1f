"""Which well-known Python package registers an op that TensorFlow lacks.

Most packages mark their ops with a prefix; the names of TensorFlow Text's older ops are listed. This module must not
import TensorFlow, and it looks up nothing on a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import util
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Package:
    """A package with ops.

    Attributes:
        module: What to import, so that its ops are registered.
        distribution: What to install.
    """

    module: str
    distribution: str

    @property
    def is_installed(self) -> bool:
        """Whether this Python finds the module. Nothing is imported."""
        return util.find_spec(self.module) is not None


_TEXT = Package("tensorflow_text", "tensorflow-text")

_BY_PREFIX = MappingProxyType(
    {
        "TFText>": _TEXT,
        "Sentencepiece": _TEXT,
        "SimpleML": Package("tensorflow_decision_forests", "tensorflow-decision-forests"),
        "IO>": Package("tensorflow_io", "tensorflow-io"),
        "Addons>": Package("tensorflow_addons", "tensorflow-addons"),
        "TFRA>": Package("tensorflow_recommenders_addons", "tensorflow-recommenders-addons"),
    }
)
# The ops of TensorFlow Text 2.16 to 2.21 without a prefix.
_TEXT_OPS = frozenset(
    {
        "CaseFoldUTF8", "ConstrainedSequence", "FastBertNormalize", "FastWordpieceTokenizeWithOffsets",
        "FindSourceOffsets", "MaxSpanningTree", "NormalizeUTF8", "NormalizeUTF8WithOffsetsMap", "PhraseTokenize",
        "RegexSplitWithOffsets", "RougeL", "SentenceFragments", "SentenceFragmentsV2", "SplitMergeTokenizeWithOffsets",
        "TokenizerFromLogits", "UnicodeScriptTokenizeWithOffsets", "WhitespaceTokenizeWithOffsets",
        "WordpieceTokenizeWithOffsets",
    }
)  # fmt: skip


def find(op: str) -> Package | None:
    """The package that registers an op; None if no well-known one does."""
    if op in _TEXT_OPS:
        return _TEXT
    return next((package for prefix, package in _BY_PREFIX.items() if op.startswith(prefix)), None)


def advise(ops: Iterable[str]) -> str:
    """What to do about ops that are missing, in whole sentences."""
    by_package: dict[Package | None, list[str]] = {}
    for op in sorted(ops):
        by_package.setdefault(find(op), []).append(op)
    unknown = by_package.pop(None, [])
    sentences = [_advise(package, names) for package, names in by_package.items() if package]
    if unknown:
        sentences.append(
            f"Bring {', '.join(unknown)} with --custom_op_libraries=LIBRARY.so, or with --import=MODULE if a Python "
            "package registers them."
        )
    return " ".join(sentences)


def _advise(package: Package, ops: list[str]) -> str:
    install = "" if package.is_installed else f", after `pip install {package.distribution}`"
    return f"{', '.join(ops)}: from {package.module}; bring it with --import={package.module}{install}."
