"""Types of the wire module. Written by scripts/compile_protos."""

from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Final as _Final, Literal as _Literal

from google.protobuf.descriptor import Descriptor as _Descriptor
from google.protobuf.descriptor_pool import DescriptorPool as _DescriptorPool
from google.protobuf.internal import well_known_types as _well_known_types
from google.protobuf.internal.containers import (
    MessageMap as _MessageMap,
    RepeatedCompositeFieldContainer as _RepeatedMessage,
    RepeatedScalarFieldContainer as _RepeatedScalar,
    ScalarMap as _ScalarMap,
)
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper as _EnumTypeWrapper
from google.protobuf.message import Message as _Message

POOL: _DescriptorPool


class Duration(_well_known_types.Duration, _Message):
    DESCRIPTOR: _Descriptor
    seconds: int
    nanos: int
    def __init__(
        self,
        *,
        seconds: int | None = None,
        nanos: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["seconds", "nanos"]) -> None: ...

class ErrorInfo(_Message):
    DESCRIPTOR: _Descriptor
    reason: str
    domain: str
    @property
    def metadata(self) -> _ScalarMap[str, str]: ...
    def __init__(
        self,
        *,
        reason: str | None = None,
        domain: str | None = None,
        metadata: _Mapping[str, str] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["reason", "domain", "metadata"]) -> None: ...

class RetryInfo(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def retry_delay(self) -> Duration: ...
    def __init__(
        self,
        *,
        retry_delay: Duration | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["retry_delay"]) -> None: ...
    def HasField(self, field_name: _Literal["retry_delay"]) -> bool: ...

class BadRequest(_Message):
    DESCRIPTOR: _Descriptor
    class FieldViolation(_Message):
        DESCRIPTOR: _Descriptor
        field: str
        description: str
        def __init__(
            self,
            *,
            field: str | None = None,
            description: str | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["field", "description"]) -> None: ...
    @property
    def field_violations(self) -> _RepeatedMessage[BadRequest.FieldViolation]: ...
    def __init__(
        self,
        *,
        field_violations: _Iterable[BadRequest.FieldViolation] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["field_violations"]) -> None: ...

class ResourceInfo(_Message):
    DESCRIPTOR: _Descriptor
    resource_type: str
    resource_name: str
    owner: str
    description: str
    def __init__(
        self,
        *,
        resource_type: str | None = None,
        resource_name: str | None = None,
        owner: str | None = None,
        description: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["resource_type", "resource_name", "owner", "description"]) -> None: ...

class Help(_Message):
    DESCRIPTOR: _Descriptor
    class Link(_Message):
        DESCRIPTOR: _Descriptor
        description: str
        url: str
        def __init__(
            self,
            *,
            description: str | None = None,
            url: str | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["description", "url"]) -> None: ...
    @property
    def links(self) -> _RepeatedMessage[Help.Link]: ...
    def __init__(
        self,
        *,
        links: _Iterable[Help.Link] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["links"]) -> None: ...

class Any(_well_known_types.Any, _Message):
    DESCRIPTOR: _Descriptor
    type_url: str
    value: bytes
    def __init__(
        self,
        *,
        type_url: str | None = None,
        value: bytes | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["type_url", "value"]) -> None: ...

class Status(_Message):
    DESCRIPTOR: _Descriptor
    code: int
    message: str
    @property
    def details(self) -> _RepeatedMessage[Any]: ...
    def __init__(
        self,
        *,
        code: int | None = None,
        message: str | None = None,
        details: _Iterable[Any] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["code", "message", "details"]) -> None: ...

class ServerLiveRequest(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class ServerLiveResponse(_Message):
    DESCRIPTOR: _Descriptor
    live: bool
    def __init__(
        self,
        *,
        live: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["live"]) -> None: ...

class ServerReadyRequest(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class ServerReadyResponse(_Message):
    DESCRIPTOR: _Descriptor
    ready: bool
    def __init__(
        self,
        *,
        ready: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["ready"]) -> None: ...

class ModelReadyRequest(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    version: str
    def __init__(
        self,
        *,
        name: str | None = None,
        version: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "version"]) -> None: ...

class ModelReadyResponse(_Message):
    DESCRIPTOR: _Descriptor
    ready: bool
    def __init__(
        self,
        *,
        ready: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["ready"]) -> None: ...

class ServerMetadataRequest(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class ServerMetadataResponse(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    version: str
    @property
    def extensions(self) -> _RepeatedScalar[str]: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        version: str | None = None,
        extensions: _Iterable[str] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "version", "extensions"]) -> None: ...

class ModelMetadataRequest(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    version: str
    def __init__(
        self,
        *,
        name: str | None = None,
        version: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "version"]) -> None: ...

class ModelMetadataResponse(_Message):
    DESCRIPTOR: _Descriptor
    class TensorMetadata(_Message):
        DESCRIPTOR: _Descriptor
        name: str
        datatype: str
        @property
        def shape(self) -> _RepeatedScalar[int]: ...
        def __init__(
            self,
            *,
            name: str | None = None,
            datatype: str | None = None,
            shape: _Iterable[int] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["name", "datatype", "shape"]) -> None: ...
    name: str
    @property
    def versions(self) -> _RepeatedScalar[str]: ...
    platform: str
    @property
    def inputs(self) -> _RepeatedMessage[ModelMetadataResponse.TensorMetadata]: ...
    @property
    def outputs(self) -> _RepeatedMessage[ModelMetadataResponse.TensorMetadata]: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        versions: _Iterable[str] | None = None,
        platform: str | None = None,
        inputs: _Iterable[ModelMetadataResponse.TensorMetadata] | None = None,
        outputs: _Iterable[ModelMetadataResponse.TensorMetadata] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "versions", "platform", "inputs", "outputs"]) -> None: ...

class InferParameter(_Message):
    DESCRIPTOR: _Descriptor
    bool_param: bool
    int64_param: int
    string_param: str
    double_param: float
    uint64_param: int
    def __init__(
        self,
        *,
        bool_param: bool | None = None,
        int64_param: int | None = None,
        string_param: str | None = None,
        double_param: float | None = None,
        uint64_param: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["bool_param", "int64_param", "string_param", "double_param", "uint64_param", "parameter_choice"]) -> None: ...
    def HasField(self, field_name: _Literal["bool_param", "int64_param", "string_param", "double_param", "uint64_param", "parameter_choice"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["parameter_choice"]) -> _Literal["bool_param", "int64_param", "string_param", "double_param", "uint64_param"] | None: ...

class InferTensorContents(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def bool_contents(self) -> _RepeatedScalar[bool]: ...
    @property
    def int_contents(self) -> _RepeatedScalar[int]: ...
    @property
    def int64_contents(self) -> _RepeatedScalar[int]: ...
    @property
    def uint_contents(self) -> _RepeatedScalar[int]: ...
    @property
    def uint64_contents(self) -> _RepeatedScalar[int]: ...
    @property
    def fp32_contents(self) -> _RepeatedScalar[float]: ...
    @property
    def fp64_contents(self) -> _RepeatedScalar[float]: ...
    @property
    def bytes_contents(self) -> _RepeatedScalar[bytes]: ...
    def __init__(
        self,
        *,
        bool_contents: _Iterable[bool] | None = None,
        int_contents: _Iterable[int] | None = None,
        int64_contents: _Iterable[int] | None = None,
        uint_contents: _Iterable[int] | None = None,
        uint64_contents: _Iterable[int] | None = None,
        fp32_contents: _Iterable[float] | None = None,
        fp64_contents: _Iterable[float] | None = None,
        bytes_contents: _Iterable[bytes] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["bool_contents", "int_contents", "int64_contents", "uint_contents", "uint64_contents", "fp32_contents", "fp64_contents", "bytes_contents"]) -> None: ...

class ModelInferRequest(_Message):
    DESCRIPTOR: _Descriptor
    class InferInputTensor(_Message):
        DESCRIPTOR: _Descriptor
        name: str
        datatype: str
        @property
        def shape(self) -> _RepeatedScalar[int]: ...
        @property
        def parameters(self) -> _MessageMap[str, InferParameter]: ...
        @property
        def contents(self) -> InferTensorContents: ...
        def __init__(
            self,
            *,
            name: str | None = None,
            datatype: str | None = None,
            shape: _Iterable[int] | None = None,
            parameters: _Mapping[str, InferParameter] | None = None,
            contents: InferTensorContents | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["name", "datatype", "shape", "parameters", "contents"]) -> None: ...
        def HasField(self, field_name: _Literal["contents"]) -> bool: ...
    class InferRequestedOutputTensor(_Message):
        DESCRIPTOR: _Descriptor
        name: str
        @property
        def parameters(self) -> _MessageMap[str, InferParameter]: ...
        def __init__(
            self,
            *,
            name: str | None = None,
            parameters: _Mapping[str, InferParameter] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["name", "parameters"]) -> None: ...
    model_name: str
    model_version: str
    id: str
    @property
    def parameters(self) -> _MessageMap[str, InferParameter]: ...
    @property
    def inputs(self) -> _RepeatedMessage[ModelInferRequest.InferInputTensor]: ...
    @property
    def outputs(self) -> _RepeatedMessage[ModelInferRequest.InferRequestedOutputTensor]: ...
    @property
    def raw_input_contents(self) -> _RepeatedScalar[bytes]: ...
    def __init__(
        self,
        *,
        model_name: str | None = None,
        model_version: str | None = None,
        id: str | None = None,
        parameters: _Mapping[str, InferParameter] | None = None,
        inputs: _Iterable[ModelInferRequest.InferInputTensor] | None = None,
        outputs: _Iterable[ModelInferRequest.InferRequestedOutputTensor] | None = None,
        raw_input_contents: _Iterable[bytes] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_name", "model_version", "id", "parameters", "inputs", "outputs", "raw_input_contents"]) -> None: ...

class ModelInferResponse(_Message):
    DESCRIPTOR: _Descriptor
    class InferOutputTensor(_Message):
        DESCRIPTOR: _Descriptor
        name: str
        datatype: str
        @property
        def shape(self) -> _RepeatedScalar[int]: ...
        @property
        def parameters(self) -> _MessageMap[str, InferParameter]: ...
        @property
        def contents(self) -> InferTensorContents: ...
        def __init__(
            self,
            *,
            name: str | None = None,
            datatype: str | None = None,
            shape: _Iterable[int] | None = None,
            parameters: _Mapping[str, InferParameter] | None = None,
            contents: InferTensorContents | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["name", "datatype", "shape", "parameters", "contents"]) -> None: ...
        def HasField(self, field_name: _Literal["contents"]) -> bool: ...
    model_name: str
    model_version: str
    id: str
    @property
    def parameters(self) -> _MessageMap[str, InferParameter]: ...
    @property
    def outputs(self) -> _RepeatedMessage[ModelInferResponse.InferOutputTensor]: ...
    @property
    def raw_output_contents(self) -> _RepeatedScalar[bytes]: ...
    def __init__(
        self,
        *,
        model_name: str | None = None,
        model_version: str | None = None,
        id: str | None = None,
        parameters: _Mapping[str, InferParameter] | None = None,
        outputs: _Iterable[ModelInferResponse.InferOutputTensor] | None = None,
        raw_output_contents: _Iterable[bytes] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_name", "model_version", "id", "parameters", "outputs", "raw_output_contents"]) -> None: ...

class AuthorizationConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def issuer(self) -> _RepeatedMessage[TokenIssuer]: ...
    @property
    def rule(self) -> _RepeatedMessage[AuthorizationRule]: ...
    def __init__(
        self,
        *,
        issuer: _Iterable[TokenIssuer] | None = None,
        rule: _Iterable[AuthorizationRule] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["issuer", "rule"]) -> None: ...

class TokenIssuer(_Message):
    DESCRIPTOR: _Descriptor
    issuer: str
    @property
    def audience(self) -> _RepeatedScalar[str]: ...
    jwks_file: str
    leeway_s: int
    def __init__(
        self,
        *,
        issuer: str | None = None,
        audience: _Iterable[str] | None = None,
        jwks_file: str | None = None,
        leeway_s: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["issuer", "audience", "jwks_file", "leeway_s"]) -> None: ...
    def HasField(self, field_name: _Literal["leeway_s"]) -> bool: ...

class AuthorizationRule(_Message):
    DESCRIPTOR: _Descriptor
    Action: _ClassVar[_EnumTypeWrapper]
    UNSPECIFIED: _Final = 0
    PREDICT: _Final = 1
    METADATA: _Final = 2
    STATUS: _Final = 3
    RELOAD: _Final = 4
    PROFILE: _Final = 5
    METRICS: _Final = 6
    CONSOLE: _Final = 7
    class Caller(_Message):
        DESCRIPTOR: _Descriptor
        name: str
        anyone: bool
        mtls: str
        @property
        def jwt(self) -> AuthorizationRule.Token: ...
        bearer_sha256: str
        def __init__(
            self,
            *,
            name: str | None = None,
            anyone: bool | None = None,
            mtls: str | None = None,
            jwt: AuthorizationRule.Token | None = None,
            bearer_sha256: str | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["name", "anyone", "mtls", "jwt", "bearer_sha256", "kind"]) -> None: ...
        def HasField(self, field_name: _Literal["anyone", "mtls", "jwt", "bearer_sha256", "kind"]) -> bool: ...
        def WhichOneof(self, oneof_group: _Literal["kind"]) -> _Literal["anyone", "mtls", "jwt", "bearer_sha256"] | None: ...
    class Token(_Message):
        DESCRIPTOR: _Descriptor
        issuer: str
        @property
        def claim(self) -> _RepeatedMessage[AuthorizationRule.Claim]: ...
        def __init__(
            self,
            *,
            issuer: str | None = None,
            claim: _Iterable[AuthorizationRule.Claim] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["issuer", "claim"]) -> None: ...
    class Claim(_Message):
        DESCRIPTOR: _Descriptor
        name: str
        @property
        def value(self) -> _RepeatedScalar[str]: ...
        def __init__(
            self,
            *,
            name: str | None = None,
            value: _Iterable[str] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["name", "value"]) -> None: ...
    name: str
    @property
    def who(self) -> _RepeatedMessage[AuthorizationRule.Caller]: ...
    @property
    def may(self) -> _RepeatedScalar[int]: ...
    @property
    def models(self) -> _RepeatedScalar[str]: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        who: _Iterable[AuthorizationRule.Caller] | None = None,
        may: _Iterable[int] | None = None,
        models: _Iterable[str] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "who", "may", "models"]) -> None: ...

class BytesList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def value(self) -> _RepeatedScalar[bytes]: ...
    def __init__(
        self,
        *,
        value: _Iterable[bytes] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class FloatList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def value(self) -> _RepeatedScalar[float]: ...
    def __init__(
        self,
        *,
        value: _Iterable[float] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class Int64List(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def value(self) -> _RepeatedScalar[int]: ...
    def __init__(
        self,
        *,
        value: _Iterable[int] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class Feature(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def bytes_list(self) -> BytesList: ...
    @property
    def float_list(self) -> FloatList: ...
    @property
    def int64_list(self) -> Int64List: ...
    def __init__(
        self,
        *,
        bytes_list: BytesList | None = None,
        float_list: FloatList | None = None,
        int64_list: Int64List | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["bytes_list", "float_list", "int64_list", "kind"]) -> None: ...
    def HasField(self, field_name: _Literal["bytes_list", "float_list", "int64_list", "kind"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["kind"]) -> _Literal["bytes_list", "float_list", "int64_list"] | None: ...

class Features(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def feature(self) -> _MessageMap[str, Feature]: ...
    def __init__(
        self,
        *,
        feature: _Mapping[str, Feature] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["feature"]) -> None: ...

class FeatureList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def feature(self) -> _RepeatedMessage[Feature]: ...
    def __init__(
        self,
        *,
        feature: _Iterable[Feature] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["feature"]) -> None: ...

class FeatureLists(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def feature_list(self) -> _MessageMap[str, FeatureList]: ...
    def __init__(
        self,
        *,
        feature_list: _Mapping[str, FeatureList] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["feature_list"]) -> None: ...

class Example(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def features(self) -> Features: ...
    def __init__(
        self,
        *,
        features: Features | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["features"]) -> None: ...
    def HasField(self, field_name: _Literal["features"]) -> bool: ...

class SequenceExample(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def context(self) -> Features: ...
    @property
    def feature_lists(self) -> FeatureLists: ...
    def __init__(
        self,
        *,
        context: Features | None = None,
        feature_lists: FeatureLists | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["context", "feature_lists"]) -> None: ...
    def HasField(self, field_name: _Literal["context", "feature_lists"]) -> bool: ...

class TensorShapeProto(_Message):
    DESCRIPTOR: _Descriptor
    class Dim(_Message):
        DESCRIPTOR: _Descriptor
        size: int
        name: str
        def __init__(
            self,
            *,
            size: int | None = None,
            name: str | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["size", "name"]) -> None: ...
    @property
    def dim(self) -> _RepeatedMessage[TensorShapeProto.Dim]: ...
    unknown_rank: bool
    def __init__(
        self,
        *,
        dim: _Iterable[TensorShapeProto.Dim] | None = None,
        unknown_rank: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["dim", "unknown_rank"]) -> None: ...

DataType: _EnumTypeWrapper
DT_INVALID: _Final = 0
DT_FLOAT: _Final = 1
DT_DOUBLE: _Final = 2
DT_INT32: _Final = 3
DT_UINT8: _Final = 4
DT_INT16: _Final = 5
DT_INT8: _Final = 6
DT_STRING: _Final = 7
DT_COMPLEX64: _Final = 8
DT_INT64: _Final = 9
DT_BOOL: _Final = 10
DT_QINT8: _Final = 11
DT_QUINT8: _Final = 12
DT_QINT32: _Final = 13
DT_BFLOAT16: _Final = 14
DT_QINT16: _Final = 15
DT_QUINT16: _Final = 16
DT_UINT16: _Final = 17
DT_COMPLEX128: _Final = 18
DT_HALF: _Final = 19
DT_RESOURCE: _Final = 20
DT_VARIANT: _Final = 21
DT_UINT32: _Final = 22
DT_UINT64: _Final = 23
DT_FLOAT8_E5M2: _Final = 24
DT_FLOAT8_E4M3FN: _Final = 25
DT_FLOAT8_E4M3FNUZ: _Final = 26
DT_FLOAT8_E4M3B11FNUZ: _Final = 27
DT_FLOAT8_E5M2FNUZ: _Final = 28
DT_INT4: _Final = 29
DT_UINT4: _Final = 30
DT_INT2: _Final = 31
DT_UINT2: _Final = 32
DT_FLOAT4_E2M1FN: _Final = 33
DT_FLOAT_REF: _Final = 101
DT_DOUBLE_REF: _Final = 102
DT_INT32_REF: _Final = 103
DT_UINT8_REF: _Final = 104
DT_INT16_REF: _Final = 105
DT_INT8_REF: _Final = 106
DT_STRING_REF: _Final = 107
DT_COMPLEX64_REF: _Final = 108
DT_INT64_REF: _Final = 109
DT_BOOL_REF: _Final = 110
DT_QINT8_REF: _Final = 111
DT_QUINT8_REF: _Final = 112
DT_QINT32_REF: _Final = 113
DT_BFLOAT16_REF: _Final = 114
DT_QINT16_REF: _Final = 115
DT_QUINT16_REF: _Final = 116
DT_UINT16_REF: _Final = 117
DT_COMPLEX128_REF: _Final = 118
DT_HALF_REF: _Final = 119
DT_RESOURCE_REF: _Final = 120
DT_VARIANT_REF: _Final = 121
DT_UINT32_REF: _Final = 122
DT_UINT64_REF: _Final = 123
DT_FLOAT8_E5M2_REF: _Final = 124
DT_FLOAT8_E4M3FN_REF: _Final = 125
DT_FLOAT8_E4M3FNUZ_REF: _Final = 126
DT_FLOAT8_E4M3B11FNUZ_REF: _Final = 127
DT_FLOAT8_E5M2FNUZ_REF: _Final = 128
DT_INT4_REF: _Final = 129
DT_UINT4_REF: _Final = 130
DT_INT2_REF: _Final = 131
DT_UINT2_REF: _Final = 132
DT_FLOAT4_E2M1FN_REF: _Final = 133

class ResourceHandleProto(_Message):
    DESCRIPTOR: _Descriptor
    class DtypeAndShape(_Message):
        DESCRIPTOR: _Descriptor
        dtype: int
        @property
        def shape(self) -> TensorShapeProto: ...
        def __init__(
            self,
            *,
            dtype: int | None = None,
            shape: TensorShapeProto | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["dtype", "shape"]) -> None: ...
        def HasField(self, field_name: _Literal["shape"]) -> bool: ...
    device: str
    container: str
    name: str
    hash_code: int
    maybe_type_name: str
    @property
    def dtypes_and_shapes(self) -> _RepeatedMessage[ResourceHandleProto.DtypeAndShape]: ...
    def __init__(
        self,
        *,
        device: str | None = None,
        container: str | None = None,
        name: str | None = None,
        hash_code: int | None = None,
        maybe_type_name: str | None = None,
        dtypes_and_shapes: _Iterable[ResourceHandleProto.DtypeAndShape] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["device", "container", "name", "hash_code", "maybe_type_name", "dtypes_and_shapes"]) -> None: ...

class TensorProto(_Message):
    DESCRIPTOR: _Descriptor
    dtype: int
    @property
    def tensor_shape(self) -> TensorShapeProto: ...
    version_number: int
    tensor_content: bytes
    @property
    def float_val(self) -> _RepeatedScalar[float]: ...
    @property
    def double_val(self) -> _RepeatedScalar[float]: ...
    @property
    def int_val(self) -> _RepeatedScalar[int]: ...
    @property
    def string_val(self) -> _RepeatedScalar[bytes]: ...
    @property
    def scomplex_val(self) -> _RepeatedScalar[float]: ...
    @property
    def int64_val(self) -> _RepeatedScalar[int]: ...
    @property
    def bool_val(self) -> _RepeatedScalar[bool]: ...
    @property
    def dcomplex_val(self) -> _RepeatedScalar[float]: ...
    @property
    def half_val(self) -> _RepeatedScalar[int]: ...
    @property
    def resource_handle_val(self) -> _RepeatedMessage[ResourceHandleProto]: ...
    @property
    def variant_val(self) -> _RepeatedMessage[VariantTensorDataProto]: ...
    @property
    def uint32_val(self) -> _RepeatedScalar[int]: ...
    @property
    def uint64_val(self) -> _RepeatedScalar[int]: ...
    float8_val: bytes
    def __init__(
        self,
        *,
        dtype: int | None = None,
        tensor_shape: TensorShapeProto | None = None,
        version_number: int | None = None,
        tensor_content: bytes | None = None,
        float_val: _Iterable[float] | None = None,
        double_val: _Iterable[float] | None = None,
        int_val: _Iterable[int] | None = None,
        string_val: _Iterable[bytes] | None = None,
        scomplex_val: _Iterable[float] | None = None,
        int64_val: _Iterable[int] | None = None,
        bool_val: _Iterable[bool] | None = None,
        dcomplex_val: _Iterable[float] | None = None,
        half_val: _Iterable[int] | None = None,
        resource_handle_val: _Iterable[ResourceHandleProto] | None = None,
        variant_val: _Iterable[VariantTensorDataProto] | None = None,
        uint32_val: _Iterable[int] | None = None,
        uint64_val: _Iterable[int] | None = None,
        float8_val: bytes | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["dtype", "tensor_shape", "version_number", "tensor_content", "float_val", "double_val", "int_val", "string_val", "scomplex_val", "int64_val", "bool_val", "dcomplex_val", "half_val", "resource_handle_val", "variant_val", "uint32_val", "uint64_val", "float8_val"]) -> None: ...
    def HasField(self, field_name: _Literal["tensor_shape"]) -> bool: ...

class VariantTensorDataProto(_Message):
    DESCRIPTOR: _Descriptor
    type_name: str
    metadata: bytes
    @property
    def tensors(self) -> _RepeatedMessage[TensorProto]: ...
    def __init__(
        self,
        *,
        type_name: str | None = None,
        metadata: bytes | None = None,
        tensors: _Iterable[TensorProto] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["type_name", "metadata", "tensors"]) -> None: ...

class AttrValue(_Message):
    DESCRIPTOR: _Descriptor
    class ListValue(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def s(self) -> _RepeatedScalar[bytes]: ...
        @property
        def i(self) -> _RepeatedScalar[int]: ...
        @property
        def f(self) -> _RepeatedScalar[float]: ...
        @property
        def b(self) -> _RepeatedScalar[bool]: ...
        @property
        def type(self) -> _RepeatedScalar[int]: ...
        @property
        def shape(self) -> _RepeatedMessage[TensorShapeProto]: ...
        @property
        def tensor(self) -> _RepeatedMessage[TensorProto]: ...
        @property
        def func(self) -> _RepeatedMessage[NameAttrList]: ...
        def __init__(
            self,
            *,
            s: _Iterable[bytes] | None = None,
            i: _Iterable[int] | None = None,
            f: _Iterable[float] | None = None,
            b: _Iterable[bool] | None = None,
            type: _Iterable[int] | None = None,
            shape: _Iterable[TensorShapeProto] | None = None,
            tensor: _Iterable[TensorProto] | None = None,
            func: _Iterable[NameAttrList] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["s", "i", "f", "b", "type", "shape", "tensor", "func"]) -> None: ...
    @property
    def list(self) -> AttrValue.ListValue: ...
    s: bytes
    i: int
    f: float
    b: bool
    type: int
    @property
    def shape(self) -> TensorShapeProto: ...
    @property
    def tensor(self) -> TensorProto: ...
    placeholder: str
    @property
    def func(self) -> NameAttrList: ...
    def __init__(
        self,
        *,
        list: AttrValue.ListValue | None = None,
        s: bytes | None = None,
        i: int | None = None,
        f: float | None = None,
        b: bool | None = None,
        type: int | None = None,
        shape: TensorShapeProto | None = None,
        tensor: TensorProto | None = None,
        placeholder: str | None = None,
        func: NameAttrList | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["list", "s", "i", "f", "b", "type", "shape", "tensor", "placeholder", "func", "value"]) -> None: ...
    def HasField(self, field_name: _Literal["list", "s", "i", "f", "b", "type", "shape", "tensor", "placeholder", "func", "value"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["value"]) -> _Literal["list", "s", "i", "f", "b", "type", "shape", "tensor", "placeholder", "func"] | None: ...

class NameAttrList(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    @property
    def attr(self) -> _MessageMap[str, AttrValue]: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        attr: _Mapping[str, AttrValue] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "attr"]) -> None: ...

class NodeDef(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    op: str
    @property
    def input(self) -> _RepeatedScalar[str]: ...
    device: str
    @property
    def attr(self) -> _MessageMap[str, AttrValue]: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        op: str | None = None,
        input: _Iterable[str] | None = None,
        device: str | None = None,
        attr: _Mapping[str, AttrValue] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "op", "input", "device", "attr"]) -> None: ...

class OpDef(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    def __init__(
        self,
        *,
        name: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name"]) -> None: ...

class OpList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def op(self) -> _RepeatedMessage[OpDef]: ...
    def __init__(
        self,
        *,
        op: _Iterable[OpDef] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["op"]) -> None: ...

class FunctionDefLibrary(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def function(self) -> _RepeatedMessage[FunctionDef]: ...
    def __init__(
        self,
        *,
        function: _Iterable[FunctionDef] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["function"]) -> None: ...

class FunctionDef(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def signature(self) -> OpDef: ...
    @property
    def node_def(self) -> _RepeatedMessage[NodeDef]: ...
    @property
    def attr(self) -> _MessageMap[str, AttrValue]: ...
    def __init__(
        self,
        *,
        signature: OpDef | None = None,
        node_def: _Iterable[NodeDef] | None = None,
        attr: _Mapping[str, AttrValue] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["signature", "node_def", "attr"]) -> None: ...
    def HasField(self, field_name: _Literal["signature"]) -> bool: ...

class VersionDef(_Message):
    DESCRIPTOR: _Descriptor
    producer: int
    min_consumer: int
    @property
    def bad_consumers(self) -> _RepeatedScalar[int]: ...
    def __init__(
        self,
        *,
        producer: int | None = None,
        min_consumer: int | None = None,
        bad_consumers: _Iterable[int] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["producer", "min_consumer", "bad_consumers"]) -> None: ...

class GraphDef(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def node(self) -> _RepeatedMessage[NodeDef]: ...
    @property
    def library(self) -> FunctionDefLibrary: ...
    version: int
    @property
    def versions(self) -> VersionDef: ...
    def __init__(
        self,
        *,
        node: _Iterable[NodeDef] | None = None,
        library: FunctionDefLibrary | None = None,
        version: int | None = None,
        versions: VersionDef | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["node", "library", "version", "versions"]) -> None: ...
    def HasField(self, field_name: _Literal["library", "versions"]) -> bool: ...

class RunOptions(_Message):
    DESCRIPTOR: _Descriptor
    TraceLevel: _ClassVar[_EnumTypeWrapper]
    NO_TRACE: _Final = 0
    SOFTWARE_TRACE: _Final = 1
    HARDWARE_TRACE: _Final = 2
    FULL_TRACE: _Final = 3
    class Experimental(_Message):
        DESCRIPTOR: _Descriptor
        class RunHandlerPoolOptions(_Message):
            DESCRIPTOR: _Descriptor
            priority: int
            def __init__(
                self,
                *,
                priority: int | None = None,
            ) -> None: ...
            def ClearField(self, field_name: _Literal["priority"]) -> None: ...
        collective_graph_key: int
        use_run_handler_pool: bool
        @property
        def run_handler_pool_options(self) -> RunOptions.Experimental.RunHandlerPoolOptions: ...
        def __init__(
            self,
            *,
            collective_graph_key: int | None = None,
            use_run_handler_pool: bool | None = None,
            run_handler_pool_options: RunOptions.Experimental.RunHandlerPoolOptions | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["collective_graph_key", "use_run_handler_pool", "run_handler_pool_options"]) -> None: ...
        def HasField(self, field_name: _Literal["run_handler_pool_options"]) -> bool: ...
    trace_level: int
    timeout_in_ms: int
    inter_op_thread_pool: int
    output_partition_graphs: bool
    report_tensor_allocations_upon_oom: bool
    @property
    def experimental(self) -> RunOptions.Experimental: ...
    def __init__(
        self,
        *,
        trace_level: int | None = None,
        timeout_in_ms: int | None = None,
        inter_op_thread_pool: int | None = None,
        output_partition_graphs: bool | None = None,
        report_tensor_allocations_upon_oom: bool | None = None,
        experimental: RunOptions.Experimental | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["trace_level", "timeout_in_ms", "inter_op_thread_pool", "output_partition_graphs", "report_tensor_allocations_upon_oom", "experimental"]) -> None: ...
    def HasField(self, field_name: _Literal["experimental"]) -> bool: ...

class RunMetadata(_Message):
    DESCRIPTOR: _Descriptor
    class FunctionGraphs(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def partition_graphs(self) -> _RepeatedMessage[GraphDef]: ...
        @property
        def pre_optimization_graph(self) -> GraphDef: ...
        @property
        def post_optimization_graph(self) -> GraphDef: ...
        def __init__(
            self,
            *,
            partition_graphs: _Iterable[GraphDef] | None = None,
            pre_optimization_graph: GraphDef | None = None,
            post_optimization_graph: GraphDef | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["partition_graphs", "pre_optimization_graph", "post_optimization_graph"]) -> None: ...
        def HasField(self, field_name: _Literal["pre_optimization_graph", "post_optimization_graph"]) -> bool: ...
    @property
    def partition_graphs(self) -> _RepeatedMessage[GraphDef]: ...
    @property
    def function_graphs(self) -> _RepeatedMessage[RunMetadata.FunctionGraphs]: ...
    @property
    def session_metadata(self) -> SessionMetadata: ...
    def __init__(
        self,
        *,
        partition_graphs: _Iterable[GraphDef] | None = None,
        function_graphs: _Iterable[RunMetadata.FunctionGraphs] | None = None,
        session_metadata: SessionMetadata | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["partition_graphs", "function_graphs", "session_metadata"]) -> None: ...
    def HasField(self, field_name: _Literal["session_metadata"]) -> bool: ...

class SessionMetadata(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    version: int
    def __init__(
        self,
        *,
        name: str | None = None,
        version: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "version"]) -> None: ...

Code: _EnumTypeWrapper
OK: _Final = 0
CANCELLED: _Final = 1
UNKNOWN: _Final = 2
INVALID_ARGUMENT: _Final = 3
DEADLINE_EXCEEDED: _Final = 4
NOT_FOUND: _Final = 5
ALREADY_EXISTS: _Final = 6
PERMISSION_DENIED: _Final = 7
RESOURCE_EXHAUSTED: _Final = 8
FAILED_PRECONDITION: _Final = 9
ABORTED: _Final = 10
OUT_OF_RANGE: _Final = 11
UNIMPLEMENTED: _Final = 12
INTERNAL: _Final = 13
UNAVAILABLE: _Final = 14
DATA_LOSS: _Final = 15
UNAUTHENTICATED: _Final = 16
DO_NOT_USE_RESERVED_FOR_FUTURE_EXPANSION_USE_DEFAULT_IN_SWITCH_INSTEAD_: _Final = 20

class SaverDef(_Message):
    DESCRIPTOR: _Descriptor
    CheckpointFormatVersion: _ClassVar[_EnumTypeWrapper]
    LEGACY: _Final = 0
    V1: _Final = 1
    V2: _Final = 2
    filename_tensor_name: str
    save_tensor_name: str
    restore_op_name: str
    max_to_keep: int
    sharded: bool
    keep_checkpoint_every_n_hours: float
    version: int
    def __init__(
        self,
        *,
        filename_tensor_name: str | None = None,
        save_tensor_name: str | None = None,
        restore_op_name: str | None = None,
        max_to_keep: int | None = None,
        sharded: bool | None = None,
        keep_checkpoint_every_n_hours: float | None = None,
        version: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["filename_tensor_name", "save_tensor_name", "restore_op_name", "max_to_keep", "sharded", "keep_checkpoint_every_n_hours", "version"]) -> None: ...

class MetaGraphDef(_Message):
    DESCRIPTOR: _Descriptor
    class MetaInfoDef(_Message):
        DESCRIPTOR: _Descriptor
        meta_graph_version: str
        @property
        def stripped_op_list(self) -> OpList: ...
        @property
        def any_info(self) -> Any: ...
        @property
        def tags(self) -> _RepeatedScalar[str]: ...
        tensorflow_version: str
        tensorflow_git_version: str
        stripped_default_attrs: bool
        @property
        def function_aliases(self) -> _ScalarMap[str, str]: ...
        def __init__(
            self,
            *,
            meta_graph_version: str | None = None,
            stripped_op_list: OpList | None = None,
            any_info: Any | None = None,
            tags: _Iterable[str] | None = None,
            tensorflow_version: str | None = None,
            tensorflow_git_version: str | None = None,
            stripped_default_attrs: bool | None = None,
            function_aliases: _Mapping[str, str] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["meta_graph_version", "stripped_op_list", "any_info", "tags", "tensorflow_version", "tensorflow_git_version", "stripped_default_attrs", "function_aliases"]) -> None: ...
        def HasField(self, field_name: _Literal["stripped_op_list", "any_info"]) -> bool: ...
    @property
    def meta_info_def(self) -> MetaGraphDef.MetaInfoDef: ...
    @property
    def graph_def(self) -> GraphDef: ...
    @property
    def saver_def(self) -> SaverDef: ...
    @property
    def collection_def(self) -> _MessageMap[str, CollectionDef]: ...
    @property
    def signature_def(self) -> _MessageMap[str, SignatureDef]: ...
    @property
    def asset_file_def(self) -> _RepeatedMessage[AssetFileDef]: ...
    def __init__(
        self,
        *,
        meta_info_def: MetaGraphDef.MetaInfoDef | None = None,
        graph_def: GraphDef | None = None,
        saver_def: SaverDef | None = None,
        collection_def: _Mapping[str, CollectionDef] | None = None,
        signature_def: _Mapping[str, SignatureDef] | None = None,
        asset_file_def: _Iterable[AssetFileDef] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["meta_info_def", "graph_def", "saver_def", "collection_def", "signature_def", "asset_file_def"]) -> None: ...
    def HasField(self, field_name: _Literal["meta_info_def", "graph_def", "saver_def"]) -> bool: ...

class CollectionDef(_Message):
    DESCRIPTOR: _Descriptor
    class NodeList(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def value(self) -> _RepeatedScalar[str]: ...
        def __init__(
            self,
            *,
            value: _Iterable[str] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["value"]) -> None: ...
    class BytesList(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def value(self) -> _RepeatedScalar[bytes]: ...
        def __init__(
            self,
            *,
            value: _Iterable[bytes] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["value"]) -> None: ...
    class Int64List(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def value(self) -> _RepeatedScalar[int]: ...
        def __init__(
            self,
            *,
            value: _Iterable[int] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["value"]) -> None: ...
    class FloatList(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def value(self) -> _RepeatedScalar[float]: ...
        def __init__(
            self,
            *,
            value: _Iterable[float] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["value"]) -> None: ...
    class AnyList(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def value(self) -> _RepeatedMessage[Any]: ...
        def __init__(
            self,
            *,
            value: _Iterable[Any] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["value"]) -> None: ...
    @property
    def node_list(self) -> CollectionDef.NodeList: ...
    @property
    def bytes_list(self) -> CollectionDef.BytesList: ...
    @property
    def int64_list(self) -> CollectionDef.Int64List: ...
    @property
    def float_list(self) -> CollectionDef.FloatList: ...
    @property
    def any_list(self) -> CollectionDef.AnyList: ...
    def __init__(
        self,
        *,
        node_list: CollectionDef.NodeList | None = None,
        bytes_list: CollectionDef.BytesList | None = None,
        int64_list: CollectionDef.Int64List | None = None,
        float_list: CollectionDef.FloatList | None = None,
        any_list: CollectionDef.AnyList | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["node_list", "bytes_list", "int64_list", "float_list", "any_list", "kind"]) -> None: ...
    def HasField(self, field_name: _Literal["node_list", "bytes_list", "int64_list", "float_list", "any_list", "kind"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["kind"]) -> _Literal["node_list", "bytes_list", "int64_list", "float_list", "any_list"] | None: ...

class TensorInfo(_Message):
    DESCRIPTOR: _Descriptor
    class CooSparse(_Message):
        DESCRIPTOR: _Descriptor
        values_tensor_name: str
        indices_tensor_name: str
        dense_shape_tensor_name: str
        def __init__(
            self,
            *,
            values_tensor_name: str | None = None,
            indices_tensor_name: str | None = None,
            dense_shape_tensor_name: str | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"]) -> None: ...
    class CompositeTensor(_Message):
        DESCRIPTOR: _Descriptor
        @property
        def components(self) -> _RepeatedMessage[TensorInfo]: ...
        def __init__(
            self,
            *,
            components: _Iterable[TensorInfo] | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["components"]) -> None: ...
    name: str
    @property
    def coo_sparse(self) -> TensorInfo.CooSparse: ...
    @property
    def composite_tensor(self) -> TensorInfo.CompositeTensor: ...
    dtype: int
    @property
    def tensor_shape(self) -> TensorShapeProto: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        coo_sparse: TensorInfo.CooSparse | None = None,
        composite_tensor: TensorInfo.CompositeTensor | None = None,
        dtype: int | None = None,
        tensor_shape: TensorShapeProto | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "coo_sparse", "composite_tensor", "dtype", "tensor_shape", "encoding"]) -> None: ...
    def HasField(self, field_name: _Literal["name", "coo_sparse", "composite_tensor", "tensor_shape", "encoding"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["encoding"]) -> _Literal["name", "coo_sparse", "composite_tensor"] | None: ...

class SignatureDef(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def inputs(self) -> _MessageMap[str, TensorInfo]: ...
    @property
    def outputs(self) -> _MessageMap[str, TensorInfo]: ...
    method_name: str
    @property
    def defaults(self) -> _MessageMap[str, TensorProto]: ...
    def __init__(
        self,
        *,
        inputs: _Mapping[str, TensorInfo] | None = None,
        outputs: _Mapping[str, TensorInfo] | None = None,
        method_name: str | None = None,
        defaults: _Mapping[str, TensorProto] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["inputs", "outputs", "method_name", "defaults"]) -> None: ...

class AssetFileDef(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def tensor_info(self) -> TensorInfo: ...
    filename: str
    def __init__(
        self,
        *,
        tensor_info: TensorInfo | None = None,
        filename: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["tensor_info", "filename"]) -> None: ...
    def HasField(self, field_name: _Literal["tensor_info"]) -> bool: ...

class NamedTensorProto(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    @property
    def tensor(self) -> TensorProto: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        tensor: TensorProto | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "tensor"]) -> None: ...
    def HasField(self, field_name: _Literal["tensor"]) -> bool: ...

class SavedModel(_Message):
    DESCRIPTOR: _Descriptor
    saved_model_schema_version: int
    @property
    def meta_graphs(self) -> _RepeatedMessage[MetaGraphDef]: ...
    def __init__(
        self,
        *,
        saved_model_schema_version: int | None = None,
        meta_graphs: _Iterable[MetaGraphDef] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["saved_model_schema_version", "meta_graphs"]) -> None: ...

class ExampleList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def examples(self) -> _RepeatedMessage[Example]: ...
    def __init__(
        self,
        *,
        examples: _Iterable[Example] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["examples"]) -> None: ...

class ExampleListWithContext(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def examples(self) -> _RepeatedMessage[Example]: ...
    @property
    def context(self) -> Example: ...
    def __init__(
        self,
        *,
        examples: _Iterable[Example] | None = None,
        context: Example | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["examples", "context"]) -> None: ...
    def HasField(self, field_name: _Literal["context"]) -> bool: ...

class Input(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def example_list(self) -> ExampleList: ...
    @property
    def example_list_with_context(self) -> ExampleListWithContext: ...
    def __init__(
        self,
        *,
        example_list: ExampleList | None = None,
        example_list_with_context: ExampleListWithContext | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["example_list", "example_list_with_context", "kind"]) -> None: ...
    def HasField(self, field_name: _Literal["example_list", "example_list_with_context", "kind"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["kind"]) -> _Literal["example_list", "example_list_with_context"] | None: ...

class DoubleValue(_Message):
    DESCRIPTOR: _Descriptor
    value: float
    def __init__(
        self,
        *,
        value: float | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class FloatValue(_Message):
    DESCRIPTOR: _Descriptor
    value: float
    def __init__(
        self,
        *,
        value: float | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class Int64Value(_Message):
    DESCRIPTOR: _Descriptor
    value: int
    def __init__(
        self,
        *,
        value: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class UInt64Value(_Message):
    DESCRIPTOR: _Descriptor
    value: int
    def __init__(
        self,
        *,
        value: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class Int32Value(_Message):
    DESCRIPTOR: _Descriptor
    value: int
    def __init__(
        self,
        *,
        value: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class UInt32Value(_Message):
    DESCRIPTOR: _Descriptor
    value: int
    def __init__(
        self,
        *,
        value: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class BoolValue(_Message):
    DESCRIPTOR: _Descriptor
    value: bool
    def __init__(
        self,
        *,
        value: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class StringValue(_Message):
    DESCRIPTOR: _Descriptor
    value: str
    def __init__(
        self,
        *,
        value: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class BytesValue(_Message):
    DESCRIPTOR: _Descriptor
    value: bytes
    def __init__(
        self,
        *,
        value: bytes | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class ModelSpec(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    @property
    def version(self) -> Int64Value: ...
    version_label: str
    signature_name: str
    def __init__(
        self,
        *,
        name: str | None = None,
        version: Int64Value | None = None,
        version_label: str | None = None,
        signature_name: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "version", "version_label", "signature_name", "version_choice"]) -> None: ...
    def HasField(self, field_name: _Literal["version", "version_label", "version_choice"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["version_choice"]) -> _Literal["version", "version_label"] | None: ...

class Class(_Message):
    DESCRIPTOR: _Descriptor
    label: str
    score: float
    def __init__(
        self,
        *,
        label: str | None = None,
        score: float | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["label", "score"]) -> None: ...

class Classifications(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def classes(self) -> _RepeatedMessage[Class]: ...
    def __init__(
        self,
        *,
        classes: _Iterable[Class] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["classes"]) -> None: ...

class ClassificationResult(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def classifications(self) -> _RepeatedMessage[Classifications]: ...
    def __init__(
        self,
        *,
        classifications: _Iterable[Classifications] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["classifications"]) -> None: ...

class ClassificationRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def input(self) -> Input: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        input: Input | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "input"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec", "input"]) -> bool: ...

class ClassificationResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def result(self) -> ClassificationResult: ...
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(
        self,
        *,
        result: ClassificationResult | None = None,
        model_spec: ModelSpec | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["result", "model_spec"]) -> None: ...
    def HasField(self, field_name: _Literal["result", "model_spec"]) -> bool: ...

class SignatureDefMap(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def signature_def(self) -> _MessageMap[str, SignatureDef]: ...
    def __init__(
        self,
        *,
        signature_def: _Mapping[str, SignatureDef] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["signature_def"]) -> None: ...

class GetModelMetadataRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def metadata_field(self) -> _RepeatedScalar[str]: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        metadata_field: _Iterable[str] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "metadata_field"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec"]) -> bool: ...

class GetModelMetadataResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def metadata(self) -> _MessageMap[str, Any]: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        metadata: _Mapping[str, Any] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "metadata"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec"]) -> bool: ...

class StatusProto(_Message):
    DESCRIPTOR: _Descriptor
    error_code: int
    error_message: str
    def __init__(
        self,
        *,
        error_code: int | None = None,
        error_message: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["error_code", "error_message"]) -> None: ...

class GetModelStatusRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec"]) -> bool: ...

class ModelVersionStatus(_Message):
    DESCRIPTOR: _Descriptor
    State: _ClassVar[_EnumTypeWrapper]
    UNKNOWN: _Final = 0
    START: _Final = 10
    LOADING: _Final = 20
    AVAILABLE: _Final = 30
    UNLOADING: _Final = 40
    END: _Final = 50
    version: int
    state: int
    @property
    def status(self) -> StatusProto: ...
    def __init__(
        self,
        *,
        version: int | None = None,
        state: int | None = None,
        status: StatusProto | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["version", "state", "status"]) -> None: ...
    def HasField(self, field_name: _Literal["status"]) -> bool: ...

class GetModelStatusResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_version_status(self) -> _RepeatedMessage[ModelVersionStatus]: ...
    def __init__(
        self,
        *,
        model_version_status: _Iterable[ModelVersionStatus] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_version_status"]) -> None: ...

class Regression(_Message):
    DESCRIPTOR: _Descriptor
    value: float
    def __init__(
        self,
        *,
        value: float | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["value"]) -> None: ...

class RegressionResult(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def regressions(self) -> _RepeatedMessage[Regression]: ...
    def __init__(
        self,
        *,
        regressions: _Iterable[Regression] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["regressions"]) -> None: ...

class RegressionRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def input(self) -> Input: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        input: Input | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "input"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec", "input"]) -> bool: ...

class RegressionResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def result(self) -> RegressionResult: ...
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(
        self,
        *,
        result: RegressionResult | None = None,
        model_spec: ModelSpec | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["result", "model_spec"]) -> None: ...
    def HasField(self, field_name: _Literal["result", "model_spec"]) -> bool: ...

class InferenceTask(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    method_name: str
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        method_name: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "method_name"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec"]) -> bool: ...

class InferenceResult(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def classification_result(self) -> ClassificationResult: ...
    @property
    def regression_result(self) -> RegressionResult: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        classification_result: ClassificationResult | None = None,
        regression_result: RegressionResult | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "classification_result", "regression_result", "result"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec", "classification_result", "regression_result", "result"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["result"]) -> _Literal["classification_result", "regression_result"] | None: ...

class MultiInferenceRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def tasks(self) -> _RepeatedMessage[InferenceTask]: ...
    @property
    def input(self) -> Input: ...
    def __init__(
        self,
        *,
        tasks: _Iterable[InferenceTask] | None = None,
        input: Input | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["tasks", "input"]) -> None: ...
    def HasField(self, field_name: _Literal["input"]) -> bool: ...

class MultiInferenceResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def results(self) -> _RepeatedMessage[InferenceResult]: ...
    def __init__(
        self,
        *,
        results: _Iterable[InferenceResult] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["results"]) -> None: ...

class SerializedExampleList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def examples(self) -> _RepeatedScalar[bytes]: ...
    def __init__(
        self,
        *,
        examples: _Iterable[bytes] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["examples"]) -> None: ...

class SerializedExampleListWithContext(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def examples(self) -> _RepeatedScalar[bytes]: ...
    context: bytes
    def __init__(
        self,
        *,
        examples: _Iterable[bytes] | None = None,
        context: bytes | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["examples", "context"]) -> None: ...

class SerializedInput(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def example_list(self) -> SerializedExampleList: ...
    @property
    def example_list_with_context(self) -> SerializedExampleListWithContext: ...
    def __init__(
        self,
        *,
        example_list: SerializedExampleList | None = None,
        example_list_with_context: SerializedExampleListWithContext | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["example_list", "example_list_with_context", "kind"]) -> None: ...
    def HasField(self, field_name: _Literal["example_list", "example_list_with_context", "kind"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["kind"]) -> _Literal["example_list", "example_list_with_context"] | None: ...

class LogCollectorConfig(_Message):
    DESCRIPTOR: _Descriptor
    type: str
    filename_prefix: str
    def __init__(
        self,
        *,
        type: str | None = None,
        filename_prefix: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["type", "filename_prefix"]) -> None: ...

class PerTaskSamplingConfig(_Message):
    DESCRIPTOR: _Descriptor
    dc: str
    task_index: int
    sampling_rate: float
    def __init__(
        self,
        *,
        dc: str | None = None,
        task_index: int | None = None,
        sampling_rate: float | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["dc", "task_index", "sampling_rate"]) -> None: ...
    def HasField(self, field_name: _Literal["task_index"]) -> bool: ...

class SamplingConfig(_Message):
    DESCRIPTOR: _Descriptor
    Attributes: _ClassVar[_EnumTypeWrapper]
    ATTR_DEFAULT: _Final = 0
    ATTR_REQUEST_ORIGIN: _Final = 1
    ATTR_REQUEST_CRITICALITY: _Final = 2
    sampling_rate: float
    attributes: int
    @property
    def per_task_sampling_configs(self) -> _RepeatedMessage[PerTaskSamplingConfig]: ...
    def __init__(
        self,
        *,
        sampling_rate: float | None = None,
        attributes: int | None = None,
        per_task_sampling_configs: _Iterable[PerTaskSamplingConfig] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["sampling_rate", "attributes", "per_task_sampling_configs"]) -> None: ...

class LoggingConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def log_collector_config(self) -> LogCollectorConfig: ...
    @property
    def sampling_config(self) -> SamplingConfig: ...
    @property
    def custom_logging_config(self) -> Any: ...
    def __init__(
        self,
        *,
        log_collector_config: LogCollectorConfig | None = None,
        sampling_config: SamplingConfig | None = None,
        custom_logging_config: Any | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["log_collector_config", "sampling_config", "custom_logging_config"]) -> None: ...
    def HasField(self, field_name: _Literal["log_collector_config", "sampling_config", "custom_logging_config"]) -> bool: ...

class LogMetadata(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def sampling_config(self) -> SamplingConfig: ...
    @property
    def saved_model_tags(self) -> _RepeatedScalar[str]: ...
    timestamp_secs: int
    dc: str
    request_origin: str
    request_criticality: str
    safe_aggregation_privacy_key: int
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        sampling_config: SamplingConfig | None = None,
        saved_model_tags: _Iterable[str] | None = None,
        timestamp_secs: int | None = None,
        dc: str | None = None,
        request_origin: str | None = None,
        request_criticality: str | None = None,
        safe_aggregation_privacy_key: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "sampling_config", "saved_model_tags", "timestamp_secs", "dc", "request_origin", "request_criticality", "safe_aggregation_privacy_key"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec", "sampling_config"]) -> bool: ...

class FileSystemStoragePathSourceConfig(_Message):
    DESCRIPTOR: _Descriptor
    class ServableVersionPolicy(_Message):
        DESCRIPTOR: _Descriptor
        class Latest(_Message):
            DESCRIPTOR: _Descriptor
            num_versions: int
            def __init__(
                self,
                *,
                num_versions: int | None = None,
            ) -> None: ...
            def ClearField(self, field_name: _Literal["num_versions"]) -> None: ...
        class All(_Message):
            DESCRIPTOR: _Descriptor
            def __init__(self) -> None: ...
        class Specific(_Message):
            DESCRIPTOR: _Descriptor
            @property
            def versions(self) -> _RepeatedScalar[int]: ...
            def __init__(
                self,
                *,
                versions: _Iterable[int] | None = None,
            ) -> None: ...
            def ClearField(self, field_name: _Literal["versions"]) -> None: ...
        @property
        def latest(self) -> FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest: ...
        @property
        def all(self) -> FileSystemStoragePathSourceConfig.ServableVersionPolicy.All: ...
        @property
        def specific(self) -> FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific: ...
        def __init__(
            self,
            *,
            latest: FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest | None = None,
            all: FileSystemStoragePathSourceConfig.ServableVersionPolicy.All | None = None,
            specific: FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["latest", "all", "specific", "policy_choice"]) -> None: ...
        def HasField(self, field_name: _Literal["latest", "all", "specific", "policy_choice"]) -> bool: ...
        def WhichOneof(self, oneof_group: _Literal["policy_choice"]) -> _Literal["latest", "all", "specific"] | None: ...
    class ServableToMonitor(_Message):
        DESCRIPTOR: _Descriptor
        servable_name: str
        base_path: str
        @property
        def servable_version_policy(self) -> FileSystemStoragePathSourceConfig.ServableVersionPolicy: ...
        def __init__(
            self,
            *,
            servable_name: str | None = None,
            base_path: str | None = None,
            servable_version_policy: FileSystemStoragePathSourceConfig.ServableVersionPolicy | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["servable_name", "base_path", "servable_version_policy"]) -> None: ...
        def HasField(self, field_name: _Literal["servable_version_policy"]) -> bool: ...
    file_system_poll_wait_seconds: int
    fail_if_zero_versions_at_startup: bool
    @property
    def servables(self) -> _RepeatedMessage[FileSystemStoragePathSourceConfig.ServableToMonitor]: ...
    servable_versions_always_present: bool
    def __init__(
        self,
        *,
        file_system_poll_wait_seconds: int | None = None,
        fail_if_zero_versions_at_startup: bool | None = None,
        servables: _Iterable[FileSystemStoragePathSourceConfig.ServableToMonitor] | None = None,
        servable_versions_always_present: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["file_system_poll_wait_seconds", "fail_if_zero_versions_at_startup", "servables", "servable_versions_always_present"]) -> None: ...

ModelType: _EnumTypeWrapper
MODEL_TYPE_UNSPECIFIED: _Final = 0
TENSORFLOW: _Final = 1
OTHER: _Final = 2

class ModelConfig(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    base_path: str
    model_type: int
    model_platform: str
    @property
    def logging_config(self) -> LoggingConfig: ...
    @property
    def model_version_policy(self) -> FileSystemStoragePathSourceConfig.ServableVersionPolicy: ...
    @property
    def version_labels(self) -> _ScalarMap[str, int]: ...
    def __init__(
        self,
        *,
        name: str | None = None,
        base_path: str | None = None,
        model_type: int | None = None,
        model_platform: str | None = None,
        logging_config: LoggingConfig | None = None,
        model_version_policy: FileSystemStoragePathSourceConfig.ServableVersionPolicy | None = None,
        version_labels: _Mapping[str, int] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "base_path", "model_type", "model_platform", "logging_config", "model_version_policy", "version_labels"]) -> None: ...
    def HasField(self, field_name: _Literal["logging_config", "model_version_policy"]) -> bool: ...

class ModelConfigList(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def config(self) -> _RepeatedMessage[ModelConfig]: ...
    def __init__(
        self,
        *,
        config: _Iterable[ModelConfig] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["config"]) -> None: ...

class ModelServerConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_config_list(self) -> ModelConfigList: ...
    @property
    def custom_model_config(self) -> Any: ...
    def __init__(
        self,
        *,
        model_config_list: ModelConfigList | None = None,
        custom_model_config: Any | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_config_list", "custom_model_config", "config"]) -> None: ...
    def HasField(self, field_name: _Literal["model_config_list", "custom_model_config", "config"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["config"]) -> _Literal["model_config_list", "custom_model_config"] | None: ...

class ReloadConfigRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def config(self) -> ModelServerConfig: ...
    @property
    def metric_names(self) -> _RepeatedScalar[str]: ...
    def __init__(
        self,
        *,
        config: ModelServerConfig | None = None,
        metric_names: _Iterable[str] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["config", "metric_names"]) -> None: ...
    def HasField(self, field_name: _Literal["config"]) -> bool: ...

class ReloadConfigResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def status(self) -> StatusProto: ...
    @property
    def metric(self) -> _RepeatedMessage[Metric]: ...
    def __init__(
        self,
        *,
        status: StatusProto | None = None,
        metric: _Iterable[Metric] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["status", "metric"]) -> None: ...
    def HasField(self, field_name: _Literal["status"]) -> bool: ...

class Metric(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    int64_value_increase: int
    def __init__(
        self,
        *,
        name: str | None = None,
        int64_value_increase: int | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "int64_value_increase", "value_increase"]) -> None: ...
    def HasField(self, field_name: _Literal["int64_value_increase", "value_increase"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["value_increase"]) -> _Literal["int64_value_increase"] | None: ...

class PredictRequest(_Message):
    DESCRIPTOR: _Descriptor
    class RequestOptions(_Message):
        DESCRIPTOR: _Descriptor
        DeterministicMode: _ClassVar[_EnumTypeWrapper]
        DETERMINISTIC_MODE_UNSPECIFIED: _Final = 0
        FIXED_DECODER_SLOT: _Final = 1
        class Handshake(_Message):
            DESCRIPTOR: _Descriptor
            estimated_payload_bytes: int
            def __init__(
                self,
                *,
                estimated_payload_bytes: int | None = None,
            ) -> None: ...
            def ClearField(self, field_name: _Literal["estimated_payload_bytes"]) -> None: ...
        client_id: bytes
        deterministic_mode: int
        return_additional_arrays_from_prefill: bool
        @property
        def return_stoptokens(self) -> _RepeatedScalar[int]: ...
        max_cache_length: int
        return_all_stoptokens: bool
        @property
        def handshake(self) -> PredictRequest.RequestOptions.Handshake: ...
        def __init__(
            self,
            *,
            client_id: bytes | None = None,
            deterministic_mode: int | None = None,
            return_additional_arrays_from_prefill: bool | None = None,
            return_stoptokens: _Iterable[int] | None = None,
            max_cache_length: int | None = None,
            return_all_stoptokens: bool | None = None,
            handshake: PredictRequest.RequestOptions.Handshake | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["client_id", "deterministic_mode", "return_additional_arrays_from_prefill", "return_stoptokens", "max_cache_length", "return_all_stoptokens", "handshake"]) -> None: ...
        def HasField(self, field_name: _Literal["client_id", "deterministic_mode", "return_additional_arrays_from_prefill", "max_cache_length", "return_all_stoptokens", "handshake"]) -> bool: ...
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def inputs(self) -> _MessageMap[str, TensorProto]: ...
    @property
    def output_filter(self) -> _RepeatedScalar[str]: ...
    @property
    def predict_streamed_options(self) -> PredictStreamedOptions: ...
    client_id: bytes
    @property
    def request_options(self) -> PredictRequest.RequestOptions: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        inputs: _Mapping[str, TensorProto] | None = None,
        output_filter: _Iterable[str] | None = None,
        predict_streamed_options: PredictStreamedOptions | None = None,
        client_id: bytes | None = None,
        request_options: PredictRequest.RequestOptions | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "inputs", "output_filter", "predict_streamed_options", "client_id", "request_options"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec", "predict_streamed_options", "client_id", "request_options"]) -> bool: ...

class PredictStreamedOptions(_Message):
    DESCRIPTOR: _Descriptor
    RequestState: _ClassVar[_EnumTypeWrapper]
    NONE: _Final = 0
    SPLIT: _Final = 1
    END_SPLIT: _Final = 2
    CANCEL: _Final = 3
    request_state: int
    @property
    def split_dimensions(self) -> _ScalarMap[str, int]: ...
    return_single_response: bool
    def __init__(
        self,
        *,
        request_state: int | None = None,
        split_dimensions: _Mapping[str, int] | None = None,
        return_single_response: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request_state", "split_dimensions", "return_single_response"]) -> None: ...

class PredictResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def outputs(self) -> _MessageMap[str, TensorProto]: ...
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(
        self,
        *,
        outputs: _Mapping[str, TensorProto] | None = None,
        model_spec: ModelSpec | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["outputs", "model_spec"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec"]) -> bool: ...

class SessionRunRequest(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def feed(self) -> _RepeatedMessage[NamedTensorProto]: ...
    @property
    def fetch(self) -> _RepeatedScalar[str]: ...
    @property
    def target(self) -> _RepeatedScalar[str]: ...
    @property
    def options(self) -> RunOptions: ...
    tensor_name_is_alias: bool
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = None,
        feed: _Iterable[NamedTensorProto] | None = None,
        fetch: _Iterable[str] | None = None,
        target: _Iterable[str] | None = None,
        options: RunOptions | None = None,
        tensor_name_is_alias: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["model_spec", "feed", "fetch", "target", "options", "tensor_name_is_alias"]) -> None: ...
    def HasField(self, field_name: _Literal["model_spec", "options"]) -> bool: ...

class SessionRunResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def tensor(self) -> _RepeatedMessage[NamedTensorProto]: ...
    @property
    def metadata(self) -> RunMetadata: ...
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(
        self,
        *,
        tensor: _Iterable[NamedTensorProto] | None = None,
        metadata: RunMetadata | None = None,
        model_spec: ModelSpec | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["tensor", "metadata", "model_spec"]) -> None: ...
    def HasField(self, field_name: _Literal["metadata", "model_spec"]) -> bool: ...

class ClassifyLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def request(self) -> ClassificationRequest: ...
    @property
    def response(self) -> ClassificationResponse: ...
    def __init__(
        self,
        *,
        request: ClassificationRequest | None = None,
        response: ClassificationResponse | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request", "response"]) -> None: ...
    def HasField(self, field_name: _Literal["request", "response"]) -> bool: ...

class RegressLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def request(self) -> RegressionRequest: ...
    @property
    def response(self) -> RegressionResponse: ...
    def __init__(
        self,
        *,
        request: RegressionRequest | None = None,
        response: RegressionResponse | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request", "response"]) -> None: ...
    def HasField(self, field_name: _Literal["request", "response"]) -> bool: ...

class PredictLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def request(self) -> PredictRequest: ...
    @property
    def response(self) -> PredictResponse: ...
    def __init__(
        self,
        *,
        request: PredictRequest | None = None,
        response: PredictResponse | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request", "response"]) -> None: ...
    def HasField(self, field_name: _Literal["request", "response"]) -> bool: ...

class PredictStreamedLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def request(self) -> _RepeatedMessage[PredictRequest]: ...
    @property
    def response(self) -> _RepeatedMessage[PredictResponse]: ...
    def __init__(
        self,
        *,
        request: _Iterable[PredictRequest] | None = None,
        response: _Iterable[PredictResponse] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request", "response"]) -> None: ...

class MultiInferenceLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def request(self) -> MultiInferenceRequest: ...
    @property
    def response(self) -> MultiInferenceResponse: ...
    def __init__(
        self,
        *,
        request: MultiInferenceRequest | None = None,
        response: MultiInferenceResponse | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request", "response"]) -> None: ...
    def HasField(self, field_name: _Literal["request", "response"]) -> bool: ...

class SessionRunLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def request(self) -> SessionRunRequest: ...
    @property
    def response(self) -> SessionRunResponse: ...
    def __init__(
        self,
        *,
        request: SessionRunRequest | None = None,
        response: SessionRunResponse | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["request", "response"]) -> None: ...
    def HasField(self, field_name: _Literal["request", "response"]) -> bool: ...

class PredictionLog(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def log_metadata(self) -> LogMetadata: ...
    @property
    def classify_log(self) -> ClassifyLog: ...
    @property
    def regress_log(self) -> RegressLog: ...
    @property
    def multi_inference_log(self) -> MultiInferenceLog: ...
    @property
    def session_run_log(self) -> SessionRunLog: ...
    @property
    def predict_log(self) -> PredictLog: ...
    @property
    def predict_streamed_log(self) -> PredictStreamedLog: ...
    def __init__(
        self,
        *,
        log_metadata: LogMetadata | None = None,
        classify_log: ClassifyLog | None = None,
        regress_log: RegressLog | None = None,
        multi_inference_log: MultiInferenceLog | None = None,
        session_run_log: SessionRunLog | None = None,
        predict_log: PredictLog | None = None,
        predict_streamed_log: PredictStreamedLog | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["log_metadata", "classify_log", "regress_log", "multi_inference_log", "session_run_log", "predict_log", "predict_streamed_log", "log_type"]) -> None: ...
    def HasField(self, field_name: _Literal["log_metadata", "classify_log", "regress_log", "multi_inference_log", "session_run_log", "predict_log", "predict_streamed_log", "log_type"]) -> bool: ...
    def WhichOneof(self, oneof_group: _Literal["log_type"]) -> _Literal["classify_log", "regress_log", "multi_inference_log", "session_run_log", "predict_log", "predict_streamed_log"] | None: ...

class PrometheusConfig(_Message):
    DESCRIPTOR: _Descriptor
    enable: bool
    path: str
    def __init__(
        self,
        *,
        enable: bool | None = None,
        path: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["enable", "path"]) -> None: ...

class MonitoringConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def prometheus_config(self) -> PrometheusConfig: ...
    def __init__(
        self,
        *,
        prometheus_config: PrometheusConfig | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["prometheus_config"]) -> None: ...
    def HasField(self, field_name: _Literal["prometheus_config"]) -> bool: ...

class PlatformConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def source_adapter_config(self) -> Any: ...
    def __init__(
        self,
        *,
        source_adapter_config: Any | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["source_adapter_config"]) -> None: ...
    def HasField(self, field_name: _Literal["source_adapter_config"]) -> bool: ...

class PlatformConfigMap(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def platform_configs(self) -> _MessageMap[str, PlatformConfig]: ...
    def __init__(
        self,
        *,
        platform_configs: _Mapping[str, PlatformConfig] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["platform_configs"]) -> None: ...

class SSLConfig(_Message):
    DESCRIPTOR: _Descriptor
    server_key: str
    server_cert: str
    custom_ca: str
    client_verify: bool
    def __init__(
        self,
        *,
        server_key: str | None = None,
        server_cert: str | None = None,
        custom_ca: str | None = None,
        client_verify: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["server_key", "server_cert", "custom_ca", "client_verify"]) -> None: ...

class SessionOverrides(_Message):
    DESCRIPTOR: _Descriptor
    disable_meta_optimizer: bool
    def __init__(
        self,
        *,
        disable_meta_optimizer: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["disable_meta_optimizer"]) -> None: ...

class SavedModelConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def session_overrides(self) -> SessionOverrides: ...
    critical: bool
    def __init__(
        self,
        *,
        session_overrides: SessionOverrides | None = None,
        critical: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["session_overrides", "critical"]) -> None: ...
    def HasField(self, field_name: _Literal["session_overrides"]) -> bool: ...

class BatchingParameters(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def max_batch_size(self) -> Int64Value: ...
    @property
    def batch_timeout_micros(self) -> Int64Value: ...
    @property
    def max_enqueued_batches(self) -> Int64Value: ...
    @property
    def num_batch_threads(self) -> Int64Value: ...
    @property
    def thread_pool_name(self) -> StringValue: ...
    @property
    def allowed_batch_sizes(self) -> _RepeatedScalar[int]: ...
    pad_variable_length_inputs: bool
    @property
    def enable_large_batch_splitting(self) -> BoolValue: ...
    @property
    def max_execution_batch_size(self) -> Int64Value: ...
    def __init__(
        self,
        *,
        max_batch_size: Int64Value | None = None,
        batch_timeout_micros: Int64Value | None = None,
        max_enqueued_batches: Int64Value | None = None,
        num_batch_threads: Int64Value | None = None,
        thread_pool_name: StringValue | None = None,
        allowed_batch_sizes: _Iterable[int] | None = None,
        pad_variable_length_inputs: bool | None = None,
        enable_large_batch_splitting: BoolValue | None = None,
        max_execution_batch_size: Int64Value | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads", "thread_pool_name", "allowed_batch_sizes", "pad_variable_length_inputs", "enable_large_batch_splitting", "max_execution_batch_size"]) -> None: ...
    def HasField(self, field_name: _Literal["max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads", "thread_pool_name", "enable_large_batch_splitting", "max_execution_batch_size"]) -> bool: ...

class ThreadPoolFactoryConfig(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def thread_pool_factory_config(self) -> Any: ...
    def __init__(
        self,
        *,
        thread_pool_factory_config: Any | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["thread_pool_factory_config"]) -> None: ...
    def HasField(self, field_name: _Literal["thread_pool_factory_config"]) -> bool: ...

class ProfileOptions(_Message):
    DESCRIPTOR: _Descriptor
    DeviceType: _ClassVar[_EnumTypeWrapper]
    UNSPECIFIED: _Final = 0
    CPU: _Final = 1
    GPU: _Final = 2
    TPU: _Final = 3
    PLUGGABLE_DEVICE: _Final = 4
    class TraceOptions(_Message):
        DESCRIPTOR: _Descriptor
        host_traceme_filter_mask: int
        def __init__(
            self,
            *,
            host_traceme_filter_mask: int | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["host_traceme_filter_mask"]) -> None: ...
    class AdvancedConfigValue(_Message):
        DESCRIPTOR: _Descriptor
        string_value: str
        bool_value: bool
        int64_value: int
        def __init__(
            self,
            *,
            string_value: str | None = None,
            bool_value: bool | None = None,
            int64_value: int | None = None,
        ) -> None: ...
        def ClearField(self, field_name: _Literal["string_value", "bool_value", "int64_value", "value"]) -> None: ...
        def HasField(self, field_name: _Literal["string_value", "bool_value", "int64_value", "value"]) -> bool: ...
        def WhichOneof(self, oneof_group: _Literal["value"]) -> _Literal["string_value", "bool_value", "int64_value"] | None: ...
    include_dataset_ops: bool
    host_tracer_level: int
    device_tracer_level: int
    python_tracer_level: int
    version: int
    device_type: int
    enable_hlo_proto: bool
    start_timestamp_ns: int
    duration_ms: int
    repository_path: str
    @property
    def trace_options(self) -> ProfileOptions.TraceOptions: ...
    @property
    def advanced_configuration(self) -> _MessageMap[str, ProfileOptions.AdvancedConfigValue]: ...
    raise_error_on_start_failure: bool
    session_id: str
    override_hostname: str
    def __init__(
        self,
        *,
        include_dataset_ops: bool | None = None,
        host_tracer_level: int | None = None,
        device_tracer_level: int | None = None,
        python_tracer_level: int | None = None,
        version: int | None = None,
        device_type: int | None = None,
        enable_hlo_proto: bool | None = None,
        start_timestamp_ns: int | None = None,
        duration_ms: int | None = None,
        repository_path: str | None = None,
        trace_options: ProfileOptions.TraceOptions | None = None,
        advanced_configuration: _Mapping[str, ProfileOptions.AdvancedConfigValue] | None = None,
        raise_error_on_start_failure: bool | None = None,
        session_id: str | None = None,
        override_hostname: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["include_dataset_ops", "host_tracer_level", "device_tracer_level", "python_tracer_level", "version", "device_type", "enable_hlo_proto", "start_timestamp_ns", "duration_ms", "repository_path", "trace_options", "advanced_configuration", "raise_error_on_start_failure", "session_id", "override_hostname"]) -> None: ...
    def HasField(self, field_name: _Literal["trace_options"]) -> bool: ...

class ProfilerServiceMonitorResult(_Message):
    DESCRIPTOR: _Descriptor
    ResponseType: _ClassVar[_EnumTypeWrapper]
    EMPTY_RESULT: _Final = 0
    UTIL_ONLY: _Final = 1
    UTIL_IDLE: _Final = 2
    UTIL_IDLE_STEP: _Final = 3
    response_type: int
    device_idle_time_percent: float
    matrix_unit_utilization_percent: float
    step_time_ms_avg: float
    step_time_ms_min: float
    step_time_ms_max: float
    infeed_percent_avg: float
    infeed_percent_min: float
    infeed_percent_max: float
    def __init__(
        self,
        *,
        response_type: int | None = None,
        device_idle_time_percent: float | None = None,
        matrix_unit_utilization_percent: float | None = None,
        step_time_ms_avg: float | None = None,
        step_time_ms_min: float | None = None,
        step_time_ms_max: float | None = None,
        infeed_percent_avg: float | None = None,
        infeed_percent_min: float | None = None,
        infeed_percent_max: float | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["response_type", "device_idle_time_percent", "matrix_unit_utilization_percent", "step_time_ms_avg", "step_time_ms_min", "step_time_ms_max", "infeed_percent_avg", "infeed_percent_min", "infeed_percent_max"]) -> None: ...

class XSpace(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def errors(self) -> _RepeatedScalar[str]: ...
    @property
    def warnings(self) -> _RepeatedScalar[str]: ...
    @property
    def hostnames(self) -> _RepeatedScalar[str]: ...
    def __init__(
        self,
        *,
        errors: _Iterable[str] | None = None,
        warnings: _Iterable[str] | None = None,
        hostnames: _Iterable[str] | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["errors", "warnings", "hostnames"]) -> None: ...

class ToolRequestOptions(_Message):
    DESCRIPTOR: _Descriptor
    output_formats: str
    save_to_repo: bool
    def __init__(
        self,
        *,
        output_formats: str | None = None,
        save_to_repo: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["output_formats", "save_to_repo"]) -> None: ...

class ProfileRequest(_Message):
    DESCRIPTOR: _Descriptor
    duration_ms: int
    max_events: int
    @property
    def tools(self) -> _RepeatedScalar[str]: ...
    @property
    def opts(self) -> ProfileOptions: ...
    repository_root: str
    session_id: str
    host_name: str
    @property
    def tool_options(self) -> _MessageMap[str, ToolRequestOptions]: ...
    emit_xspace: bool
    def __init__(
        self,
        *,
        duration_ms: int | None = None,
        max_events: int | None = None,
        tools: _Iterable[str] | None = None,
        opts: ProfileOptions | None = None,
        repository_root: str | None = None,
        session_id: str | None = None,
        host_name: str | None = None,
        tool_options: _Mapping[str, ToolRequestOptions] | None = None,
        emit_xspace: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["duration_ms", "max_events", "tools", "opts", "repository_root", "session_id", "host_name", "tool_options", "emit_xspace"]) -> None: ...
    def HasField(self, field_name: _Literal["opts"]) -> bool: ...

class ProfileToolData(_Message):
    DESCRIPTOR: _Descriptor
    name: str
    data: bytes
    def __init__(
        self,
        *,
        name: str | None = None,
        data: bytes | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["name", "data"]) -> None: ...

class ProfileResponse(_Message):
    DESCRIPTOR: _Descriptor
    @property
    def tool_data(self) -> _RepeatedMessage[ProfileToolData]: ...
    empty_trace: bool
    @property
    def xspace(self) -> XSpace: ...
    def __init__(
        self,
        *,
        tool_data: _Iterable[ProfileToolData] | None = None,
        empty_trace: bool | None = None,
        xspace: XSpace | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["tool_data", "empty_trace", "xspace"]) -> None: ...
    def HasField(self, field_name: _Literal["xspace"]) -> bool: ...

class TerminateRequest(_Message):
    DESCRIPTOR: _Descriptor
    session_id: str
    def __init__(
        self,
        *,
        session_id: str | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["session_id"]) -> None: ...

class TerminateResponse(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class GetSnapshotRequest(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class ContinuousProfilingResponse(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class StopContinuousProfilingRequest(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class StopContinuousProfilingResponse(_Message):
    DESCRIPTOR: _Descriptor
    def __init__(self) -> None: ...

class MonitorRequest(_Message):
    DESCRIPTOR: _Descriptor
    duration_ms: int
    monitoring_level: int
    timestamp: bool
    def __init__(
        self,
        *,
        duration_ms: int | None = None,
        monitoring_level: int | None = None,
        timestamp: bool | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["duration_ms", "monitoring_level", "timestamp"]) -> None: ...

class MonitorResponse(_Message):
    DESCRIPTOR: _Descriptor
    data: str
    @property
    def monitor_result(self) -> ProfilerServiceMonitorResult: ...
    def __init__(
        self,
        *,
        data: str | None = None,
        monitor_result: ProfilerServiceMonitorResult | None = None,
    ) -> None: ...
    def ClearField(self, field_name: _Literal["data", "monitor_result"]) -> None: ...
    def HasField(self, field_name: _Literal["monitor_result"]) -> bool: ...
