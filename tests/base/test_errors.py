import inspect

import pytest

from axon.base import AxonError


class NotFound(AxonError):
    """There is no such thing,
    not even here.

    This paragraph is for the reader of the code.
    """


def test_the_first_paragraph_of_the_docstring_is_the_message() -> None:
    assert str(NotFound()) == "There is no such thing, not even here."
    assert NotFound().detail == ""


def test_the_detail_follows_in_brackets() -> None:
    error = NotFound("in the attic")
    assert str(error) == "There is no such thing, not even here. (in the attic)"
    assert error.detail == "in the attic"


def test_every_axon_error_can_be_caught_as_one() -> None:
    with pytest.raises(AxonError):
        raise NotFound


def test_an_error_without_a_docstring_of_its_own_has_no_message_of_another() -> None:
    class Silent(NotFound):
        pass

    assert inspect.cleandoc(Silent.__doc__ or "") == ""
    assert str(Silent()) == ""
