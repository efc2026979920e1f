"""TFRecord files, read and written by TensorFlow's own C++, so that errors of damaged files have TensorFlow's texts.

This module must not know what is in a record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from servable.execution.graph_session import translate

# tf_record_iterator is deprecated in favour of datasets, which for a few records would start TensorFlow's eager runtime
# and so occupy a GPU. The function below the decorator logs no warning of the deprecation.
_iterate = inspect.unwrap(tf.compat.v1.io.tf_record_iterator)


def read(path: Path) -> Iterator[bytes]:
    """The records of a file, one at a time.

    A file that ends within the first 12 bytes of a record ends there without an error, as in the original.

    Raises:
        DataLoss: if the file is no TFRecord file, or cut.
        ServingError: if it cannot be read.
    """
    try:
        yield from _iterate(str(path))
    except tf.errors.OpError as error:
        raise translate(error) from error


@contextmanager
def writing(path: Path) -> Iterator[Callable[[bytes], None]]:
    """A function that appends a record to a new file; the file is complete when the context ends.

    Raises:
        ServingError: if it cannot be written.
    """
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            yield writer.write
    except tf.errors.OpError as error:
        raise translate(error) from error
