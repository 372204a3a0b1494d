"""Reads the `.proto` files that the catalog is exported as, as far as these go, into classes of Google's library."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

TOKEN = re.compile(r'//[^\n]*|"[^"]*"|[\w.]+|[{}=;]')
SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}


def message_classes(text: str) -> dict[str, Any]:
    """The messages of a file by name, those within others left out."""
    tokens = [token for token in TOKEN.findall(text) if not token.startswith("//")]
    file = FileDescriptorProto(name="test.proto", syntax="proto3", dependency=["google/protobuf/timestamp.proto"])
    while tokens:
        match tokens:
            case ["package", name, ";", *tokens]:
                file.package = name
            case ["syntax", "=", '"proto3"', ";", *tokens] | ["import", _, ";", *tokens]:
                pass
            case ["message", name, "{", *tokens]:
                tokens = _message(file.message_type.add(name=name), tokens)
            case _:
                raise AssertionError(f"not expected in a file: {tokens[:5]}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    names = [one.name for one in file.message_type]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")) for name in names
    }


def _message(made: DescriptorProto, tokens: list[str]) -> list[str]:
    """Reads up to the closing brace; what is left."""
    optional: list[FieldDescriptorProto] = []
    while tokens[0] != "}":
        match tokens:
            case ["message", name, "{", *tokens]:
                tokens = _message(made.nested_type.add(name=name), tokens)
            case ["oneof", name, "{", *tokens]:
                made.oneof_decl.add(name=name)
                while tokens[0] != "}":
                    kind, name, _, number, _, *tokens = tokens
                    _field(made, kind, name, number).oneof_index = 0
                tokens = tokens[1:]
            case ["optional", kind, name, "=", number, ";", *tokens]:
                optional.append(_field(made, kind, name, number))
            case ["repeated", kind, name, "=", number, ";", *tokens]:
                _field(made, kind, name, number).label = FieldDescriptorProto.LABEL_REPEATED
            case [kind, name, "=", number, ";", *tokens]:
                _field(made, kind, name, number)
            case _:
                raise AssertionError(f"not expected in a message: {tokens[:5]}")
    for field in optional:  # as protoc has it: each in a choice of its own, behind the real ones
        field.proto3_optional = True
        field.oneof_index = len(made.oneof_decl)
        made.oneof_decl.add(name=f"_{field.name}")
    return tokens[1:]


def _field(made: DescriptorProto, kind: str, name: str, number: str) -> FieldDescriptorProto:
    field = made.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind in SCALARS:
        field.type = SCALARS[kind]
    else:
        field.type_name = kind
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    return field
