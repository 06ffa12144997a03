"""The root of every error Axon raises on purpose."""

import inspect


class AxonError(Exception):
    """Axon could not do what was asked."""

    def __init__(self, detail: str = "") -> None:
        """The docstring of the class is the message; `detail` adds what only this case knows."""
        message = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        super().__init__(f"{message} ({detail})" if detail else message)
        self.detail = detail
