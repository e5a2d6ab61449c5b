"""Which embedder of a stack embeds with which encoder, whatever is added, promoted and removed meanwhile."""

from services.stack.assigning import assigned

ONE = ("embedder",)


def test_the_live_generations_encoder_has_the_services_own_name() -> None:
    """At a start: all instances that were asked for are its, and each other encoder has one to itself."""
    assert assigned({}, ["new", "old"], ONE) == {"embedder": "new", "embedder-2": "old"}
    both = ("embedder", "embedder-2")
    assert assigned({}, ["new", "old"], both) == {"embedder": "new", "embedder-2": "new", "embedder-3": "old"}


def test_an_encoder_that_is_added_gets_the_next_embedder() -> None:
    """Those that run go on as they are."""
    now = {"embedder": "old", "embedder-2": "second"}
    assert assigned(now, ["old", "second", "third"], ONE) == {**now, "embedder-3": "third"}


def test_a_promotion_moves_nobody() -> None:
    """Both encoders have an embedder already, and the one before is followed still."""
    now = {"embedder": "old", "embedder-2": "new"}
    assert assigned(now, ["new", "old"], ONE) == now


def test_what_nothing_wants_any_more_ends_and_the_service_itself_never_does() -> None:
    """When the encoder before is retired, its embedder is the live one's; that one needs no second."""
    assert assigned({"embedder": "old", "embedder-2": "new"}, ["new"], ONE) == {"embedder": "new"}
    assert assigned({"embedder": "old", "embedder-2": "new"}, ["old"], ONE) == {"embedder": "old"}


def test_a_place_that_came_free_is_taken_and_no_other_moves() -> None:
    """An embedder that is moved would load its model anew for nothing."""
    now = {"embedder": "live", "embedder-2": "removed", "embedder-3": "third"}
    assert assigned(now, ["live", "third"], ONE) == {"embedder": "live", "embedder-3": "third"}
    now = {"embedder": "live", "embedder-3": "third"}
    assert assigned(now, ["live", "third", "fourth"], ONE) == {**now, "embedder-2": "fourth"}
    now = {"embedder": "live", "embedder-2": "third"}
    assert assigned(now, ["live", "fourth", "third"], ONE) == {**now, "embedder-3": "fourth"}
