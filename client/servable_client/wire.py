"""TensorFlow Serving's messages, enums and services; each message and enum by its simple name.

They live in a descriptor pool of their own: the modules that TensorFlow and tensorflow-serving-api ship
put the same names into protobuf's default pool, which refuses a second definition, whichever comes first.
Knows nothing but protobuf. Written by scripts/compile_protos; the types are in wire.pyi.
"""

from pathlib import Path

from google.protobuf import descriptor, descriptor_pb2, descriptor_pool, message, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

POOL = descriptor_pool.DescriptorPool()


def _message_class(of: descriptor.Descriptor) -> type[message.Message]:
    made = message_factory.GetMessageClass(of)
    for nested in of.nested_types:
        # The C runtime finds nested classes by itself; the pure Python one does not.
        setattr(made, nested.name, _message_class(nested))
    return made


_SET = Path(__file__).with_name("wire.binpb").read_bytes()
for _proto in descriptor_pb2.FileDescriptorSet.FromString(_SET).file:
    POOL.Add(_proto)
    _file = POOL.FindFileByName(_proto.name)
    globals().update({name: _message_class(of) for name, of in _file.message_types_by_name.items()})
    for _name, _enum in _file.enum_types_by_name.items():
        globals()[_name] = EnumTypeWrapper(_enum)
        globals().update({value.name: value.number for value in _enum.values})
