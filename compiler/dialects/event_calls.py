"""Service calls of event-driven steps, as HTTP requests.

A service is a host by its name, as service discovery has it (``payments`` is ``http://payments``), unless ``services``
gives its base URL; an operation is a path below that. A call posts its inputs as JSON. Its ``compensation`` is another
operation of the same service (or ``{service_name, operation}``), which gets what the call answered.
"""

from __future__ import annotations

from collections.abc import Collection

from ..close_matches import did_you_mean, listed
from .fields import Entry, Fields, Made
from .phrases import Phrases, node
from .rewriting import Draft

REQUEST = "http/request"
_COMPENSATION = ("service_name", "operation", "method")
_IN_THE_URL = ("GET", "HEAD", "DELETE")


class StepConfig:
    """A step's configuration, with those keys of it that stand at the step."""

    def __init__(self, inner: Fields | None, step: Fields, beside: Collection[str]) -> None:
        self._inner, self._step, self._beside = inner, step, beside
        self.entry = inner.entry if inner is not None else step.entry

    def get(self, key: str) -> Entry | None:
        """The value of a key, of any type."""
        return fields.get(key) if (fields := self._where(key)) is not None else None

    def take(self, key: str, kind: type, *, needed: bool = False, example: str = "…") -> Entry | None:
        """The value of a key as :meth:`Fields.take` takes it."""
        fields = self._where(key) or (self._inner or self._step if needed else None)
        return fields.take(key, kind, needed=needed, example=example) if fields is not None else None

    def _where(self, key: str) -> Fields | None:
        if self._inner is not None and key in self._inner:
            return self._inner
        return self._step if key in self._beside and key in self._step else None


class Services:
    """The base URLs of services by name."""

    def __init__(self, draft: Draft, given: Entry | None) -> None:
        self.draft = draft
        self.given = given
        self.urls = {str(entry.path[-1]): entry.value for entry in given.items()} if given is not None else {}

    def url(self, service: Entry, operation: Entry, phrases: Phrases) -> tuple[str, Entry]:
        """The address of an operation."""
        name, _ = phrases.template(service.value, service.mark, service.path)
        path, _ = phrases.template(operation.value, operation.mark, operation.path)
        base = self.urls.get(service.value, f"http://{name}")
        if self.given is not None and service.value not in self.urls and "{{" not in name:
            hint = did_you_mean(service.value, self.urls) or f"the services are {listed(self.urls)}"
            self.draft.report("MR201", f"there is no service {service.value!r}", service.path, hint=hint)
        if not isinstance(base, str):
            base = f"http://{name}"
        return f"{base.rstrip('/')}/{path.lstrip('/')}", operation


def write_call(
    services: Services, phrases: Phrases, config: StepConfig, parameters: Made, inputs: Made | None
) -> None:
    """The parameters of a request: from ``service_name`` and ``operation``, or from a ``url``."""
    method = config.take("method", str)
    url = config.take("url", str)
    if url is not None:
        text, mark = phrases.template(url.value, url.mark, url.path)
        parameters.add("url", text, url._replace(mark=mark))
    else:
        service = config.take("service_name", str, needed=True, example="payments")
        operation = config.take("operation", str, needed=True, example="charge")
        if service is not None and operation is not None:
            parameters.add("url", *services.url(service, operation, phrases))
        else:
            parameters.add("url", "http://unknown", config.entry)
    parameters.add("method", method.value.upper() if method else "POST", method or config.entry)
    for key in ("headers", "auth", "timeout", "expected_status", "response"):
        if (entry := config.get(key)) is not None:
            value, mark = phrases.tree(entry.value, entry.mark, entry.path)
            parameters.add(key, value, entry._replace(mark=mark))
    if inputs is not None:
        parameters.add_map("params" if method and method.value.upper() in _IN_THE_URL else "json", inputs)


def write_compensation(
    services: Services, phrases: Phrases, own: Entry, given: Entry, config: StepConfig, made: Made
) -> None:
    """What undoes a call."""
    draft = services.draft
    service, operation = config.get("service_name"), given
    if isinstance(given.value, dict):
        fields = Fields(draft, given, "a compensation", _COMPENSATION)
        service = fields.take("service_name", str) or service
        found = fields.take("operation", str, needed=True, example="refund")
        if found is None:
            return
        operation = found
    elif not isinstance(given.value, str):
        draft.report("MR112", "a compensation is an operation", given.path, hint="write compensation: refund")
        return
    if service is None or not isinstance(service.value, str):
        hint = "write compensation: {service_name: payments, operation: refund}"
        draft.report("MR110", "a compensation of no service", given.path, hint=hint)
        return
    compensation, parameters = Made(given), Made(given)
    compensation.add("type", REQUEST, given)
    parameters.add("url", *services.url(service, operation, phrases))
    parameters.add("method", "POST", given)
    parameters.add("json", f"{{{{ {node(own.value)}.body }}}}", given)
    compensation.add_map("parameters", parameters)
    made.add_map("compensate", compensation)
