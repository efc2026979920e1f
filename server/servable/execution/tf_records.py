"""TFRecord files, read and written by TensorFlow's own C++, so that whatever it says of a damaged file is said here.

It must not know what is in a record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from servable.execution.graph_session import translate

# Deprecated in favour of datasets, which would start TensorFlow's eager runtime, and its hold on a GPU, for a few
# records. What lies below the decorator does not log a warning of that.
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
    """A function that appends a record to a new file; the file is whole after the context.

    Raises:
        ServingError: if it cannot be written.
    """
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            yield writer.write
    except tf.errors.OpError as error:
        raise translate(error) from error
