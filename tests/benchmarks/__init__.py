"""Speed and memory, side by side with a peer in one run: `nox -s bench`, or `python -m tests.benchmarks [NAME …]`."""
