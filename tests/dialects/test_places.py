from lib.dialects.places import Places


def noted(*items: tuple[int, str, str | None]) -> Places:
    places = Places()
    for item in items:
        places.note(*item)
    return places


def test_ids_decide() -> None:
    places = noted((5, "message", "a"), (2, "message", "b"))
    assert places.match({0: ("message", "a"), 1: ("message", "b")}) == {0: 5, 1: 2}
    assert (places.find("a"), places.find("x"), places.find(None), places.next()) == (5, None, None, 6)


def test_without_ids_items_of_a_kind_keep_their_order() -> None:
    places = noted((7, "message", None), (3, "message", None), (5, "reasoning", None))
    assert places.match({0: ("message", None), 1: ("reasoning", "r"), 2: ("message", "m")}) == {0: 3, 1: 5, 2: 7}


def test_position_is_the_guess_where_items_were_never_streamed() -> None:
    places = noted((1, "message", None))
    assert places.match({0: ("message", None), 1: ("message", None)}) == {0: 2, 1: 1}


def test_new_items_get_indices_of_their_own() -> None:
    places = noted((0, "message", "a"))
    places.skip(4)
    assert places.match({0: ("message", "a"), 1: ("message", "a"), 2: ("other", None)}) == {0: 0, 1: 5, 2: 6}
