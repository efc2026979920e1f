"""The behaviours that tests are marked with, and the document that is made of them.

A mark is read from a test's source and not by pytest's collection: that would import every test module, and TensorFlow
with them, which takes some 20 seconds. So both arguments of a mark are literals.

    python -m tests.conformance.behaviours > docs/conformance.md
"""

from __future__ import annotations

import ast
import html
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
LEFT = Path(__file__).with_name("left.toml")

# The sections of this project's notes on TensorFlow Serving's behaviour, in their order; the last one is about this
# server alone. Those about metrics and TFLite, which this server does not have yet, are absent.
# server alone. Those about REST and TFLite, which this server does not have yet, are absent.
SECTIONS = {
    "1.1": "Services and methods",
    "1.2": "Messages",
    "1.3": "Model, version and signature of a request",
    "1.4": "Predict",
    "2.1": "Examples of Classify, Regress and MultiInference",
    "2.2": "Signatures of Classify and Regress",
    "2.3": "Results of Classify and Regress",
    "2.4": "MultiInference",
    "3": "GetModelMetadata",
    "4.1": "GetModelStatus",
    "4.2": "HandleReloadConfigRequest",
    "5": "Flags",
    "6.1": "Model configs",
    "6.2": "Model configs that are refused",
    "6.3": "Version labels",
    "6.4": "Versions on disk",
    "6.5": "Loading and unloading versions",
    "6.6": "Polling of the config file",
    "7.1": "Loading a SavedModel",
    "7.2": "Sessions and threads",
    "7.3": "Extra assets",
    "7.4": "Warm-up",
    "7.5": "TensorFlow Lite",
    "8.1": "Batching parameters",
    "8.2": "What is batched together",
    "8.3": "Allowed batch sizes",
    "8.4": "Errors of batching",
    "8.5": "Large requests are split",
    "8.6": "Batching parameters of a model",
    "9.1": "REST: HTTP",
    "9.2": "REST: URLs",
    "9.3": "REST: errors",
    "9.4": "REST: JSON",
    "9.5": "REST: Predict",
    "9.6": "REST: replies of Predict",
    "9.7": "REST: Classify and Regress",
    "9.8": "REST: status, metadata and CORS",
    "10.1": "Metrics",
    "10.3": "Profiler",
    "11.1": "TLS",
    "11.2": "Message size and threads",
    "11.3": "Channel arguments",
    "11.4": "Unix socket",
    "11.5": "Shutdown",
    "12": "Common mistakes of clients",
    "13.1": "The original's tests: model server",
    "13.2": "The original's tests: Predict's helpers",
    "13.3": "The original's tests: Predict",
    "13.4": "The original's tests: Classify",
    "13.5": "The original's tests: Regress",
    "13.6": "The original's tests: MultiInference",
    "13.7": "The original's tests: services of Classify and Regress",
    "13.8": "The original's tests: GetModelMetadata",
    "13.9": "The original's tests: GetModelStatus",
    "13.10": "The original's tests: REST",
    "13.11": "The original's tests: JSON of tensors",
    "13.12": "The original's tests: batching",
    "13.13": "The original's tests: warm-up",
    "13.14": "The original's tests: other suites",
    "14": "Robustness: malformed input and changes under load",
}

INTRODUCTION = """\
# Conformance

The behaviours of tensorflow_model_server, by section, and the tests which prove that this server behaves the same. A
behaviour that begins with "ours:" is one that the original does not have, or a deliberate difference. Behaviours
without a test are at the [end](#not-tested), each with the reason.

<!-- Written by `python -m tests.conformance.behaviours`: change the tests' marks or tests/conformance/left.toml. -->
"""


class Mark(NamedTuple):
    """That a test proves a behaviour."""

    section: str
    sentence: str
    test: str


def read_marks(tests: Path, root: Path = ROOT) -> list[Mark]:
    """The marks of all test modules of a folder, in the order of paths and lines; `root` is what paths start from."""
    return [mark for path in sorted(tests.rglob("test_*.py")) for mark in _read_module(path, root)]


def _read_module(path: Path, root: Path) -> Iterator[Mark]:
    """Yields a module's marks.

    Raises:
        ValueError: If a mark is where it marks no test, or its arguments are not two literal strings.
    """
    name = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_bytes())
    misplaced = set(_find_calls(tree))
    marked = [("", value) for value in _find_pytestmarks(tree)]
    marked += [(test.name, decorator) for test in _find_tests(tree) for decorator in test.decorator_list]
    for test, expression in marked:
        for call in _find_calls(expression):
            misplaced.remove(call)
            try:
                section, sentence = (ast.literal_eval(argument) for argument in call.args)
            except ValueError as error:
                raise ValueError(
                    f"{name}:{call.lineno}: a behaviour is a section and a sentence, as literals"
                ) from error
            yield Mark(section, sentence, f"{name}::{test}" if test else name)
    for call in misplaced:
        raise ValueError(f"{name}:{call.lineno}: a behaviour is marked on a test's decorators or in pytestmark")


def find_tests(path: Path) -> list[str]:
    """The names of a module's tests."""
    return [test.name for test in _find_tests(ast.parse(path.read_bytes()))]


def _find_tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _find_pytestmarks(tree: ast.Module) -> Iterator[ast.expr]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["pytestmark"]:
            yield node.value


def _find_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.behaviour":
            yield node


def read_left(path: Path = LEFT) -> Mapping[str, Mapping[str, str]]:
    """The behaviours that no test proves: for each section the sentences, each with its reason."""
    left: Mapping[str, Mapping[str, str]] = tomllib.loads(path.read_text())
    return left


def write_document(marks: Sequence[Mark], left: Mapping[str, Mapping[str, str]]) -> str:
    """The Markdown of docs/conformance.md: by section each behaviour with its tests, then what is left.

    Within a section the order is that of the sentences, so that a test may move without the document's changing order.
    """
    tests: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for mark in marks:
        tests[mark.section][mark.sentence].append(mark.test)
    parts = [INTRODUCTION]
    for section, title in SECTIONS.items():
        if section not in tests:
            continue
        parts.append(f"\n## {section} {title}\n\n")
        for sentence in sorted(tests[section], key=_natural_order):
            parts.append(f"- {_escape(sentence)}\n")
            parts += [f"    - `{test}`\n" for test in tests[section][sentence]]
    parts.append("\n## Not tested\n\n")
    for section in SECTIONS:
        for sentence, reason in left.get(section, {}).items():
            parts.append(f"- {section}, {_escape(sentence)}: {_escape(reason)}\n")
    return "".join(parts)


def _natural_order(sentence: str) -> list[tuple[str, int]]:
    """A key that puts 9 before 10, and small letters among the large ones."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", sentence.casefold())]


def _escape(sentence: str) -> str:
    """Escapes what Markdown would read as a tag, outside of `code`."""
    parts = sentence.split("`")
    return "`".join(part if at % 2 else html.escape(part, quote=False) for at, part in enumerate(parts))


if __name__ == "__main__":
    sys.stdout.write(write_document(read_marks(ROOT / "tests"), read_left()))
