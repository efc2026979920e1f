"""A report as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from servable.inspection.commands import make_commands, model_name
from servable.inspection.report import ModelWarning, Report, Signature, Tensor, format_shape
from servable.signatures import DEFAULT_KEY

WIDTH = 80

# Stands for a space while lines are broken: a character for private use.
_TIE = "\ue000"


def to_text(report: Report) -> str:
    """The report as lines; control characters in a model's names are escaped."""
    return "\n".join(map(escape, _lines(report)))


def summarize(report: Report) -> str:
    """One line: where the model lies, and how many signatures and warnings it has."""
    return escape(f"{report.path}: {_title(report)}")


def _lines(report: Report) -> Iterator[str]:
    yield _title(report)
    yield ""
    for label, value in _facts(report):
        yield from _wrap(f"  {label:<11} ", value)
    for alike in _group(report.signatures):
        yield ""
        yield from _signature_lines([signature.key for signature in alike], alike[0])
        # In one line each, however long: they are to be copied.
        yield from (f"  $ {command}" for command in make_commands(model_name(report), alike[0]))
    yield ""
    if report.warnings:
        yield "Warnings"
    for warning, keys in _merge(report.warnings).items():
        yield from _warning_lines(warning, keys)
    if not report.warnings:
        yield "No warnings."


def _title(report: Report) -> str:
    version = "" if report.version is None else f", version {report.version}"
    counts = [_count(len(report.signatures), "signature"), _count(len(_merge(report.warnings)), "warning")]
    return f"{report.format}{version}: {', '.join(counts)}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "directory", report.path
    if report.versions:
        highest = "; this is the highest" if len(report.versions) > 1 else ""
        yield "versions", ", ".join(map(str, report.versions)) + highest
    if report.format != "SavedModel":
        yield "on disk", _format_bytes(report.graph_bytes)
        return
    yield "tags", ", ".join(report.tags) or "none"
    here = report.installed_tensorflow_version
    yield "made with", f"TensorFlow {report.tensorflow_version or '(unknown)'}; installed here: {here or 'none'}"
    variables = _format_bytes(report.variables_bytes) if report.has_variables else "none"
    yield "on disk", f"graph {_format_bytes(report.graph_bytes)}, variables {variables}"
    if report.assets:
        yield "assets", ", ".join(report.assets)
    if report.init_op:
        yield "init op", report.init_op


def _format_bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.{0 if unit == 'bytes' else 1}f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _group(signatures: Sequence[Signature]) -> Iterable[Sequence[Signature]]:
    """Signatures that differ in their names only; Keras exports each twice."""
    groups: dict[str, list[Signature]] = {}
    for signature in signatures:
        looks = "\n".join(_body_lines(signature))
        groups.setdefault(f"{signature.method_name}\n{looks}", []).append(signature)
    return groups.values()


def _signature_lines(keys: Sequence[str], signature: Signature) -> Iterator[str]:
    method = f"  ({signature.method_name})" if signature.method_name else ""
    yield f"{', '.join(keys)}{method}"
    yield from _body_lines(signature)
    yield from _request_lines(signature)


def _body_lines(signature: Signature) -> Iterator[str]:
    rows = [*_rows("input", signature.inputs), *_rows("output", signature.outputs)]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for side, name, dtype, shape in rows:
        yield f"  {side:<{widths[0]}}  {name:<{widths[1]}}  {dtype:<{widths[2]}}  {shape}".rstrip()
    for rpc, verdict in signature.rpcs.items():
        yield from _wrap(f"  {rpc:<14}  ", "yes" if verdict.reason is None else f"no: {verdict.reason}")


def _rows(side: str, described: Sequence[Tensor]) -> Iterator[tuple[str, str, str, str]]:
    for tensor in described:
        may = " (may be left out)" if tensor.has_default else ""
        yield side, tensor.name, tensor.dtype, format_shape(tensor.shape) + may
    if not described:
        yield side, "none", "", ""


def _request_lines(signature: Signature) -> Iterator[str]:
    """What a request looks like, in the manner of JSON but for the values."""
    spec = (
        '{"name": "..."}' if signature.key == DEFAULT_KEY else f'{{"name": "...", "signature_name": "{signature.key}"}}'
    )
    if signature.rpcs["MultiInference"].callable:
        body = '"input": {"example_list": {"examples": [tf.Example, ...]}}'
    elif signature.rpcs["Predict"].callable:
        body = f'"inputs": {{{", ".join(_format_value(each) for each in signature.inputs if not each.has_default)}}}'
    else:
        return
    yield from _wrap("  request         ", f'{{"model_spec": {spec}, {body}}}'.replace(": ", f":{_TIE}"))


def _format_value(tensor: Tensor) -> str:
    sizes = "..." if tensor.shape is None else ",".join("?" if size is None else str(size) for size in tensor.shape)
    return _tie(f'"{tensor.name}": {tensor.dtype}[{sizes}]')


def _merge(warnings: Iterable[ModelWarning]) -> dict[tuple[str, str, str], list[str]]:
    """The keys of the signatures that a warning is about, by its code, text and remedy."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for warning in warnings:
        keys = merged.setdefault((warning.code, warning.text, warning.remedy), [])
        keys.extend(filter(None, [warning.signature]))
    return merged


def _warning_lines(warning: tuple[str, str, str], keys: Sequence[str]) -> Iterator[str]:
    code, text, remedy = warning
    yield from _wrap("  * ", f"{', '.join(keys)}: {text}" if keys else text)
    yield from _wrap("    ", f"-> {remedy} [{code}]")


def _wrap(lead: str, text: str) -> Iterator[str]:
    """The text behind its lead, broken at spaces, the rest below the first line."""
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from (line.replace(_TIE, " ") for line in lines or [lead.rstrip()])


def _tie(text: str) -> str:
    """The text with spaces at which no line is broken."""
    return text.replace(" ", _TIE)


def escape(line: str) -> str:
    """The line with what could do something to a terminal written out."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
