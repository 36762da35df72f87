"""branches 0.2.0-rc.1, compiled from branches.yaml.
Definition sha256:6a9f707926b30186c95204fccf50d70749dfa888ae52c3e126970d796224f1e1
"""

from mirror_realm.flows import Run, edge, flow, node, workflow

WORKFLOW = workflow(
    "branches",
    "0.2.0-rc.1",
    definition="sha256:6a9f707926b30186c95204fccf50d70749dfa888ae52c3e126970d796224f1e1",
    source="branches.yaml",
    input_schema={
        "type": "object",
        "required": ["amount"],
        "properties": {
            "amount": {"type": "number"},
            "currency": {"type": "string", "default": "EUR"},
        },
    },
    output={"written": "{{ nodes.report.path }}"},
    variables={"limit": 1000},
)

request = node(
    "request",
    "control/set",
    parameters={
        "values": {"amount": "{{ input.amount }}", "limit": "{{ vars.limit }}"},
    },
    at="branches.yaml:11:5",
)
small = node(
    "small",
    "control/set",
    parameters={"values": {"way": "small"}},
    at="branches.yaml:18:5",
)
medium = node(
    "medium",
    "control/set",
    parameters={"values": {"way": "medium"}},
    at="branches.yaml:19:5",
)
large = node(
    "large",
    "control/set",
    parameters={"values": {"way": "large"}},
    at="branches.yaml:20:5",
)
report = node(
    "report",
    "data/file-write",
    parameters={"path": "report.json", "format": "json"},
    timeout=120,
    priority=9,
    at="branches.yaml:21:5",
)


@flow(WORKFLOW)
async def branches(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        request_done = run.start(request)
        small_done = run.start(
            small, after=edge(request_done, when="nodes.request.amount <= 100.0")
        )
        medium_done = run.start(
            medium,
            after=edge(
                request_done,
                when="(nodes.request.amount <= 1000.0) && !(nodes.request.amount <= 100.0)",
            ),
        )
        large_done = run.start(large, after=edge(request_done, when="else"))
        run.start(report, after=[small_done, medium_done, large_done])
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(branches)
