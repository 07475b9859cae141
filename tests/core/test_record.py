"""Records: frozen value classes that are cheap to define."""

from __future__ import annotations

import copy
import pickle

import pytest

from agent.core.record import as_dict, record, replace


@record
class Point:
    """A place."""

    x: int
    y: int = 2
    name: str = ""

    @property
    def sum(self) -> int:
        return self.x + self.y


@record
class Named(Point):
    colour: str = "red"


@record
class Other:
    x: int
    y: int = 2
    name: str = ""


@record
class Empty:
    """Nothing to say."""


@record
class Single:
    value: str


def test_fields_come_by_position_or_name_and_have_defaults() -> None:
    assert (Point(1), Point(1, 3, "a")) == (Point(x=1, y=2), Point(x=1, name="a", y=3))


def test_a_missing_field_is_an_error_as_with_any_function() -> None:
    with pytest.raises(TypeError, match="'x'"):
        Point()  # type: ignore[call-arg]


def test_equality_asks_for_class_and_values() -> None:
    assert Point(1) == Point(1)
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)  # type: ignore[comparison-overlap]
    assert Named(1) != Point(1)


def test_equal_records_have_one_hash() -> None:
    assert len({Point(1), Point(1), Point(2), Other(1), Empty(), Empty(), Single("a"), Single("a")}) == 5


def test_nothing_can_be_changed_or_added() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        point.z = 5  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_a_subclass_has_the_fields_of_its_base_first() -> None:
    assert as_dict(Named(1, 2, "n", "blue")) == {"x": 1, "y": 2, "name": "n", "colour": "blue"}
    assert Named(1).sum == 3
    assert isinstance(Named(1), Point)


def test_replace_makes_another() -> None:
    point = Point(1)
    assert (replace(point, y=9), point.y) == (Point(1, 9), 2)
    with pytest.raises(TypeError, match="Point has no z"):
        replace(point, z=1)


def test_a_field_may_be_called_value() -> None:
    @record
    class Valued:
        value: float

    assert replace(Valued(1.0), value=2.0) == Valued(2.0)


def test_a_record_can_be_copied_and_pickled() -> None:
    named = Named(1, name="n")
    assert copy.deepcopy(named) == named
    assert pickle.loads(pickle.dumps(named)) == named


def test_a_record_shows_itself_and_keeps_its_docstring() -> None:
    assert repr(Point(1, name="a")) == "Point(x=1, y=2, name='a')"
    assert (repr(Empty()), Point.__doc__) == ("Empty()", "A place.")


def test_what_is_hidden_is_not_shown() -> None:
    @record
    class Login:
        _hidden = ("password",)

        user: str
        password: str

    assert repr(Login("CP001", "secret")).endswith("Login(user='CP001')")


def test_what_a_class_defines_itself_is_kept() -> None:
    @record
    class Card:
        number: str

        def __repr__(self) -> str:
            return "Card(..)"

    assert repr(Card("04A2B3C4")) == "Card(..)"


def test_a_class_is_ready_when_its_first_value_is_made_of_what_stands_below_it() -> None:
    @record
    class Base:
        x: int

    class Plain(Base):
        __slots__ = ()

    assert (Plain(1).x, Base(2).x) == (1, 2)
