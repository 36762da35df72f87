"""What another service's HTTP answer means for the caller, in our codes (the inverse of
``ErrorPolicy.http``)."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import Code

_CODES: Mapping[int, Code] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.INVALID_ARGUMENT,
    406: Code.INVALID_ARGUMENT,
    408: Code.UNAVAILABLE,
    409: Code.ALREADY_EXISTS,
    410: Code.NOT_FOUND,
    412: Code.FAILED_PRECONDITION,
    413: Code.OUT_OF_RANGE,
    415: Code.UNSUPPORTED_FILE_TYPE,
    416: Code.OUT_OF_RANGE,
    422: Code.INVALID_ARGUMENT,
    425: Code.UNAVAILABLE,
    429: Code.UNAVAILABLE,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}


def code_of_http_status(status: int) -> Code:
    """The code for an answer of ``status`` that was not the expected one.

    >>> code_of_http_status(404).value, code_of_http_status(502).value, code_of_http_status(418).value
    ('NOT_FOUND', 'DEPENDENCY_FAILURE', 'FAILED_PRECONDITION')
    """
    if status in _CODES:
        return _CODES[status]
    return Code.DEPENDENCY_FAILURE if status >= 500 else Code.FAILED_PRECONDITION
