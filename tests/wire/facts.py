"""Descriptors as lines of text, so that a table or a failed assertion shows them at a glance."""

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto


def walk(files):
    """Yield the descriptor of every message in these files, nested ones too, map entries not."""
    waiting = [message for file in files for message in file.message_types_by_name.values()]
    while waiting:
        message = waiting.pop()
        if not message.GetOptions().map_entry:
            yield message
            waiting += message.nested_types


def enums(files):
    """Yield the descriptor of every enum in these files."""
    for file in files:
        yield from file.enum_types_by_name.values()
    for message in walk(files):
        yield from message.enum_types


def services(files):
    """Yield the descriptor of every service in these files."""
    for file in files:
        yield from file.services_by_name.values()


def fields(message):
    """Return a message's fields: name -> e.g. `6 client_id optional bytes` or `1 name string in encoding`."""
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return {field.name: field_line(field, message.fields_by_name[field.name]) for field in proto.field}


def field_line(proto, field):
    """Return all that matters on the wire, in JSON and to a reader of the field."""
    words = [str(proto.number), proto.name, type_words(proto, field)]
    oneof = field.containing_oneof
    if oneof and not proto.proto3_optional:
        words.append(f"in {oneof.name}")
    if field.json_name != camel(proto.name):
        words.append(f"as {field.json_name}")
    return " ".join(words)


def type_words(proto, field):
    if field.message_type and field.message_type.GetOptions().map_entry:
        entry = fields(field.message_type)
        key, value = (entry[part].split(maxsplit=2)[2] for part in ("key", "value"))
        return f"map<{key}, {value}>"
    name = proto.type_name.lstrip(".") or FieldDescriptorProto.Type.Name(proto.type)[5:].lower()
    if proto.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    # Messages and members of a oneof have presence anyway; of others it says something.
    by_nature = field.message_type or field.containing_oneof
    explicit = proto.proto3_optional or (field.has_presence and not by_nature)
    return f"optional {name}" if explicit else name


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def values(enum):
    """Return an enum's values: name -> number."""
    return {value.name: value.number for value in enum.values}


def methods(service):
    """Return a service's methods: name -> e.g. `pkg.Request -> pkg.Response`."""
    return {method.name: method_line(method) for method in service.methods}


def method_line(method):
    sides = [(method.input_type, method.client_streaming), (method.output_type, method.server_streaming)]
    return " -> ".join(("stream " if streams else "") + of.full_name for of, streams in sides)
