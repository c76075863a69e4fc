"""The figures Carewright promises, measured by commands: `make bench`, or `make bench BENCH_ARGS="search pages"`."""
