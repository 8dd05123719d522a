from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.launch.ranks import Place, here, launcher_around


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, Place()),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, Place(3, 4, 1, 2)),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}, Place(5, 8, 1, 1)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Place(1, 2, 0, 1)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, Place()),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, Place()),  # a batch job's own shell
        ({"RANK": "one", "WORLD_SIZE": "2"}, Place()),
    ],
)
def test_every_launcher_says_it_in_its_own_words(environment: dict[str, str], place: Place):
    assert here(environment) == place


@given(world=st.integers(2, 64), data=st.data())
def test_what_is_told_to_a_worker_is_what_it_reads(world: int, data: st.DataObject):
    place = Place(data.draw(st.integers(0, world - 1)), world, data.draw(st.integers(0, 7)), 8)

    assert here(place.as_environment()) == place


def test_a_launcher_around_us_is_named_by_its_variables():
    assert launcher_around({"RANK": "0", "WORLD_SIZE": "2"}) == "RANK=0 WORLD_SIZE=2"
    assert launcher_around({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}) == ""
