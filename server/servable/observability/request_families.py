"""The metrics of requests: the original's, and ours by signature, made of the same cells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from servable.observability.families import Family, Kind, Labels
from servable.observability.histograms import Histogram
from servable.observability.request_counts import RequestCell, RequestCounts, RequestLabels

# The original counts these over gRPC, and every request under /v1 over REST; ModelInfer is ours, as a Predict.
_COUNTED_APIS: Final = {"Predict", "Classify", "Regress", "ModelInfer"}
_OF_STATUS: Final = ("model_name", "status")
_OF_LATENCY: Final = ("model_name", "API", "entrypoint")
_OF_RUNTIME: Final = ("model_name", "API", "runtime")
_OF_SIGNATURE: Final = ("model_name", "signature_name", "api", "entrypoint")


def request_families(counts: RequestCounts) -> list[Family]:
    """All metrics of requests as they are now."""
    cells, failures = counts.cells(), counts.failures()
    return [*_of_original(cells, failures), *_of_ours(cells, failures)]


def _of_original(cells: Sequence[RequestCell], failures: Mapping[tuple[RequestLabels, str], int]) -> Iterable[Family]:
    counted = [cell for cell in cells if _is_counted(cell.labels)]
    totals: Counter[Labels] = Counter()
    for cell in counted:
        totals[cell.labels.model, "OK"] += cell.total_us.count
    for (labels, status), count in failures.items():
        if _is_counted(labels):
            totals[labels.model, status] += count
    latency = _merge(counted, lambda cell: cell.total_us, _latency_labels)
    runtime = _merge(
        [cell for cell in counted if cell.labels.api],
        lambda cell: cell.runtime_us,
        lambda of: (of.model, of.api, "TF1"),
    )
    serving = "/tensorflow/serving"
    return (
        Family(f"{serving}/request_count", Kind.COUNTER, _OF_STATUS, _without_zeros(totals), "Requests."),
        Family(f"{serving}/request_latency", Kind.HISTOGRAM, _OF_LATENCY, latency, "Successful requests, in us."),
        Family(f"{serving}/runtime_latency", Kind.HISTOGRAM, _OF_RUNTIME, runtime, "Runs of successful ones, in us."),
    )


def _is_counted(labels: RequestLabels) -> bool:
    return labels.api in _COUNTED_APIS or not labels.api


def _latency_labels(of: RequestLabels) -> Labels:
    # The original's two handlers name their APIs in their own ways.
    return of.model, of.api.lower() if of.entrypoint == "REST" else of.api, of.entrypoint


def _of_ours(cells: Sequence[RequestCell], failures: Mapping[tuple[RequestLabels, str], int]) -> Iterable[Family]:
    requests: Counter[Labels] = Counter()
    request_bytes: Counter[Labels] = Counter()
    reply_bytes: Counter[Labels] = Counter()
    templates: Counter[Labels] = Counter()
    for cell in cells:
        key, count = _signature_labels(cell.labels), cell.total_us.count
        answered: Labels = (*key, "OK")
        requests[answered] += count
        request_bytes[key] += cell.request_bytes
        reply_bytes[key] += cell.reply_bytes
        if cell.labels.api == "Predict" and cell.labels.entrypoint == "GRPC":
            templates["hit" if cell.is_known_form else "miss",] += count
    for (labels, status), count in failures.items():
        answered = (*_signature_labels(labels), status)
        requests[answered] += count
    ran = [cell for cell in cells if cell.run_us.count]
    counters = {
        "requests": ((*_OF_SIGNATURE, "status"), _without_zeros(requests), "Requests that were answered."),
        "request_bytes": (_OF_SIGNATURE, _without_zeros(request_bytes), "Bytes of requests that succeeded."),
        "reply_bytes": (_OF_SIGNATURE, _without_zeros(reply_bytes), "Bytes of their replies."),
        "template_cache_requests": (("result",), templates, "Predict over gRPC, by whether a template read it."),
    }
    histograms: Mapping[str, tuple[Sequence[RequestCell], Callable[[RequestCell], Histogram], str]] = {
        "request_seconds": (cells, lambda cell: cell.total_us, "From a request's arrival to its answer."),
        "queue_seconds": (ran, lambda cell: cell.queue_us, "From a request's dispatch to the begin of its run."),
        "run_seconds": (ran, lambda cell: cell.run_us, "The run of the request's batch, and its part of the answers."),
    }
    return (
        *(Family(f"servable_{name}", Kind.COUNTER, *rest) for name, rest in counters.items()),
        *(
            Family(f"servable_{name}", Kind.HISTOGRAM, _OF_SIGNATURE, _in_seconds(of, get), meaning)
            for name, (of, get, meaning) in histograms.items()
        ),
    )


def _signature_labels(of: RequestLabels) -> Labels:
    return of.model, of.signature, of.api, of.entrypoint


def _merge(
    cells: Iterable[RequestCell],
    histogram: Callable[[RequestCell], Histogram],
    labels: Callable[[RequestLabels], Labels],
) -> dict[Labels, Histogram]:
    """The histograms of cells that have equal labels, as one."""
    grouped: defaultdict[Labels, list[Histogram]] = defaultdict(list)
    for cell in cells:
        grouped[labels(cell.labels)].append(histogram(cell))
    merged = {key: Histogram(group[0].buckets).merge(group) for key, group in grouped.items()}
    return {key: each for key, each in merged.items() if each.count}


def _in_seconds(cells: Iterable[RequestCell], histogram: Callable[[RequestCell], Histogram]) -> dict[Labels, Histogram]:
    return {labels: merged.in_seconds() for labels, merged in _merge(cells, histogram, _signature_labels).items()}


def _without_zeros(counts: Counter[Labels]) -> Counter[Labels]:
    """What was counted. A cell is there as soon as its first request has begun."""
    return Counter({labels: count for labels, count in counts.items() if count})
