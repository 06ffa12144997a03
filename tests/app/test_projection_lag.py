"""How long PostgreSQL has been behind, counted without the projector's word."""

from axon.app.roles.projection_lag import ProjectionLag
from tests.stores.test_breaker import HandClock


def test_an_entry_that_stays_away_ages_and_one_that_came_does_not() -> None:
    clock = HandClock()
    lag = ProjectionLag(clock)
    assert lag.look(durable=5, projected=5) == 0
    assert lag.look(durable=7, projected=5) == 0
    clock.seconds += 3
    assert lag.look(durable=9, projected=6) == 3, "7 is still lacking"
    clock.seconds += 1
    assert lag.look(durable=9, projected=7) == 0, "8 and 9 are lacking, seen now"
    clock.seconds += 2
    assert lag.look(durable=9, projected=8) == 2
    assert lag.look(durable=9, projected=9) == 0
