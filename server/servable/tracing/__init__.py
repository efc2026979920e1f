"""OpenTelemetry traces of calls, made after their replies (extra `servable[otel]`)."""
