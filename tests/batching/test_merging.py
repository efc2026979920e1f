"""Arrays merged, padded, filled up and taken apart again."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.batching import merging
from servable.errors import FailedPrecondition, InvalidArgument

DTYPES = [np.float32, np.int64, np.bool_, np.complex64, np.float16, np.uint8, np.object_, ml_dtypes.bfloat16]
QUANTIZED = np.dtype([("qint8", np.int8)])


def make(dtype, shape, seed):
    """Values that tell cells, and requests, apart as far as the dtype can."""
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape) * 7 + seed * 31
    if dtype is np.object_:
        return np.array([b"%d" % number for number in numbers.flat], object).reshape(shape)
    return (numbers % 120).astype(dtype)


@st.composite
def requests(draw, *, padded):
    """Some requests of one kind: as many arrays each, of the same dtypes, and of row shapes that can be merged."""
    dtypes = draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=3))
    shapes = [draw(st.lists(st.integers(1, 3), max_size=3)) for _ in dtypes]
    count = draw(st.integers(1, 5))
    made = []
    for seed in range(count):
        rows = draw(st.integers(1, 4))
        own = [[draw(st.integers(1, 3)) for _ in shape] for shape in shapes] if padded else shapes
        made.append([make(dtype, (rows, *shape), seed) for dtype, shape in zip(dtypes, own, strict=True)])
    return made


@pytest.mark.behaviour("8.2", "each caller gets its own rows, as unbatched, whatever happens to other calls")
@settings(deadline=None)
@given(requests(padded=False), st.integers(0, 3))
def test_each_request_gets_its_own_rows_back(made, filler):
    rows = [len(arrays[0]) for arrays in made]
    merged = merging.merge(made, filler)
    shares = list(merging.split(merged, rows, sum(rows) + filler))
    assert len(shares) == len(made)
    for arrays, share in zip(made, shares, strict=True):
        for array, own in zip(arrays, share, strict=True):
            assert own.dtype == array.dtype
            np.testing.assert_array_equal(own, array)


@pytest.mark.behaviour("8.4", "padding is the tensor's own first element, and outputs keep it")
@pytest.mark.behaviour("13.12", "179 BatchingWithPadding, 198 CalculateMaxDimSizes, 199 AddPadding")
@settings(deadline=None)
@given(requests(padded=True))
def test_padding_is_the_array_s_own_first_element(made):
    rows = [len(arrays[0]) for arrays in made]
    shares = merging.split(merging.merge(made), rows, sum(rows))
    for arrays, share in zip(made, shares, strict=True):
        for column, (array, own) in enumerate(zip(arrays, share, strict=True)):
            largest = [max(sizes) for sizes in zip(*(other[column].shape[1:] for other in made), strict=True)]
            assert own.shape == (len(array), *largest)
            inside = np.zeros(own.shape, bool)
            inside[tuple(map(slice, array.shape))] = True
            np.testing.assert_array_equal(own[inside].reshape(array.shape), array)
            assert all(value == array.flat[0] for value in own[~inside])


@pytest.mark.behaviour(
    "8.3", "a run has the first allowed size that is large enough, filled up with the first row of the last request"
)
def test_what_fills_up_is_the_first_row_of_the_last_request():
    first, last = np.array([[1, 1], [2, 2]]), np.array([[3, 3], [4, 4]])
    assert merging.merge([[first], [last]], 2)[0].tolist() == [[1, 1], [2, 2], [3, 3], [4, 4], [3, 3], [3, 3]]


@pytest.mark.behaviour("8.4", "ours: every dtype is padded")
def test_a_quantized_array_is_padded_too():
    short, long = np.ones((1, 1), np.int8).view(QUANTIZED), np.full((1, 3), 5, np.int8).view(QUANTIZED)
    assert merging.merge([[short], [long]])[0].view(np.int8).tolist() == [[1, 1, 1], [5, 5, 5]]


@pytest.mark.behaviour("13.12", "186 SingletonBatch")
def test_a_lone_request_is_not_copied():
    array = np.zeros((2, 2))
    assert merging.merge([[array]])[0] is array


@pytest.mark.behaviour(
    "8.3", "a run has the first allowed size that is large enough, filled up with the first row of the last request"
)
@pytest.mark.behaviour("13.12", "189 AllowedBatchSizesNoPaddingNeeded, 190 AllowedBatchSizesRequirePadding")
@pytest.mark.parametrize(
    ("rows", "allowed", "chosen"),
    [
        (3, (), 3),
        (1, (1, 4, 8), 1),
        (2, (1, 4, 8), 4),
        (8, (1, 4, 8), 8),
        (1, (4, 2, 8), 4),
        (9, (8,), 9),
        (0, (4,), 0),
    ],
)
def test_a_run_has_the_first_allowed_size_that_is_large_enough(rows, allowed, chosen):
    assert merging.choose_rows(rows, allowed) == chosen


@pytest.mark.behaviour("8.4", "no inputs, scalars, inputs of different rows")
@pytest.mark.behaviour("13.12", "188 RequestWithIncompatibleInputTensorSizes")
@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([], "Batching Run() must have at least one input tensor"),
        ([()], "Batching Run() input tensors must have at least one dimension"),
        ([(2,), ()], "Batching Run() input tensors must have at least one dimension"),
        ([(2, 1), (3, 1)], "Batching Run() input tensors must have equal 0th-dimension size"),
        ([(0,), (3,)], "Batching Run() input tensors must have equal 0th-dimension size"),
    ],
)
def test_what_has_no_rows_to_share_is_refused_in_the_original_s_words(shapes, text):
    with pytest.raises(InvalidArgument) as error:
        merging.count_rows([np.zeros(shape) for shape in shapes])
    assert error.value.message == text


@pytest.mark.behaviour("8.2", "the size of a request is dimension 0 of its inputs")
def test_rows_are_dimension_0():
    assert merging.count_rows([np.zeros((3, 2)), np.zeros(3), np.zeros((3, 0))]) == 3
    assert merging.count_rows([np.zeros((0, 2))]) == 0


@pytest.mark.behaviour("8.4", "padding ends at rank 6")
@pytest.mark.behaviour("13.12", "200 AddPaddingTensorWithUnsupportedRank")
def test_padding_has_an_end_at_six_dimensions():
    merging.check_paddable([np.zeros((1,) * 6)])
    with pytest.raises(InvalidArgument) as error:
        merging.check_paddable([np.zeros(1), np.zeros((1,) * 7)])
    assert error.value.message == "Only tensors with rank from 1 to 6 can be padded."


def test_rows_of_one_shape_are_of_one_kind():
    def kinds(*shapes, pads):
        return [merging.kind([np.zeros(shape)], pads=pads) for shape in shapes]

    assert len(set(kinds((1, 2), (3, 2), pads=False))) == 1
    assert len(set(kinds((1, 2), (1, 3), pads=False))) == 2
    other_second = [merging.kind([np.zeros(2), np.zeros((2, size))], pads=False) for size in (1, 2)]
    assert other_second[0] != other_second[1]
    same_rank = kinds((1, 2), (1, 3), pads=True)
    assert same_rank[0] == same_rank[1]
    other_rank = kinds((1, 2), (1, 2, 1), pads=True)
    assert other_rank[0] != other_rank[1]


def test_what_is_empty_is_merged_with_nothing():
    assert merging.kind([np.zeros((0, 2))], pads=False) is None
    assert merging.kind([np.zeros((2, 1)), np.zeros((2, 0))], pads=True) is None
    assert merging.kind([np.zeros((2, 1)), np.zeros((2, 0))], pads=False) is not None


@pytest.mark.behaviour("8.4", "outputs without a batch dimension, even of a lone request")
def test_an_output_without_dimensions_cannot_be_split():
    with pytest.raises(FailedPrecondition) as error:
        merging.split([np.zeros(2), np.float32(1)], [1, 1], 2)
    assert error.value.message == "Batched output tensor has 0 dimensions"


@pytest.mark.behaviour("8.4", "outputs without a batch dimension, even of a lone request")
@pytest.mark.parametrize("rows", [1, 3])
def test_an_output_of_other_rows_than_the_run_cannot_be_split(rows):
    with pytest.raises(FailedPrecondition) as error:
        merging.split([np.zeros(rows)], [1, 1], 2)
    assert error.value.message == (
        "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors"
    )
