from spacy_elmo.disk import changes


def test_each_key_that_differs_is_named_with_both_values() -> None:
    before = {"a": {"same": 1, "other": [1], "gone": "x"}, "b": None}
    now = {"a": {"same": 1, "other": [2], "new": {"deep": True}}, "b": {"c": 1}}
    assert list(changes(before, now)) == [
        'a.gone was "x", now left out',
        "a.new.deep was left out, now true",
        "a.other was [1], now [2]",
        'b was null, now {"c": 1}',
    ]


def test_an_empty_section_is_none() -> None:
    assert list(changes({"a": {}}, {"b": {"c": {}}})) == []


def test_a_long_value_is_told_shortly() -> None:
    (told,) = changes({"texts": ["a.txt"]}, {"texts": ["a.txt"] * 1000})
    assert len(told) < 300
    assert told.endswith("…")
