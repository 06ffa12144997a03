"""What is kept of the error of a parked record: the cause, and nobody's data."""

from axon.projection.applying import ERROR_LENGTH_MAX, describe


def test_an_error_is_kept_without_personal_data() -> None:
    error = ValueError("Key (mail)=(jane@example.com) exists\0")
    assert describe(error) == "ValueError: Key (mail)=([email]) exists"
    assert len(describe(ValueError("x" * 5000))) == ERROR_LENGTH_MAX
