"""Safe retries: a POST that carries an `Idempotency-Key` is done once, however often it is sent (decision 0015)."""
