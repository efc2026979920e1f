"""What may be in flight: limits by call, by model, by caller and by bytes; adaptive concurrency."""
