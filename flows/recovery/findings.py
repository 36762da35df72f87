"""What a pass found and did, as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

RESUMED, CANCELED, PAUSED, FAILED = "resumed", "canceled", "paused", "failed"
RELEASED, ADOPTED = "released", "adopted"
TOLD, RECYCLED, REPEATED = "told prefect", "recycled", "repeated"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was not as it should be. ``subject`` is an instance, a node's task or a worker; ``action`` is what
    was done about it, or would be."""

    subject: str
    what: str
    action: str
    workflow: str = ""
    status: str = ""


@dataclass
class Report:
    """One pass. ``looked_at`` counts what was compared; ``prefect`` says whether Prefect was."""

    dry_run: bool = False
    findings: list[Finding] = field(default_factory=list)
    looked_at: Counter[str] = field(default_factory=Counter)
    prefect: str = "not used"
    seconds: float = 0.0

    def add(self, subject: str, what: str, action: str, *, workflow: str = "", status: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(subject, what, action, workflow, status))

    @property
    def acted(self) -> Counter[str]:
        """How many findings by action."""
        return Counter(finding.action for finding in self.findings)

    @property
    def sentence(self) -> str:
        """The pass in a line."""
        looked = ", ".join(f"{count} {what}" for what, count in self.looked_at.items() if count)
        done = ", ".join(f"{count} {action}" for action, count in self.acted.items())
        return f"{looked or 'nothing'} looked at: {done or 'all as it should be'}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "dry_run": self.dry_run,
            "findings": [asdict(finding) for finding in self.findings],
            "looked_at": dict(self.looked_at),
            "prefect": self.prefect,
            "seconds": round(self.seconds, 3),
        }
