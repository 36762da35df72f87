"""Exceptions of the libraries that nodes use, mapped to codes of the taxonomy in one place.

Classes are named, never imported: a worker that does no HTTP never loads httpx because of this map. A rule
applies to a class and its subclasses (the exception's MRO is walked, nearest class first); an exception that
no rule knows is judged by its cause (``raise … from``). What remains is INTERNAL_ERROR with its type and
traceback.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..blocks.s3 import verdict_on
from ..core.errors import Code, ErrorRecord, RealmError
from ..core.http_status import code_of_http_status
from .redact import redact_tree, secret_values

if TYPE_CHECKING:
    from .sdk import NodeType

MAX_CAUSES = 10
MAX_MESSAGE = 4000
MAX_TRACEBACK = 20_000
"""Characters kept of an exception's text (its beginning) and traceback (its end): some libraries print requests."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an exception means: its code, and where the exception's own text is not enough, better words."""

    code: Code
    message: str | None = None
    hint: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


Rule = Verdict | Callable[[Any], Verdict | None]


def to_record(exception: BaseException, node_type: NodeType | None = None) -> ErrorRecord:
    """The error of one attempt as data, redacted. The node type's own ``errors`` come before the shared map.

    A :class:`RealmError` keeps its record; an unmapped exception becomes INTERNAL_ERROR and keeps its type
    and traceback, so that a fault of ours can be found from the journal alone.
    """
    own = node_type.errors if node_type else {}
    for link in _chain(exception):
        if isinstance(link, RealmError):
            return redacted(link.record)
        if (verdict := _own_verdict(link, own) or _verdict(link)) is not None:
            return redacted(_record(link, verdict))
    return redacted(_unmapped(exception))


def redacted(record: ErrorRecord) -> ErrorRecord:
    """The record without secrets in its texts and details, and of bounded length."""
    secrets = _secrets()
    message = record.message
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}… ({len(message)} characters)"
    return replace(
        record,
        message=redact_tree(message, secrets),
        hint=redact_tree(record.hint, secrets),
        details=redact_tree(record.details, secrets),
        traceback=redact_tree(record.traceback, secrets),
    )


def field_violations(error: Any, prefix: str = "") -> list[dict[str, str]]:
    """A Pydantic error's findings as ``[{field, description}]`` with dotted field paths."""
    found = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in (*((prefix,) if prefix else ()), *item["loc"]))
        found.append({"field": path or "(value)", "description": item["msg"].removeprefix("Value error, ")})
    return found


def _chain(exception: BaseException) -> Iterator[BaseException]:
    """The exception, then its explicit causes; a group counts as its first member."""
    seen: set[int] = set()
    link: BaseException | None = exception
    while link is not None and id(link) not in seen and len(seen) < MAX_CAUSES:
        seen.add(id(link))
        yield link
        link = link.exceptions[0] if isinstance(link, BaseExceptionGroup) else link.__cause__


def _own_verdict(exception: BaseException, own: Mapping[type[BaseException], Code]) -> Verdict | None:
    for cls in type(exception).__mro__:
        if cls in own:
            return Verdict(own[cls])
    return None


def _verdict(exception: BaseException) -> Verdict | None:
    for cls in type(exception).__mro__:
        rule = RULES.get(f"{cls.__module__}.{cls.__qualname__}")
        if rule is None:
            continue
        verdict = rule if isinstance(rule, Verdict) else rule(exception)
        if verdict is not None:
            return verdict
    return None


def _record(exception: BaseException, verdict: Verdict) -> ErrorRecord:
    message = verdict.message or str(exception).strip() or type(exception).__name__
    return ErrorRecord(
        code=verdict.code,
        message=message,
        hint=verdict.hint,
        details=verdict.details,
        exception=_type_name(exception),
    )


def _unmapped(exception: BaseException) -> ErrorRecord:
    text = str(exception).strip()
    name = type(exception).__name__
    return ErrorRecord(
        code=Code.INTERNAL_ERROR,
        message=f"{name}: {text}" if text else name,
        hint="a fault in the node's code or data that it did not expect; the traceback is in the journal",
        exception=_type_name(exception),
        traceback="".join(traceback.format_exception(exception))[-MAX_TRACEBACK:],
    )


def _type_name(exception: BaseException) -> str:
    return f"{type(exception).__module__}.{type(exception).__qualname__}"


def _secrets() -> tuple[str, ...]:
    from ..core.settings import settings

    try:
        return secret_values(settings())
    except RealmError:
        # Broken settings are the error being recorded; they must not hide it.
        return ()


_ERRNO: dict[int, tuple[Code, str, str | None]] = {
    errno.ENOSPC: (Code.RESOURCE_EXHAUSTED, "the disk is full", "free space, then resume the instance"),
    errno.EDQUOT: (
        Code.RESOURCE_EXHAUSTED,
        "the disk quota is used up",
        "free space, then resume the instance",
    ),
    errno.EFBIG: (Code.RESOURCE_EXHAUSTED, "the file is larger than this system allows", None),
    errno.EMFILE: (
        Code.RESOURCE_EXHAUSTED,
        "too many open files",
        "raise the limit of open files (ulimit -n)",
    ),
    errno.ENFILE: (Code.RESOURCE_EXHAUSTED, "too many open files", "raise the system's limit of open files"),
    errno.ENOMEM: (Code.RESOURCE_EXHAUSTED, "not enough memory", None),
    errno.EACCES: (Code.PERMISSION_DENIED, "not permitted", "check the owner and mode of the file"),
    errno.EPERM: (Code.PERMISSION_DENIED, "not permitted", "check the owner and mode of the file"),
    errno.EROFS: (Code.PERMISSION_DENIED, "the file system is read-only", "mount it for writing"),
    errno.ENOENT: (Code.NOT_FOUND, "there is no such file or folder", "check the path and the mount"),
    errno.EEXIST: (Code.ALREADY_EXISTS, "it is already there", None),
    errno.ENOTDIR: (Code.INVALID_ARGUMENT, "a part of the path is not a folder", None),
    errno.EISDIR: (Code.INVALID_ARGUMENT, "it is a folder, not a file", None),
    errno.ENAMETOOLONG: (Code.INVALID_ARGUMENT, "the file name is too long", None),
    errno.ELOOP: (Code.INVALID_ARGUMENT, "the path's links lead in a circle", None),
    errno.EIO: (Code.UNAVAILABLE, "the device failed to read or write", "check the disk and the mount"),
    errno.ESTALE: (Code.UNAVAILABLE, "the network file system lost the file", "check the mount"),
    errno.ETIMEDOUT: (Code.UNAVAILABLE, "the connection timed out", None),
    errno.ECONNREFUSED: (Code.UNAVAILABLE, "the connection was refused", "is the service running there?"),
    errno.ECONNRESET: (Code.UNAVAILABLE, "the connection was reset", None),
    errno.ECONNABORTED: (Code.UNAVAILABLE, "the connection was aborted", None),
    errno.EPIPE: (Code.UNAVAILABLE, "the other side closed the connection", None),
    errno.EHOSTUNREACH: (Code.UNAVAILABLE, "the host cannot be reached", None),
    errno.ENETUNREACH: (Code.UNAVAILABLE, "the network cannot be reached", None),
    errno.EHOSTDOWN: (Code.UNAVAILABLE, "the host is down", None),
    errno.EBUSY: (Code.TRANSIENT_ERROR, "it is in use", None),
    errno.EAGAIN: (Code.TRANSIENT_ERROR, "temporarily unavailable", None),
}


def _os_error(error: OSError) -> Verdict | None:
    known = _ERRNO.get(error.errno) if error.errno is not None else None
    if known is None:
        return None
    code, words, hint = known
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
    return Verdict(
        code, f"{place}: {words}" if place else words, hint, {"errno": errno.errorcode.get(error.errno or 0)}
    )


def _client_error(error: Any) -> Verdict:
    code, hint, details = verdict_on(error.response or {})
    return Verdict(code, None, hint, details)


def _http_status_error(error: Any) -> Verdict | None:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return None if status is None else Verdict(code_of_http_status(status), details={"status": status})


def _operational_error(error: Any) -> Verdict:
    text = str(getattr(error, "orig", None) or error)
    if "locked" in text:
        return Verdict(Code.TRANSIENT_ERROR, f"the database is busy: {text}")
    if "disk is full" in text or "No space left" in text:
        return Verdict(Code.RESOURCE_EXHAUSTED, f"the database's disk is full: {text}")
    if any(words in text for words in ("syntax error", "no such table", "no such column")):
        return Verdict(Code.INVALID_ARGUMENT, text)  # SQLite calls these operational too
    return Verdict(
        Code.UNAVAILABLE, f"the database cannot be used: {text}", "check the database's address and state"
    )


def _integrity_error(error: Any) -> Verdict:
    text = str(getattr(error, "orig", None) or error)
    return Verdict(Code.ALREADY_EXISTS if "unique" in text.lower() else Code.FAILED_PRECONDITION, text)


def _cv2_error(error: Any) -> Verdict | None:
    return Verdict(Code.RESOURCE_EXHAUSTED, str(error)) if "nsufficient memory" in str(error) else None


def _validation_error(error: Any) -> Verdict:
    violations = field_violations(error)
    first = violations[0]
    return Verdict(
        Code.INVALID_ARGUMENT,
        f"{first['field']}: {first['description']}",
        details={"field_violations": violations},
    )


def _not_encodable(error: UnicodeEncodeError) -> Verdict:
    if not "\udc80" <= error.object[error.start] <= "\udcff":
        return Verdict(Code.INVALID_ARGUMENT, None, "choose utf-8")
    # What Python makes of bytes in a file's name that are no UTF-8. The text may be a whole input: near them is enough.
    near = error.object[max(0, error.start - 60) : error.end + 20]
    shown = re.sub("[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", near)
    shown = shown.encode("utf-8", "replace").decode()
    return Verdict(Code.INVALID_ARGUMENT, f"not UTF-8: {shown}", "if it is the name of a file, rename that")


def _no_module(error: ImportError) -> Verdict:
    package = (error.name or str(error)).partition(".")[0]
    return Verdict(
        Code.FAILED_PRECONDITION,
        f"the Python package {package!r} is not installed on this worker",
        "install it there; `pip install 'mirror-realm[ai]'` brings what the ai nodes use",
    )


_GPU_MEMORY = Verdict(
    Code.RESOURCE_EXHAUSTED, None, "ask for smaller tiles or a smaller model, or free the GPU"
)
_BAD_ARCHIVE = Verdict(Code.DATA_CORRUPTED, None, "the file is damaged or not of this kind")
_UNREACHED = Verdict(Code.UNAVAILABLE)
_BROKEN = Verdict(Code.DEPENDENCY_FAILURE)
_BAD = Verdict(Code.INVALID_ARGUMENT)

RULES: Mapping[str, Rule] = {
    "builtins.MemoryError": Verdict(
        Code.RESOURCE_EXHAUSTED, "not enough memory", "give the node more memory"
    ),
    "builtins.OSError": _os_error,
    "builtins.TimeoutError": lambda e: (
        _os_error(e) or Verdict(Code.DEADLINE_EXCEEDED, str(e) or "it took too long")
    ),
    "builtins.UnicodeDecodeError": Verdict(Code.INVALID_ARGUMENT, None, "say which encoding the text has"),
    "builtins.UnicodeEncodeError": _not_encodable,
    "builtins.NotImplementedError": Verdict(Code.UNIMPLEMENTED),
    "builtins.ModuleNotFoundError": _no_module,
    "socket.gaierror": Verdict(Code.UNAVAILABLE, None, "check the host name"),
    "ssl.SSLCertVerificationError": Verdict(
        Code.DEPENDENCY_FAILURE, None, "the server's certificate is not trusted"
    ),
    "ssl.SSLError": _UNREACHED,
    "json.decoder.JSONDecodeError": lambda e: Verdict(Code.INVALID_ARGUMENT, f"not valid JSON: {e}"),
    "_csv.Error": lambda e: Verdict(Code.INVALID_ARGUMENT, f"not valid CSV: {e}"),
    "xml.etree.ElementTree.ParseError": lambda e: Verdict(Code.INVALID_ARGUMENT, f"not valid XML: {e}"),
    "xml.parsers.expat.ExpatError": lambda e: Verdict(Code.INVALID_ARGUMENT, f"not valid XML: {e}"),
    "zipfile.BadZipFile": _BAD_ARCHIVE,
    "tarfile.TarError": _BAD_ARCHIVE,
    "zlib.error": _BAD_ARCHIVE,
    "_lzma.LZMAError": _BAD_ARCHIVE,
    "subprocess.TimeoutExpired": Verdict(Code.DEADLINE_EXCEEDED),
    "subprocess.CalledProcessError": _BROKEN,
    "pydantic_core._pydantic_core.ValidationError": _validation_error,
    "jmespath.exceptions.JMESPathError": _BAD,
    # HTTP
    "httpx.HTTPStatusError": _http_status_error,
    "httpx.InvalidURL": _BAD,
    "httpx.UnsupportedProtocol": _BAD,
    "httpx.TooManyRedirects": _BROKEN,
    "httpx.DecodingError": _BROKEN,
    "httpx.RemoteProtocolError": _UNREACHED,
    "httpx.TransportError": _UNREACHED,
    "requests.exceptions.HTTPError": _http_status_error,
    "requests.exceptions.InvalidURL": _BAD,
    "requests.exceptions.MissingSchema": _BAD,
    "requests.exceptions.InvalidSchema": _BAD,
    "requests.exceptions.TooManyRedirects": _BROKEN,
    "requests.exceptions.ConnectionError": _UNREACHED,
    "requests.exceptions.Timeout": _UNREACHED,
    "requests.exceptions.RequestException": _BROKEN,
    "urllib3.exceptions.HTTPError": _UNREACHED,
    "urllib.error.HTTPError": lambda e: Verdict(code_of_http_status(e.code), details={"status": e.code}),
    "urllib.error.URLError": _UNREACHED,
    # object stores
    "botocore.exceptions.ClientError": _client_error,
    "botocore.exceptions.NoCredentialsError": Verdict(
        Code.UNAUTHENTICATED, None, "set MIRROR_REALM_S3_ACCESS_KEY and MIRROR_REALM_S3_SECRET_KEY"
    ),
    "botocore.exceptions.PartialCredentialsError": Verdict(Code.UNAUTHENTICATED),
    "botocore.exceptions.ParamValidationError": _BAD,
    "botocore.exceptions.ConnectionError": _UNREACHED,
    "botocore.exceptions.HTTPClientError": _UNREACHED,
    "botocore.exceptions.IncompleteReadError": Verdict(Code.TRANSIENT_ERROR),
    "botocore.exceptions.BotoCoreError": _BROKEN,
    "boto3.exceptions.Boto3Error": _BROKEN,
    # databases
    "sqlalchemy.exc.OperationalError": _operational_error,
    "sqlalchemy.exc.IntegrityError": _integrity_error,
    "sqlalchemy.exc.TimeoutError": Verdict(Code.RESOURCE_EXHAUSTED, None, "the connection pool is used up"),
    "sqlalchemy.exc.DataError": _BAD,
    "sqlalchemy.exc.ProgrammingError": _BAD,
    "sqlalchemy.exc.ArgumentError": _BAD,
    "sqlalchemy.exc.InterfaceError": _UNREACHED,
    # media and AI
    "PIL.UnidentifiedImageError": Verdict(
        Code.UNSUPPORTED_FILE_TYPE, None, "is it an image? The content decides"
    ),
    "PIL.Image.DecompressionBombError": Verdict(Code.OUT_OF_RANGE, None, "the image has too many pixels"),
    "PIL.Image.DecompressionBombWarning": Verdict(Code.OUT_OF_RANGE, None, "the image has too many pixels"),
    "cv2.error": _cv2_error,
    "torch.OutOfMemoryError": _GPU_MEMORY,
    "torch.cuda.OutOfMemoryError": _GPU_MEMORY,
    # Dask
    "distributed.comm.core.CommClosedError": Verdict(Code.TRANSIENT_ERROR),
    "distributed.scheduler.KilledWorker": Verdict(
        Code.INTERNAL_ERROR, None, "the node ends its worker process: look for memory use or a native crash"
    ),
}
"""Module-qualified class name → what it means."""
