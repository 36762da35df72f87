"""anchors 1.0.0, compiled from anchors.yaml.
Definition sha256:3fc73bda379c1a8d621d7a51141a82a050037d8d7eeb0d1283fd26e6d84dcdb1
"""

from mirror_realm.flows import Run, flow, node, workflow

WORKFLOW = workflow(
    "anchors",
    "1.0.0",
    definition="sha256:3fc73bda379c1a8d621d7a51141a82a050037d8d7eeb0d1283fd26e6d84dcdb1",
    source="anchors.yaml",
    variables={
        "octal": 10,
        "answer": "no",
        "time": "1:30",
        "hex": 31,
        "nothing": None,
        "text": "two\nlines\n",
    },
)

first = node(
    "first",
    "data/file-read",
    parameters={"format": "json", "path": "first.json"},
    timeout=30,
    at="anchors.yaml:15:5",
)
second = node(
    "second",
    "data/file-read",
    parameters={"path": "second.json", "format": "json"},
    timeout=30,
    at="anchors.yaml:20:5",
)


@flow(WORKFLOW)
async def anchors(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        first_done = run.start(first)
        run.start(second, after=first_done)
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(anchors)
