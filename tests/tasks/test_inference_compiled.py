"""Networks compiled by torch: the same pictures, and a network that cannot be compiled runs as it is."""

from __future__ import annotations

import logging

import pytest
import torch

from mirror_realm.tasks.inference import compiled
from mirror_realm.tasks.inference.compiled import Compiled
from mirror_realm.tasks.inference.kept_models import module_bytes
from mirror_realm.tasks.inference.networks import networks
from tests.tasks import enhancing
from tests.tasks.enhancing import difference, picture, run

files, fresh_cache = enhancing.files, enhancing.fresh_cache


@pytest.fixture
def through(monkeypatch):
    """Compile by way of another backend of torch's, which needs no compiler of C++ and takes no time; the shapes that
    it was asked for."""
    shapes = []

    def backend(graph, examples):
        shapes.append([tuple(one.shape) for one in examples if one.dim() == 4 and one.shape[1] == 3])
        return graph.forward

    torch._dynamo.reset()
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda module, **given: real(module, **given | {"backend": backend})
    )
    yield shapes
    torch._dynamo.reset()


def test_the_picture_is_the_same_and_each_shape_is_compiled_once(files, through):
    for height, width in ((150, 210), (120, 200)):
        image = picture(height, width)
        plain = run(image, files["random"], scale=4, tile=96).pixels
        for _ in range(2):
            assert difference(run(image, files["random"], scale=4, tile=96, compiled=True).pixels, plain) <= 1
    inputs = {shape for shapes in through for shape in shapes}
    assert inputs
    assert len(through) <= 2
    assert len(networks) == 2, "compiled or not are two networks"


def test_a_network_that_cannot_be_compiled_runs_as_it_is(caplog, monkeypatch):
    def fails(batch):
        raise RuntimeError("no C++ compiler was found\nand more")

    module = torch.nn.Conv2d(3, 3, 1)
    monkeypatch.setattr(torch, "compile", lambda given, **_: fails)
    network, batch = Compiled(module), torch.rand(1, 3, 8, 8)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(network(batch), module(batch))
        assert torch.equal(network(batch), module(batch))
    said = [record.getMessage() for record in caplog.records if record.name == compiled.log.name]
    assert said == [
        "torch.compile failed, the network runs as it is: RuntimeError: no C++ compiler was found"
    ]
    assert module_bytes(network) == module_bytes(module) == 48


def test_lack_of_memory_is_not_taken_for_a_failure_to_compile(monkeypatch):
    def starved(batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(torch, "compile", lambda given, **_: starved)
    network = Compiled(torch.nn.Conv2d(3, 3, 1))
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            network(torch.rand(1, 3, 8, 8))
