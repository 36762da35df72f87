"""routes 1.0.0, compiled from routes.yaml.
Definition sha256:59a4e2b095f21b16bb8fbdd8803ee483c0e29fa236560f3b219c35486f18ab7e
"""

from mirror_realm.flows import Run, edge, flow, node, workflow

WORKFLOW = workflow(
    "routes",
    "1.0.0",
    definition="sha256:59a4e2b095f21b16bb8fbdd8803ee483c0e29fa236560f3b219c35486f18ab7e",
    source="routes.yaml",
)

by_kind = node(
    "by-kind",
    "control/switch",
    parameters={
        "value": "{{ input.kind }}",
        "cases": {"photo": "enhance", "picture": "enhance", "video": ["probe", "转码"]},
        "default": "keep",
    },
    at="routes.yaml:5:5",
)
enhance = node(
    "enhance",
    "control/set",
    parameters={"values": {"done": "enhance"}},
    at="routes.yaml:11:5",
)
probe = node(
    "probe",
    "control/set",
    parameters={"values": {"done": "probe"}},
    at="routes.yaml:12:5",
)
转码 = node(
    "转码",
    "control/set",
    parameters={"values": {"done": "transcode"}},
    at="routes.yaml:13:5",
)
keep = node(
    "keep",
    "control/set",
    parameters={"values": {"done": "keep"}},
    at="routes.yaml:14:5",
)
by_size = node(
    "by-size",
    "control/condition",
    parameters={
        "cases": [
            {"name": "big", "when": "{{ input.size > 4000 }}", "target": "shrink"},
            {"when": "{{ input.size < 500 }}", "target": "enlarge"},
            {"name": "it's fine", "when": True, "target": "leave"},
        ],
        "default": "leave",
    },
    at="routes.yaml:15:5",
)
shrink = node(
    "shrink", "control/set", parameters={"values": {"size": 1}}, at="routes.yaml:23:5"
)
enlarge = node(
    "enlarge", "control/set", parameters={"values": {"size": 2}}, at="routes.yaml:24:5"
)
leave = node(
    "leave", "control/set", parameters={"values": {"size": 3}}, at="routes.yaml:25:5"
)
all_ = node(
    "all",
    "control/aggregate",
    parameters={
        "required": ["enhance"],
        "optional": ["probe", "shrink", "keep"],
        "on_missing": "partial",
    },
    at="routes.yaml:26:5",
)
told = node(
    "told",
    "control/switch",
    parameters={
        "value": "{{ nodes.all.complete }}",
        "cases": [
            {"value": True, "name": "whole", "target": "end"},
            {"values": [False, None], "target": "end"},
        ],
    },
    at="routes.yaml:29:5",
)
end = node("end", "control/end", at="routes.yaml:37:5")


@flow(WORKFLOW)
async def routes(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        by_kind_done = run.start(by_kind)
        enhance_done = run.start(
            enhance, after=edge(by_kind_done, when="nodes.by_kind.case == 'enhance'")
        )
        probe_done = run.start(
            probe, after=edge(by_kind_done, when="nodes.by_kind.case == 'probe, 转码'")
        )
        run.start(
            转码, after=edge(by_kind_done, when="nodes.by_kind.case == 'probe, 转码'")
        )
        keep_done = run.start(
            keep, after=edge(by_kind_done, when="!nodes.by_kind.result")
        )
        by_size_done = run.start(by_size)
        shrink_done = run.start(
            shrink, after=edge(by_size_done, when="nodes.by_size.case == 'big'")
        )
        run.start(
            enlarge, after=edge(by_size_done, when="nodes.by_size.case == 'enlarge'")
        )
        run.start(
            leave,
            after=edge(
                by_size_done,
                when="nodes.by_size.case == 'it\\'s fine' || !nodes.by_size.result",
            ),
        )
        all__done = run.start(
            all_,
            after=[
                edge(
                    shrink_done,
                    when="nodes.shrink.size == 1",
                    mapping={"sources.shrink": "$"},
                ),
                edge(enhance_done, mapping={"sources.enhance": "$"}),
                edge(probe_done, mapping={"sources.probe": "$"}),
                edge(keep_done, mapping={"sources.keep": "$"}),
            ],
        )
        told_done = run.start(told, after=all__done)
        run.start(
            end,
            after=edge(
                told_done, when="nodes.told.case == 'whole' || nodes.told.case == 'end'"
            ),
        )
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(routes)
