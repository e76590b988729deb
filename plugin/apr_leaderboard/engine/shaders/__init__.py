"""Compute shaders in WGSL, run through wgpu on a graphics card, or on a software adapter such as lavapipe.

Below the engines, as the data formulas are: the reference engine computes with them, and the contracts run a kernel of
their own on the same adapter.
"""

from __future__ import annotations

from apr_leaderboard.engine.shaders.adapter import Adapter, open_adapter
from apr_leaderboard.engine.shaders.product import DeviceProduct
from apr_leaderboard.engine.shaders.run import run_shader
from apr_leaderboard.engine.shaders.vendor import hide_vendor_devices, vendor_libraries

__all__ = [
    "Adapter",
    "DeviceProduct",
    "hide_vendor_devices",
    "open_adapter",
    "run_shader",
    "vendor_libraries",
]
