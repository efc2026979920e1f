"""Whatever saved_model.pb holds, there is a report or a ServingError."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from servable import inspection, wire
from servable.errors import ServingError
from tests.inspection.making import write

BOUNDED = settings(max_examples=150, deadline=None)
DIGITS = (Path(__file__).parents[2] / "examples/digits/model/1/saved_model.pb").read_bytes()

KEYS = st.sampled_from(
    ["serving_default", "classify", "regress", "inputs", "outputs", "classes", "scores", "x", "", "\x1b\n"]
)
TENSOR_NAMES = st.sampled_from(["x:0", "x", "y:1", "^x", "", ":", "x:99999999999", "nope:0"])
NUMBERS = st.sampled_from([-(1 << 31), -1, 0, 1, 7, 20, 100, 101, 107, 200, 999, (1 << 31) - 1])
SHAPES = st.builds(
    wire.TensorShapeProto,
    dim=st.lists(st.builds(wire.TensorShapeProto.Dim, size=st.sampled_from([-(1 << 63), -1, 0, 1, (1 << 63) - 1]))),
    unknown_rank=st.booleans(),
)
INFOS = st.builds(wire.TensorInfo, name=TENSOR_NAMES, dtype=NUMBERS, tensor_shape=SHAPES)
SPARSE = st.builds(wire.TensorInfo, coo_sparse=st.builds(wire.TensorInfo.CooSparse), dtype=NUMBERS)
SIDES = st.dictionaries(KEYS, INFOS | SPARSE, max_size=3)
TENSORS = st.builds(
    wire.TensorProto,
    dtype=NUMBERS,
    tensor_shape=SHAPES,
    tensor_content=st.binary(max_size=4),
    float_val=st.lists(st.just(1.0)),
)
METHODS = st.sampled_from(["tensorflow/serving/classify", "tensorflow/serving/predict", "", "\x00"])
SIGNATURES = st.builds(
    wire.SignatureDef,
    inputs=SIDES,
    outputs=SIDES,
    method_name=METHODS,
    defaults=st.dictionaries(KEYS, TENSORS, max_size=1),
)
NODES = st.builds(
    wire.NodeDef,
    name=st.sampled_from(["x", "y", ""]),
    op=st.sampled_from(["Placeholder", "MatMul", "VarHandleOp", "PyFunc", "f", "", "\x07"]),
    input=st.lists(TENSOR_NAMES, max_size=2),
)
GRAPHS = st.builds(
    wire.GraphDef,
    node=st.lists(NODES, max_size=3),
    library=st.builds(
        wire.FunctionDefLibrary,
        function=st.lists(
            st.builds(
                wire.FunctionDef,
                signature=st.builds(wire.OpDef, name=st.just("f")),
                node_def=st.lists(NODES, max_size=2),
            ),
            max_size=1,
        ),
    ),
)
META_GRAPHS = st.builds(
    wire.MetaGraphDef,
    meta_info_def=st.builds(
        wire.MetaGraphDef.MetaInfoDef, tags=st.lists(st.sampled_from(["serve", "train", ""]), max_size=2)
    ),
    graph_def=GRAPHS,
    signature_def=st.dictionaries(KEYS | st.just("__saved_model_init_op"), SIGNATURES, max_size=3),
    asset_file_def=st.lists(
        st.builds(wire.AssetFileDef, filename=st.sampled_from(["a", "../b", "/c", "\x00", ""]), tensor_info=INFOS),
        max_size=2,
    ),
    collection_def=st.dictionaries(
        st.sampled_from(["saved_model_main_op", "saved_model_assets"]),
        st.builds(wire.CollectionDef, node_list=st.builds(wire.CollectionDef.NodeList, value=st.lists(TENSOR_NAMES))),
        max_size=1,
    ),
)


def look_and_write(directory):
    """A report in both forms; a ServingError is an answer too."""
    try:
        report = inspection.inspect(str(directory), list)
    except ServingError:
        return
    text = inspection.to_text(report)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert inspection.to_json(report).isascii()


@BOUNDED
@given(st.data())
def test_bytes_that_are_damaged_anywhere(data):
    content = bytearray(DIGITS)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 20))
        content[start : start + length] = data.draw(st.binary(max_size=20))
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "saved_model.pb").write_bytes(content)
        look_and_write(directory)


@BOUNDED
@given(st.lists(META_GRAPHS, max_size=2))
def test_messages_that_no_exporter_writes(meta_graphs):
    with tempfile.TemporaryDirectory() as directory:
        look_and_write(write(Path(directory, "1"), *meta_graphs))
