"""Refuses runs that would end the process: some checks of TensorFlow abort where others return a status.

The table lists what was tried against TensorFlow 2.21 in every mode; tests/execution/test_run_guard.py tries it again.
The model chooses the graph and which tensors a signature names; the caller chooses arrays and, by output filters, some
of the fetches.

    What                                    Chosen by  What TensorFlow does            What is done about it
    One tensor fed twice, no placeholder    model      aborts (virtual_scheduler.cc)   `check` refuses
                                                       if an AddN takes three or more
    The same, once as sp:1, once as sp:01   model      as above                        `endpoint` gives it one name
    A placeholder fed twice; feed = fetch   model      a status                        `check` refuses
    An output of a number beyond 2**32      model      takes it modulo 2**32           `check` refuses
    _Arg or _Retval as a node of the graph  model      a callable dies (SIGSEGV)       `needs_full_run`
    Fetches inside a loop of TensorFlow 1   model      a callable writes the result    `needs_full_run`
                                                       in each step, unlocked
    Dead fetches (Switch)                   model      a callable gives an empty       `looks_dead`, then a
                                                       array                           full run
    A function that calls itself, by any    model      dies (SIGSEGV), or takes all    `check_graph` refuses
    op: calls, If, Case, While                         memory for an If or a While
                                                       that is lowered; runs an If
                                                       that is not
    The op Abort                            model      aborts, by design               `check_graph` refuses
    Missing nodes, outputs and fetches      both       a status                        nothing
    Feeds of loops, constants, variables,   model      a status, or the right answer   nothing
    references and switches
    Another dtype; resources and variants   both       a status                        nothing; the runner checks
    Shapes that overflow, negative sizes    caller     is never asked                  the codec refuses
    No elements, and sizes that multiply    caller     aborts where a kernel           the codec and
    to 2**31 or more                                   multiplies them                 `check_arrays` refuse
    No elements, and smaller sizes          caller     the right answer, or a status   nothing
    Strings of 256 MiB, views, broadcasts   caller     the right answer                nothing
    Strings of over 32 dimensions fed       caller     dies (SIGSEGV)                  the codec and
                                                                                       `check_arrays` refuse
    Strings of over 32 dimensions fetched   both       dies (SIGSEGV)                  `graph_session` fetches
                                                                                       them in one row
    Results of over 64 dimensions, or too   both       a status                        nothing
    large for NumPy even without elements
    Results larger than the memory          both       a status, after ten seconds     nothing; too slow to try again
    Results of another dtype than strings,  model      an array, or a status           nothing
    variants, handles
    Values that were never initialised      model      a status                        nothing

What a kernel checks about its values is left to TensorFlow, and which operations a model has to the model's owner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from servable.codec import decoding
from servable.errors import InvalidArgument
from servable.execution.stored_graph import StoredGraph

# A callable looks arguments and results up by the numbers of these nodes, unchecked, and stores a result each time that
# one is produced. A full run checks the numbers, locks, and takes one result.
_OPS_FOR_FULL_RUNS = frozenset({"_Arg", "_DeviceArg", "_Retval", "_DeviceRetval", "Enter", "RefEnter"})
_OPS_WITH_DEAD_OUTPUTS = frozenset({"Switch", "RefSwitch", "_SwitchN"})
_OP_THAT_ENDS_THE_PROCESS = "Abort"
# No operation has so many outputs that a number needs more digits. Python parses long ones slowly or not at all.
_MOST_DIGITS = 9


def needs_full_run(ops: Collection[str]) -> bool:
    """Whether a graph of these operations may be run by Session.run alone, and not as a callable."""
    return not _OPS_FOR_FULL_RUNS.isdisjoint(ops)


def may_be_dead(ops: Collection[str]) -> bool:
    """Whether a graph of these operations has branches of which only one gives values."""
    return not _OPS_WITH_DEAD_OUTPUTS.isdisjoint(ops)


def looks_dead(results: Iterable[Any]) -> bool:
    """Whether one of a callable's results may be none, since the fetch was on a branch that was not taken.

    Such a result is what a C++ Tensor holds before a value is assigned: floats, and no elements.
    """
    return any(
        isinstance(result, np.ndarray) and result.shape == (0,) and result.dtype == np.float32 for result in results
    )


def check(graph: Any, feeds: Sequence[str], fetches: Sequence[str]) -> None:
    """Refuse tensors that no run may feed and fetch, in the words and the order of the C++.

    Tensors that the graph lacks pass, since TensorFlow returns a status for them.

    Args:
        graph: A tf.Graph. It may know fewer operations than the session does, but the session has each of them.
        feeds: Tensor names as `graph_session.endpoint` writes them, so that one tensor has one name.
        fetches: As feeds.

    Raises:
        tf.errors.OpError: INVALID_ARGUMENT, or OUT_OF_RANGE for an output that an operation does not have.
    """
    for name in (*feeds, *fetches):
        _check_output(graph, name)
    text = _find_fault(feeds, fetches)
    if text is not None:
        check_known(graph, (*feeds, *fetches))
        _refuse(text)


def check_graph(graph: StoredGraph) -> None:
    """Refuse a graph that ends the process, whatever is fed.

    Raises:
        InvalidArgument: if a function calls itself, or if there is an op that ends the process.
    """
    if _OP_THAT_ENDS_THE_PROCESS in graph.ops:
        raise InvalidArgument(f"The op {_OP_THAT_ENDS_THE_PROCESS} ends the process that runs it")
    try:
        TopologicalSorter(graph.calls).prepare()
    except CycleError as error:
        # CycleError lists dependencies first: each function before the one that calls it.
        cycle = " calls ".join(reversed(error.args[1]))
        raise InvalidArgument(f"TensorFlow cannot run a function that calls itself: {cycle}") from error


def check_arrays(feeds: Iterable[np.ndarray[Any, Any]]) -> None:
    """Refuse arrays that end the process. The codec refuses them too, but not all arrays come from the codec.

    Raises:
        InvalidArgument: if there is one.
    """
    for feed in feeds:
        if feed.size == 0 and decoding.is_too_large_without_elements(feed.shape):
            raise InvalidArgument(f"A tensor of shape {list(feed.shape)} is too large even without elements")
        if feed.ndim > decoding.MAX_DIMENSIONS and feed.dtype == object:
            raise InvalidArgument(f"{feed.ndim} dimensions of strings; at most {decoding.MAX_DIMENSIONS} are supported")


def check_known(graph: Any, tensor_names: Iterable[str]) -> None:
    """Refuse tensors of operations that the graph does not know, in the words of the C++.

    Raises:
        tf.errors.InvalidArgumentError: if there is one.
    """
    for name in tensor_names:
        if _find_operation(graph, name) is None:
            _refuse(f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph")


def _find_fault(feeds: Sequence[str], fetches: Sequence[str]) -> str | None:
    if not fetches:
        return "Must specify at least one target to fetch or execute."
    for index, name in enumerate(feeds):
        if name in fetches:
            return f"{name} is both fed and fetched."
        if name in feeds[:index]:
            return f'Endpoint "{name}" fed more than once.'
    return None


def _check_output(graph: Any, tensor_name: str) -> None:
    operation = _find_operation(graph, tensor_name)
    if operation is None:
        return
    output, count = tensor_name.rpartition(":")[2], len(operation.outputs)
    if len(output) > _MOST_DIGITS or int(output) >= count:
        text = (
            f"Node '{operation.name}' (type: '{operation.type}', num of outputs: {count}) does not have output {output}"
        )
        raise tf.errors.OutOfRangeError(None, None, text)


def _find_operation(graph: Any, tensor_name: str) -> Any:
    """The operation of a tensor; None if the graph does not know it."""
    try:
        return graph.get_operation_by_name(tensor_name.rpartition(":")[0])
    except (KeyError, ValueError):
        return None


def _refuse(text: str) -> NoReturn:
    raise tf.errors.InvalidArgumentError(None, None, text)
