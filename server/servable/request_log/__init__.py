"""Sampled requests and their replies, written as PredictionLogs for a replay, a warm-up or an audit."""
