"""What must hold of the tasks of people: what they answered counts once, and the instance goes where it leads."""

from __future__ import annotations

from collections import Counter

from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import HumanTask

from .blocks import Asking
from .evidence import Evidence, Findings
from .people import LOST

NAME = "every decision counts once"


def decided(evidence: Evidence, findings: Findings) -> None:
    """Each task has one outcome, that of the answers that were accepted: none of them is lost, and none is there that
    nobody gave or that was refused; the node gives just this."""
    places = Counter((task.node_id, task.iteration) for task in evidence.tasks)
    for place, count in places.items():
        findings.check(NAME, count == 1, f"{place} has {count} tasks")
    for task in evidence.tasks:
        _answers(task, evidence, findings)
        _outcome(task, evidence, findings)
    for place, row in evidence.rows.items():
        if row.node_type == "control/human-task" and row.status is NodeStatus.COMPLETED:
            findings.check(NAME, place in places, f"{place} completed, and nobody was asked")


def _answers(task: HumanTask, evidence: Evidence, findings: Findings) -> None:
    own = [answer for answer in evidence.answers if answer.task_id == task.id]
    for answer in own:
        fits = answer.got == LOST or answer.got in answer.fitting
        findings.check(NAME, fits, f"{task.node_id}: {answer} was to be one of {answer.fitting}")
    accepted = {(answer.round, answer.by, answer.approves) for answer in own if not answer.got}
    lost = {(answer.round, answer.by, answer.approves) for answer in own if answer.got == LOST}
    kept = Counter((one["round"], one["by"], one["decision"] == "approve") for one in task.decisions)
    for answer in accepted:
        findings.check(
            NAME,
            kept[answer] == 1,
            f"{task.node_id}: {answer} was accepted, and is there {kept[answer]} times",
        )
    for answer in kept:
        given = answer in accepted or answer in lost
        findings.check(NAME, given, f"{task.node_id}: {answer} is there, and nobody gave it")


def _outcome(task: HumanTask, evidence: Evidence, findings: Findings) -> None:
    block = evidence.blocks.get(task.node_id.rpartition("/")[2])
    row = evidence.rows.get((task.node_id, task.iteration))
    label = f"{task.node_id}[{task.iteration}] ({task.id})"
    findings.check(NAME, isinstance(block, Asking) and row is not None, f"{label} is asked by no node")
    if not isinstance(block, Asking) or row is None:
        return
    findings.check(NAME, task.status != "open", f"{label} is still open")
    if row.status is NodeStatus.COMPLETED:
        findings.check(NAME, task.status == "decided", f"{label} is {task.status}, and its node completed")
        same = row.output == task.result()
        findings.check(NAME, same, f"{label}: its node gave {row.output}, decided was {task.result()}")
    else:
        ended = row.status in (NodeStatus.CANCELED, NodeStatus.FAILED)
        failed = evidence.instance.status is not InstanceStatus.COMPLETED or ended
        findings.check(NAME, failed, f"{label} is {task.status}, its node {row.status}")
    if task.status != "decided":
        return
    wanted = "approved" if block.question.approved else "rejected"
    findings.check(NAME, task.outcome == wanted, f"{label} is {task.outcome}, drawn {wanted}")
    if not task.timed_out and not any(one["action"] == "escalate" for one in task.escalations):
        votes = [(one["by"], one["decision"] == "approve") for one in task.present]
        counted = block.question.counted(votes)
        findings.check(NAME, counted is (task.outcome == "approved"), f"{label} is {task.outcome} by {votes}")
