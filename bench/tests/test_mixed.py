"""What the mixed load says of the server's memory and connections, from samples made up."""

from bench.mixed import Watch


def watch(*, memory, connections):
    """Samples at each tenth of 100 s."""
    looked = Watch(web=0)
    looked.memory = [(at * 10.0, sample) for at, sample in enumerate(memory)]
    looked.connections = [(at * 10.0, count) for at, count in enumerate(connections)]
    return {figure.name: figure for figure in looked.figures(100)}


def test_memory_is_compared_from_a_quarter_on_and_process_by_process():
    figures = watch(memory=[{1: 50, 2: 50}] + [{1: 100, 2: 100}] * 9 + [{1: 110, 2: 100}], connections=[6] * 11)

    first, second = (figures[f"web process {number}, growth of resident memory"] for number in (1, 2))
    assert round(first.measured, 6) == 10
    assert first.verdict.startswith("missed")
    assert (second.measured, second.verdict) == (0, "reached")


def test_a_process_that_was_replaced_is_no_success():
    figures = watch(memory=[{1: 100}] * 10 + [{7: 20}], connections=[6] * 11)

    assert figures["web process 1, growth of resident memory"].verdict.startswith("missed")


def test_connections_that_become_more_are_seen_and_one_that_comes_and_goes_is_not():
    name = "connections to the database, more in the end"

    assert watch(memory=[{1: 1}] * 11, connections=[3, 4, 5, 6, 5, 6, 5, 5, 6, 5, 6])[name].measured == 0
    assert watch(memory=[{1: 1}] * 11, connections=[3, 4, 5, 6, 6, 7, 8, 9, 9, 9, 9])[name].measured == 2
