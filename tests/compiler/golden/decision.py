"""decision 1.0.0, compiled from decision.yaml.
Definition sha256:afb5e14fbfb3477692fa57f0311436fbe09c67afb5201af671c26827804821ef
"""

from mirror_realm.flows import Retry, Run, edge, flow, node, workflow

WORKFLOW = workflow(
    "decision",
    "1.0.0",
    definition="sha256:afb5e14fbfb3477692fa57f0311436fbe09c67afb5201af671c26827804821ef",
    source="decision.yaml",
    timeout=5400,
    task_runner="threads",
)

begin = node("begin", "control/start", at="decision.yaml:8:5")
is_large = node(
    "is-large",
    "control/condition",
    parameters={
        "condition": "{{ input.size > 100 }}",
        "true_path": ["split-01", "split-02"],
        "false_path": "copy",
    },
    at="decision.yaml:9:5",
)
split_01 = node(
    "split-01",
    "control/set",
    parameters={"values": {"part": 1}},
    at="decision.yaml:12:5",
)
split_02 = node(
    "split-02",
    "control/set",
    parameters={"values": {"part": 2}},
    at="decision.yaml:13:5",
)
copy = node(
    "copy", "control/set", parameters={"values": {"part": 0}}, at="decision.yaml:14:5"
)
collect = node(
    "collect",
    "control/set",
    parameters={"values": {"done": True}},
    join=1,
    retry=Retry(
        max_attempts=2,
        initial=0.5,
        multiplier=1.5,
        max=30,
        jitter=0,
        on=("TRANSIENT_ERROR", "UNAVAILABLE"),
    ),
    fail_on_error=False,
    at="decision.yaml:15:5",
)
keep = node(
    "keep",
    "data/file-write",
    parameters={"path": "kept.json"},
    on_error={"fallback": {"path": "other.json"}},
    at="decision.yaml:21:5",
)
drop = node("drop", "control/end", at="decision.yaml:22:5")


@flow(WORKFLOW)
async def decision(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        begin_done = run.start(begin)
        is_large_done = run.start(is_large, after=begin_done)
        split_01_done = run.start(
            split_01, after=edge(is_large_done, when="nodes.is_large.result")
        )
        split_02_done = run.start(
            split_02, after=edge(is_large_done, when="nodes.is_large.result")
        )
        copy_done = run.start(
            copy, after=edge(is_large_done, when="!nodes.is_large.result")
        )
        collect_done = run.start(
            collect,
            after=[
                split_01_done,
                split_02_done,
                edge(copy_done, mapping={"only.part": "$.part", "kind": "premium"}),
            ],
        )
        run.start(
            keep,
            after=edge(
                collect_done,
                when="default(nodes.collect.done, false)",
                mapping={"data": "$"},
            ),
        )
        run.start(drop, after=edge(collect_done, when="else"))
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(decision)
