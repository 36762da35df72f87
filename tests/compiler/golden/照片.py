"""照片 \"归档\" \\ 测试

zhaopian 1.0.0, compiled from 照片.yaml.
Definition sha256:1f8693bc734870392d212d439317bd5ba44a35df3e322ba65c38f02cae52c1d2
"""

from mirror_realm.flows import Run, flow, node, workflow

WORKFLOW = workflow(
    "zhaopian",
    "1.0.0",
    title='照片 "归档" \\ 测试',
    definition="sha256:1f8693bc734870392d212d439317bd5ba44a35df3e322ba65c38f02cae52c1d2",
    source="照片.yaml",
)

读取_01 = node(
    "读取-01", "data/file-read", parameters={"path": "照片 1.json"}, at="照片.yaml:6:5"
)
写入 = node(
    "写入", "data/file-write", parameters={"path": "结果.json"}, at="照片.yaml:7:5"
)
class_ = node(
    "class", "control/set", parameters={"values": {"a": 1}}, at="照片.yaml:8:5"
)
input_ = node(
    "input", "control/set", parameters={"values": {"b": 2}}, at="照片.yaml:9:5"
)
node_3d = node(
    "3d", "control/set", parameters={"values": {"c": 3}}, at="照片.yaml:10:5"
)


@flow(WORKFLOW)
async def zhaopian(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        读取 = run.start(读取_01)
        写入_done = run.start(写入, after=读取)
        run.start(class_, after=写入_done)
        run.start(input_, after=写入_done)
        run.start(node_3d, after=写入_done)
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(zhaopian)
