"""Which well-known Python package registers an op that TensorFlow lacks, and what brings it into a server.

Most packages mark their ops with a prefix; the names of TensorFlow Text's older ops are listed. What brings a package's
ops was tried with the oldest and the newest supported TensorFlow and the newest release of each package
(docs/custom-ops.md). This module must not import TensorFlow, and it looks up nothing on a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Package:
    """A package with ops.

    Attributes:
        module: What it is imported as.
        distribution: What to install.
        library: The shared object with its ops, below the module's folder; empty if the import of the module registers
            them.
        limit: Which TensorFlow its releases are made for, as a sentence; empty if there is one for each.
        is_usable: Whether there is a release that works with a TensorFlow that servers run on.
    """

    module: str
    distribution: str
    library: str = ""
    limit: str = ""
    is_usable: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether this Python finds the module. Nothing is imported."""
        return util.find_spec(self.module) is not None

    @property
    def flag(self) -> str:
        """The flag of `servable serve` that brings its ops; the folder is a placeholder if it is not installed."""
        if not self.library:
            return f"--import={self.module}"
        spec = util.find_spec(self.module)
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        folder = Path(folders[0] if folders else f"SITE-PACKAGES/{self.module}")
        return f"--custom_op_libraries={folder / self.library}"


_TEXT = Package("tensorflow_text", "tensorflow-text")

_BY_PREFIX = MappingProxyType(
    {
        "TFText>": _TEXT,
        "Sentencepiece": _TEXT,
        # The import needs Keras 2 and a protobuf that TensorFlow 2.19 does not allow; the library needs neither.
        "SimpleML": Package(
            "tensorflow_decision_forests",
            "tensorflow-decision-forests",
            "tensorflow/ops/inference/inference.so",
            "Its releases work with one TensorFlow each: 1.9.0 with 2.16, 1.12.0, the last, with 2.19.",
        ),
        # The import registers nothing: the package loads its library at the first use.
        "IO>": Package(
            "tensorflow_io",
            "tensorflow-io",
            "python/ops/libtensorflow_io.so",
            "Its last releases, 0.37, work with TensorFlow 2.16.",
        ),
        "Addons>": Package("tensorflow_addons", "tensorflow-addons", is_usable=False),
        "TFRA>": Package(
            "tensorflow_recommenders_addons",
            "tensorflow-recommenders-addons",
            limit="Its last release, 0.8.1, works with TensorFlow 2.16.",
        ),
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


def find_module(name: str) -> Package | None:
    """The well-known package of a module; None if it is no such package."""
    return next((package for package in _BY_PREFIX.values() if package.module == name), None)


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
    origin = f"{', '.join(ops)}: from {package.module}"
    if not package.is_usable:
        return (
            f"{origin}, of which no release works with TensorFlow 2.16 or later; export the model again without them, "
            "or build them for this TensorFlow and bring them with --custom_op_libraries=LIBRARY.so."
        )
    # Its dependencies would replace the server's TensorFlow by another one.
    options = "--no-deps " if package.limit else ""
    install = "" if package.is_installed else f", after `pip install {options}{package.distribution}`"
    limit = f" {package.limit}" if package.limit else ""
    return f"{origin}; bring it with {package.flag}{install}.{limit}"
