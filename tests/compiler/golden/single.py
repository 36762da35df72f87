"""single 1.0.0, compiled from single.yaml.
Definition sha256:7d238ca7a36859c1ebb8c7b90ea7c7384a6cf98ead02f9ce39c247362fe12b73
"""

from mirror_realm.flows import Run, flow, node, workflow

WORKFLOW = workflow(
    "single",
    "1.0.0",
    definition="sha256:7d238ca7a36859c1ebb8c7b90ea7c7384a6cf98ead02f9ce39c247362fe12b73",
    source="single.yaml",
)

only = node(
    "only", "data/file-read", parameters={"path": "in.json"}, at="single.yaml:4:9"
)


@flow(WORKFLOW)
async def single(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        run.start(only)
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(single)
