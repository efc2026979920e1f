"""What no wheel describes, because only the original's C++ uses it; one line a field, as facts.fields has it.

Sources: the config and session bundle protos of TensorFlow Serving, the profiler's service, google.rpc.
"""

MESSAGES = {
    "google.rpc.Status": ["1 code int32", "2 message string", "3 details repeated google.protobuf.Any"],
    "google.rpc.ErrorInfo": ["1 reason string", "2 domain string", "3 metadata map<string, string>"],
    "google.rpc.RetryInfo": ["1 retry_delay google.protobuf.Duration"],
    # 3 reason and 4 localized_message are trimmed: nothing here sets them.
    "google.rpc.BadRequest": ["1 field_violations repeated google.rpc.BadRequest.FieldViolation"],
    "google.rpc.BadRequest.FieldViolation": ["1 field string", "2 description string"],
    "google.rpc.ResourceInfo": [
        "1 resource_type string",
        "2 resource_name string",
        "3 owner string",
        "4 description string",
    ],
    "google.rpc.Help": ["1 links repeated google.rpc.Help.Link"],
    "google.rpc.Help.Link": ["1 description string", "2 url string"],
    "tensorflow.serving.SSLConfig": [
        "1 server_key string",
        "2 server_cert string",
        "3 custom_ca string",
        "4 client_verify bool",
    ],
    "tensorflow.serving.MonitoringConfig": ["1 prometheus_config tensorflow.serving.PrometheusConfig"],
    "tensorflow.serving.PrometheusConfig": ["1 enable bool", "2 path string"],
    "tensorflow.serving.ThreadPoolFactoryConfig": ["1 thread_pool_factory_config google.protobuf.Any"],
    "tensorflow.serving.BatchingParameters": [
        "1 max_batch_size google.protobuf.Int64Value",
        "2 batch_timeout_micros google.protobuf.Int64Value",
        "3 max_enqueued_batches google.protobuf.Int64Value",
        "4 num_batch_threads google.protobuf.Int64Value",
        "5 thread_pool_name google.protobuf.StringValue",
        "6 allowed_batch_sizes repeated int64",
        "7 pad_variable_length_inputs bool",
        "8 enable_large_batch_splitting google.protobuf.BoolValue",
        "9 max_execution_batch_size google.protobuf.Int64Value",
    ],
    # 1 and 2 of the overrides and 2 of the config are trimmed: the stock server ignores them too.
    "tensorflow.serving.SessionOverrides": ["3 disable_meta_optimizer bool"],
    "tensorflow.serving.SavedModelConfig": [
        "1 session_overrides optional tensorflow.serving.SessionOverrides",
        "3 critical bool",
    ],
    "tensorflow.serving.internal.SerializedExampleList": ["1 examples repeated bytes"],
    "tensorflow.serving.internal.SerializedExampleListWithContext": [
        "1 examples repeated bytes",
        "2 context bytes",
    ],
    "tensorflow.serving.internal.SerializedInput": [
        "1 example_list tensorflow.serving.internal.SerializedExampleList in kind",
        "2 example_list_with_context tensorflow.serving.internal.SerializedExampleListWithContext in kind",
    ],
    "tensorflow.ToolRequestOptions": ["2 output_formats string", "3 save_to_repo bool"],
    "tensorflow.ProfileRequest": [
        "1 duration_ms uint64",
        "2 max_events uint64",
        "3 tools repeated string",
        "4 opts tensorflow.ProfileOptions",
        "5 repository_root string",
        "6 session_id string",
        "7 host_name string",
        "8 tool_options map<string, tensorflow.ToolRequestOptions>",
        "9 emit_xspace bool",
    ],
    "tensorflow.ProfileToolData": ["1 name string", "2 data bytes"],
    "tensorflow.ProfileResponse": [
        "6 tool_data repeated tensorflow.ProfileToolData",
        "7 empty_trace bool",
        "8 xspace tensorflow.profiler.XSpace",
    ],
    "tensorflow.TerminateRequest": ["1 session_id string"],
    "tensorflow.TerminateResponse": [],
    "tensorflow.GetSnapshotRequest": [],
    "tensorflow.ContinuousProfilingResponse": [],
    "tensorflow.StopContinuousProfilingRequest": [],
    "tensorflow.StopContinuousProfilingResponse": [],
    "tensorflow.MonitorRequest": ["1 duration_ms uint64", "2 monitoring_level int32", "3 timestamp bool"],
    "tensorflow.MonitorResponse": [
        "1 data string",
        "10 monitor_result tensorflow.ProfilerServiceMonitorResult",
    ],
    "tensorflow.ProfilerServiceMonitorResult": [
        "1 response_type tensorflow.ProfilerServiceMonitorResult.ResponseType",
        "2 device_idle_time_percent double",
        "3 matrix_unit_utilization_percent double",
        "4 step_time_ms_avg double",
        "5 step_time_ms_min double",
        "6 step_time_ms_max double",
        "7 infeed_percent_avg double",
        "8 infeed_percent_min double",
        "9 infeed_percent_max double",
    ],
}

ENUMS = {
    "tensorflow.ProfilerServiceMonitorResult.ResponseType": {
        "EMPTY_RESULT": 0,
        "UTIL_ONLY": 1,
        "UTIL_IDLE": 2,
        "UTIL_IDLE_STEP": 3,
    },
}

SERVICES = {
    "tensorflow.ProfilerService": {
        "Profile": "tensorflow.ProfileRequest -> tensorflow.ProfileResponse",
        "Terminate": "tensorflow.TerminateRequest -> tensorflow.TerminateResponse",
        "Monitor": "tensorflow.MonitorRequest -> tensorflow.MonitorResponse",
        "StartContinuousProfiling": "tensorflow.ProfileRequest -> tensorflow.ContinuousProfilingResponse",
        "StopContinuousProfiling": (
            "tensorflow.StopContinuousProfilingRequest -> tensorflow.StopContinuousProfilingResponse"
        ),
        "GetSnapshot": "tensorflow.GetSnapshotRequest -> tensorflow.ProfileResponse",
    },
}
