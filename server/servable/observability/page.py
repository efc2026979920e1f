"""The metrics as text, for Prometheus.

The original's stand first, exactly in its format: only `# TYPE` above each, braces even without labels, sums and limits
in six significant digits, no `_total` (TensorFlow Serving: util/prometheus_exporter.cc). Ours follow in the usual
format.

Who asks for OpenMetrics gets both in that, as Prometheus itself does by default. There the original's counters are
`unknown`: a counter's name would have to end in `_total`, and dashboards made for the original would find nothing.
prometheus_client writes what its own collectors bring; it would turn the colons of the original's names into
underscores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from servable.observability.exemplars import Exemplar, Exemplars
from servable.observability.families import Family, Kind
from servable.observability.histograms import Histogram

TEXT: Final = "text/plain"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_NOT_OF_A_NAME: Final = re.compile("[^a-zA-Z0-9_]")
_REFUSED: Final = re.compile(r"q=0(\.0*)?\s*(;|$)")
_TOTAL: Final = "_total"


def write(families: Sequence[Family], more: Sequence[Collector] = ()) -> bytes:
    """The page as the original writes it, and ours after it.

    Args:
        families: The metrics, in the order of the page.
        more: Collectors of more metrics of ours.
    """
    lines = (line for family in families for line in _text_lines(family))
    # mypy: some releases of prometheus_client leave it untyped.
    rest: bytes = generate_latest(_registry(more))  # type: ignore[no-untyped-call,unused-ignore]
    return _encode(lines) + rest


def write_open_metrics(
    families: Sequence[Family], more: Sequence[Collector] = (), exemplars: Exemplars | None = None
) -> bytes:
    """The same metrics in OpenMetrics 1.0.0, which has room for exemplars."""
    lines = (line for family in families for line in _open_metrics_lines(family, exemplars))
    rest: bytes = openmetrics.generate_latest(_registry(more))  # type: ignore[no-untyped-call,unused-ignore]
    return _encode(lines) + rest


def wants_open_metrics(accept: str) -> bool:
    """Whether an Accept header takes OpenMetrics."""
    offers = [offer.partition(";") for offer in accept.lower().split(",")]
    return any(kind.strip() == "application/openmetrics-text" and not _REFUSED.search(rest) for kind, _, rest in offers)


def prometheus_name(name: str) -> str:
    """The original's own way to a Prometheus name."""
    converted = _NOT_OF_A_NAME.sub(":", name)
    return f"_{converted}" if converted[:1].isdigit() else converted


def _is_of_original(family: Family) -> bool:
    return family.name.startswith("/")


def _text_lines(family: Family) -> Iterator[str]:
    name = prometheus_name(family.name)
    if _is_of_original(family):
        yield f"# TYPE {name} {family.kind.value}"
        yield from _sample_lines(family, name, name, _to_six_digits, has_braces=True)
        return
    sample_name = f"{name}{_TOTAL}" if family.kind is Kind.COUNTER else name
    yield f"# HELP {sample_name} {family.meaning}"
    yield f"# TYPE {sample_name} {family.kind.value}"
    yield from _sample_lines(family, name, sample_name, floatToGoString)


def _open_metrics_lines(family: Family, exemplars: Exemplars | None) -> Iterator[str]:
    name, kind = prometheus_name(family.name), family.kind.value
    sample_name = name
    if family.kind is Kind.COUNTER and _is_of_original(family) and not name.endswith(_TOTAL):
        kind = "unknown"
    elif family.kind is Kind.COUNTER:
        name = name.removesuffix(_TOTAL)
        sample_name = f"{name}{_TOTAL}"
    yield f"# TYPE {name} {kind}"
    if family.meaning:
        yield f"# HELP {name} {family.meaning}"
    yield from _sample_lines(family, name, sample_name, floatToGoString, exemplars=exemplars)


def _sample_lines(  # noqa: PLR0913  (the formats differ in each of these)
    family: Family,
    name: str,
    sample_name: str,
    write_float: Callable[[float], str],
    *,
    has_braces: bool = False,
    exemplars: Exemplars | None = None,
) -> Iterator[str]:
    names = [_NOT_OF_A_NAME.sub("_", label) for label in family.label_names]
    for values in sorted(family.values):
        value = family.values[values]
        labels = ",".join(f'{label}="{_escape(text)}"' for label, text in zip(names, values, strict=True))
        braced = f"{{{labels}}}" if labels or has_braces else ""
        if not isinstance(value, Histogram):
            yield f"{sample_name}{braced} {value if isinstance(value, int) else write_float(value)}"
            continue
        found = {} if exemplars is None else exemplars.of(family.name, values)
        for index, (limit, count) in enumerate(value.cumulative()):
            text = "+Inf" if limit == float("inf") else write_float(float(_to_six_digits(limit)))
            aside = _write_exemplar(found[index], write_float) if index in found else ""
            yield f'{name}_bucket{{{labels}{"," if labels else ""}le="{text}"}} {count}{aside}'
        yield f"{name}_sum{braced} {write_float(value.sum)}"
        yield f"{name}_count{braced} {value.count}"


def _write_exemplar(of: Exemplar, write_float: Callable[[float], str]) -> str:
    return f' # {{trace_id="{of.trace_id}",span_id="{of.span_id}"}} {write_float(of.value)} {of.at_s:.3f}'


def _escape(text: str) -> str:
    # The original leaves a new line as it is, so that one in a model's name makes its page unreadable.
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _to_six_digits(value: float) -> str:
    """As C++ streams write numbers."""
    return f"{value:.6g}"


def _encode(lines: Iterator[str]) -> bytes:
    # A path may hold lone surrogates, which UTF-8 may not.
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")


def _registry(collectors: Sequence[Collector]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return registry
