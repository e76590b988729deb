"""One shader, once, on bytes."""

from __future__ import annotations

from collections.abc import Sequence

from apr_leaderboard.engine.shaders.adapter import open_adapter

__all__ = ["run_shader"]


def run_shader(source: str, inputs: Sequence[bytes], out_bytes: int, groups: tuple[int, int]) -> bytes:
    """Run `main` of a shader over so many workgroups.

    Inputs are bound to 0, 1, ... and the output, which starts as zeros, to the binding after them. Raises
    `AdapterMissingError`.
    """
    device = open_adapter().device
    import wgpu

    usage = wgpu.BufferUsage.STORAGE
    buffers = [device.create_buffer_with_data(data=data, usage=usage) for data in inputs]
    out = device.create_buffer(size=out_bytes, usage=usage | wgpu.BufferUsage.COPY_SRC)
    pipeline = device.create_compute_pipeline(
        layout="auto", compute={"module": device.create_shader_module(code=source), "entry_point": "main"}
    )
    bound = device.create_bind_group(
        layout=pipeline.get_bind_group_layout(0),
        entries=[{"binding": i, "resource": {"buffer": one}} for i, one in enumerate([*buffers, out])],
    )
    encoder = device.create_command_encoder()
    turn = encoder.begin_compute_pass()
    turn.set_pipeline(pipeline)
    turn.set_bind_group(0, bound)
    turn.dispatch_workgroups(*groups)
    turn.end()
    device.queue.submit([encoder.finish()])
    return bytes(device.queue.read_buffer(out))
